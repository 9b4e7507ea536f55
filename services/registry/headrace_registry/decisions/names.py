"""Resource names: `models/{model}`, `models/{model}/versions/{version}`, `models/{model}/aliases/{alias}`."""

from __future__ import annotations

import re
from uuid import UUID

from headrace_servicekit.resource_names import ID_RULE, ids, invalid, is_id, shown

from headrace_registry.decisions.models import Stage, VersionRef

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_file_name(text: str) -> bool:
    """Return whether text can name an artifact: letters, digits, `.`, `-`, `_`; it does not begin with `.` or `-`."""
    return _FILE_NAME.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Return whether text is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(text) is not None


def model_id(name: str, field: str) -> str:
    """Return the model in `models/{model}`. Raises InvalidArgument that names `field`."""
    (model,) = ids(name, field, "models/{model}")
    return model


def version_ref(name: str, field: str) -> VersionRef:
    """Return the ids in `models/{model}/versions/{version}`. Raises InvalidArgument that names `field`."""
    return VersionRef(*ids(name, field, "models/{model}/versions/{version}"))


def promotion_request(name: str, field: str) -> tuple[str, int]:
    """Return model and number in `models/{model}/promotionRequests/{number}`. Raises InvalidArgument."""
    model, number = ids(name, field, "models/{model}/promotionRequests/{number}")
    return model, int(number)


def alias_ref(name: str, field: str) -> tuple[str, str]:
    """Return model and alias in `models/{model}/aliases/{alias}`. Raises InvalidArgument that names `field`."""
    model, alias = ids(name, field, "models/{model}/aliases/{alias}")
    if alias in set(Stage):
        raise invalid(field, f"'{alias}' is the name of a stage; choose another alias")
    return model, alias


def upload_id(name: str, field: str) -> UUID:
    """Return the id in `uploads/{upload}`. Raises InvalidArgument that names `field`."""
    collection, _, text = name.partition("/")
    try:
        if collection == "uploads":
            return UUID(text)
    except ValueError:
        pass
    raise invalid(field, f"{shown(name)} is not of the form uploads/{{upload}}")


def upload_name(upload: UUID) -> str:
    """Return the resource name of an upload."""
    return f"uploads/{upload}"


def version_id(text: str, field: str) -> str:
    """Return text if it can be a version's id. Raises InvalidArgument that names `field`."""
    if not is_id(text):
        raise invalid(field, f"{shown(text)} is not the id of a version: {ID_RULE}")
    return text


def model_name(model: str) -> str:
    """Return the resource name of a model."""
    return f"models/{model}"


def version_name(ref: VersionRef) -> str:
    """Return the resource name of a version."""
    return f"models/{ref.model}/versions/{ref.version}"
