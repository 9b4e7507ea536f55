"""Builds environments of other people's programs below `.headrace`, no parts of the stack: tests start them.

python -m headrace_stack.foreign_environments mlserver
"""

import sys
from pathlib import Path

from headrace_stack import environments

REQUIREMENTS = {
    "mlserver": Path("deploy", "mlserver", "requirements.txt"),
    "kserve": Path("tests", "clients", "kserve-requirements.txt"),
}


def build(checkout: Path, program: str) -> Path:
    """Build the environment of a program of REQUIREMENTS, unless it is there already; return it.

    Raises CalledProcessError when uv fails.
    """
    name = f"{program}-venv"
    environments.build(checkout, name, checkout / REQUIREMENTS[program], finish=lambda _environment: None)
    return checkout / ".headrace" / name


def main() -> None:
    build(Path.cwd(), sys.argv[1])


if __name__ == "__main__":
    main()
