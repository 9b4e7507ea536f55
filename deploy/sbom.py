"""Writes a bill of materials in the form of CycloneDX: what an image holds beside our own files.

python deploy/sbom.py NAME ENVIRONMENT … > sbom.cdx.json

The Python packages of each environment and the Debian packages of the machine that it runs on, with versions and
licences, in a fixed order and without a date: the same content gives the same bytes. Needs the standard library alone.
"""

import json
import sys
from email.parser import HeaderParser
from importlib.metadata import distributions
from pathlib import Path

DPKG_STATUS = Path("/var/lib/dpkg/status")


def python_components(environment: Path) -> list[dict[str, object]]:
    """Return the packages installed in an environment; other than an environment, the folder itself is looked into."""
    places = [str(path) for path in environment.glob("lib/python*/site-packages")] or [str(environment)]
    found = {}
    for distribution in distributions(path=places):
        metadata = distribution.metadata
        name, version = metadata["Name"].lower().replace("_", "-"), distribution.version
        licence = metadata.get("License-Expression") or metadata.get("License") or ""
        found[name] = _component(name, version, f"pkg:pypi/{name}@{version}", licence)
    return [found[name] for name in sorted(found)]


def debian_components(status: str) -> list[dict[str, object]]:
    """Return the installed packages of a dpkg status file."""
    found = {}
    for block in status.split("\n\n"):
        fields = HeaderParser().parsestr(block)
        if fields.get("Status") == "install ok installed":
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/debian/{name}@{version}?arch={fields['Architecture']}"
            found[name] = _component(name, version, purl, "")
    return [found[name] for name in sorted(found)]


def document(name: str, components: list[dict[str, object]]) -> dict[str, object]:
    """Return the bill of materials of an image."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": components,
    }


def _component(name: str, version: str, purl: str, licence: str) -> dict[str, object]:
    component: dict[str, object] = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    # Some packages put the whole text there.
    if licence and len(licence) < 100 and "\n" not in licence:
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def main(arguments: list[str]) -> None:
    name, *environments = arguments
    components = [component for path in environments for component in python_components(Path(path))]
    if DPKG_STATUS.exists():
        components += debian_components(DPKG_STATUS.read_text())
    json.dump(document(name, components), sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1:])
