"""Scripts of faults: a TOML or JSON file whose tables are faults by name, with the times when they begin and end."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from headrace_simulator.decisions.faults import FAULTS, MAX_FAULTS, Fault, first_problem

_MAX_BYTES = 256 * 1024


class WrongScript(Exception):
    """A script cannot be used; the message names the field."""


def read(path: Path) -> Mapping[str, Fault]:
    """Return the faults of a script by name. Raises WrongScript."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise WrongScript(f"{path}: is longer than {_MAX_BYTES} bytes")
        document = json.loads(content) if path.suffix == ".json" else tomllib.loads(content.decode())
        faults = FAULTS.validate_python(document)
    except OSError as error:
        raise WrongScript(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        field, problem = first_problem(error)
        raise WrongScript(f"{path}: {field}: {problem}") from None
    except (ValueError, RecursionError) as error:  # those of both formats, and of bytes that are no text
        raise WrongScript(f"{path}: {error}") from None
    if len(faults) > MAX_FAULTS:
        raise WrongScript(f"{path}: has {len(faults)} faults; at most {MAX_FAULTS}")
    return faults
