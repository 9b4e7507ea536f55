"""What all writes share: each happens once per request id, and leaves a new epoch and lines of history."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from headrace_servicekit.errors import AlreadyExists, NotFound
from headrace_servicekit.identity import model_not_found

from headrace_registry.decisions.models import Action, Event, Model, ServingChange, Stage, Version, VersionRef
from headrace_registry.storage.store import Outcome, Store, Transaction


class Encoded(Protocol):
    """A protobuf message."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes and why. request_id: empty when the write is not to be repeated. fingerprint: of its content.

    validate_only: the write is checked and rolled back.
    """

    client: str
    reason: str = ""
    request_id: str = ""
    fingerprint: bytes = b""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written into the history; epoch, author and time come from the write."""

    action: Action
    version: str = ""
    from_stage: Stage | None = None
    to_stage: Stage | None = None
    alias: str = ""
    signature_breaks: tuple[str, ...] = ()
    serving_change: ServingChange | None = None
    promotion_request: int = 0


def fingerprint(method: str, request: Encoded) -> bytes:
    """Return what tells one write from another under the same request id."""
    return hashlib.sha256(method.encode() + b"\0" + request.SerializeToString(deterministic=True)).digest()


async def once(store: Store, write: Write, now: datetime, act: Callable[[Transaction], Awaitable[Outcome]]) -> Outcome:
    """Run a write in a transaction, or return what it answered before under the same request id.

    A write that fails, or only validates, is not remembered. Raises AlreadyExists, reason REQUEST_ID_REUSED, for other
    content.
    """
    async with store.transaction(validate_only=write.validate_only) as transaction:
        if write.validate_only or not write.request_id:
            return await act(transaction)
        earlier = await transaction.claim(write.client, write.request_id, write.fingerprint, now)
        if earlier is not None:
            if earlier.fingerprint != write.fingerprint:
                raise AlreadyExists(
                    f"request_id '{write.request_id}' was used for another write: use a new one for each",
                    reason="REQUEST_ID_REUSED",
                )
            return earlier.outcome
        outcome = await act(transaction)
        await transaction.remember(write.client, write.request_id, outcome)
        return outcome


async def save(transaction: Transaction, model: Model, write: Write, entries: Iterable[Entry]) -> Model:
    """Write a locked model with its next epoch and that change's history; return it.

    Its time is the store's, read while the model is locked: a replica with a slow clock could write a change into a
    past that was already read. The clock of a new primary may be slow too; times within a model never go back all the
    same.
    """
    now = max(await transaction.now(), model.update_time)
    after = replace(model, epoch=model.epoch + 1, update_time=now)
    events = [
        Event(
            epoch=after.epoch,
            ordinal=ordinal,
            action=entry.action,
            client=write.client,
            reason=write.reason,
            create_time=now,
            version=entry.version,
            from_stage=entry.from_stage,
            to_stage=entry.to_stage,
            alias=entry.alias,
            signature_breaks=entry.signature_breaks,
            serving_change=entry.serving_change,
            promotion_request=entry.promotion_request,
        )
        for ordinal, entry in enumerate(entries)
    ]
    await transaction.save(after, events)
    return after


async def opened(transaction: Transaction, name: str) -> Model:
    """Lock a model, making it with epoch 0 when there is none. Raises AlreadyExists, reason MODEL_DELETED."""
    model = await transaction.open_model(name, await transaction.now())
    if model.delete_time is not None:
        raise AlreadyExists(
            f"model '{name}' was deleted; names are never used twice: choose another", reason="MODEL_DELETED"
        )
    return model


async def locked(transaction: Transaction, name: str) -> Model:
    """Lock a model and return it. Raises NotFound, reason MODEL_NOT_FOUND."""
    model = await transaction.lock_model(name)
    if model is None:
        raise model_not_found(name)
    return model


async def existing(transaction: Transaction, ref: VersionRef) -> Version:
    """Return a version of a locked model. Raises NotFound, reason VERSION_NOT_FOUND."""
    version = await transaction.version(ref)
    if version is None:
        raise version_not_found(ref)
    return version


def version_not_found(ref: VersionRef) -> NotFound:
    """Return the error for a version that its model does not have."""
    return NotFound(
        f"model '{ref.model}' has no version '{ref.version}'",
        reason="VERSION_NOT_FOUND",
        metadata={"model": ref.model, "version": ref.version},
    )
