"""Resource names: `models/{model}`, `models/{model}/versions/{version}`, `models/{model}/aliases/{alias}`."""

from __future__ import annotations

import re
from uuid import UUID

from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_registry.decisions.models import Stage, VersionRef

MAX_CHARS = 63

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ID_RULE = f"lower-case letters and digits in words joined by single hyphens, at most {MAX_CHARS} characters"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_id(text: str) -> bool:
    """Return whether text can be the id of a model, version or alias."""
    return len(text) <= MAX_CHARS and _ID.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Return whether text can name an artifact: letters, digits, `.`, `-`, `_`; it does not begin with `.` or `-`."""
    return _FILE_NAME.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Return whether text is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(text) is not None


def model_id(name: str, field: str) -> str:
    """Return the model in `models/{model}`. Raises InvalidArgument that names `field`."""
    (model,) = _ids(name, field, "models")
    return model


def version_ref(name: str, field: str) -> VersionRef:
    """Return the ids in `models/{model}/versions/{version}`. Raises InvalidArgument that names `field`."""
    return VersionRef(*_ids(name, field, "models", "versions"))


def promotion_request(name: str, field: str) -> tuple[str, int]:
    """Return model and number in `models/{model}/promotionRequests/{number}`. Raises InvalidArgument."""
    head, _, number = name.rpartition("/")
    if not head.endswith("/promotionRequests") or not _NUMBER.fullmatch(number):
        raise invalid(field, f"{_shown(name)} is not of the form models/{{model}}/promotionRequests/{{number}}")
    return model_id(head.removesuffix("/promotionRequests"), field), int(number)


def alias_ref(name: str, field: str) -> tuple[str, str]:
    """Return model and alias in `models/{model}/aliases/{alias}`. Raises InvalidArgument that names `field`."""
    model, alias = _ids(name, field, "models", "aliases")
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
    raise invalid(field, f"{_shown(name)} is not of the form uploads/{{upload}}")


def webhook_id(name: str, field: str) -> str:
    """Return the webhook in `registryWebhooks/{webhook}`. Raises InvalidArgument that names `field`."""
    (webhook,) = _ids(name, field, "registryWebhooks")
    return webhook


def upload_name(upload: UUID) -> str:
    """Return the resource name of an upload."""
    return f"uploads/{upload}"


def version_id(text: str, field: str) -> str:
    """Return text if it can be a version's id. Raises InvalidArgument that names `field`."""
    if not is_id(text):
        raise invalid(field, f"{_shown(text)} is not the id of a version: {_ID_RULE}")
    return text


def model_name(model: str) -> str:
    """Return the resource name of a model."""
    return f"models/{model}"


def version_name(ref: VersionRef) -> str:
    """Return the resource name of a version."""
    return f"models/{ref.model}/versions/{ref.version}"


def invalid(field: str, description: str, *, reason: str = "") -> InvalidArgument:
    """Return the error for one wrong field."""
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)], reason=reason)


def _ids(name: str, field: str, *collections: str) -> list[str]:
    parts = name.split("/")
    pattern = "/".join(f"{collection}/{{{_SINGULAR[collection]}}}" for collection in collections)
    if len(parts) != 2 * len(collections) or tuple(parts[::2]) != collections:
        raise invalid(field, f"{_shown(name)} is not of the form {pattern}")
    for collection, part in zip(collections, parts[1::2], strict=True):
        if not is_id(part):
            raise invalid(field, f"{_shown(part)} is not the id of a {_SINGULAR[collection]}: {_ID_RULE}")
    return parts[1::2]


_SINGULAR = {"models": "model", "versions": "version", "aliases": "alias", "registryWebhooks": "webhook"}


def _shown(text: str) -> str:
    """Return text for a message: quoted, escaped, and cut where it is absurdly long."""
    return repr(text if len(text) <= 100 else text[:100] + "…")
