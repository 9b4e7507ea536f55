"""Writes an empty service into the checkout: one that starts, migrates its database, and answers one call.

make service NAME=foo    this, and what follows from it: stubs, topology, settings, the lock file

From then on it is in the wheel stack, in Compose, in Kubernetes, behind the front door and in the documents, and `make
test` holds it to what holds for every service. Replace DescribeFoo by what the service is for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from headrace_stack import description

from deploy.scaffold.places import NEW_FILES, Refused, additions, new_service

ROOT = Path(__file__).resolve().parents[2]


def template(name: str) -> str:
    """Return the text of a template."""
    return Path(__file__).with_name("templates").joinpath(f"{name}.tmpl").read_text(encoding="utf-8")


def written(name: str, checkout: Path) -> list[str]:
    """Write the service into a checkout and return the files, as paths in it. Raises Refused before it writes any."""
    service = new_service(name, description.read(description.path_in(checkout)))
    texts = {path.format(name=name): service.filled(template(source)) for source, path in NEW_FILES.items()}
    if there := [path for path in texts if (checkout / path).exists()]:
        raise Refused(f"{there[0]} is there already: remove it, or choose another name")
    for path, changed in additions(service, template).items():
        texts[path] = changed((checkout / path).read_text(encoding="utf-8"))
    for path, text in texts.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text, encoding="utf-8")
    return sorted(texts)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make service", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="lower-case letters and digits; also its package, database and host")
    parser.add_argument("--checkout", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        files = written(options.name, options.checkout)
    except (Refused, description.DescriptionError) as error:
        print(f"make service: {error}", file=sys.stderr)
        return 2
    print("\n".join(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
