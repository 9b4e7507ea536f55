"""Keeps what Envoy follows in step with the issuer's keys, the denied clients and the services' replicas."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from front_door import endpoints, identities
from front_door.api import Api
from front_door.bootstrap import followed_files, whole
from front_door.endpoints import EndpointsError
from front_door.identities import Identities, IdentitiesError
from front_door.process import ConfigurationRefused, validate
from front_door.publish import publish
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json

log = structlog.get_logger()


async def follow_endpoints(settings: FrontDoorSettings) -> None:
    """Publish every change of where the services are, for ever.

    settings: with the addresses that are in force. What cannot be used is logged once and leaves them so.
    """
    refused, in_force = "", endpoints.files(settings)
    while True:
        await asyncio.sleep(settings.poll_s)
        try:
            found = endpoints.files(await asyncio.to_thread(endpoints.read, settings))
            new: dict[str, Json | bytes] = {name: file for name, file in found.items() if file != in_force[name]}
            if new:
                await asyncio.to_thread(publish, settings.state_dir, new)
                log.info("endpoints changed", files=sorted(new))
                in_force = found
            refused = ""
        except (EndpointsError, OSError) as error:
            if str(error) != refused:
                log.error("new endpoints refused; those before stay in force", error=str(error))
            refused = str(error)


async def follow(settings: FrontDoorSettings, api: Api, binary: Path, in_force: Identities) -> None:
    """Publish every change of the two files, for ever.

    What cannot be used is logged once and leaves what is in force.
    """
    refused = ""
    while True:
        await asyncio.sleep(settings.poll_s)
        try:
            found = await asyncio.to_thread(identities.read, settings.jwks_file, settings.deny_file)
            if found != in_force:
                await validate(binary, whole(settings, api, found))
                await asyncio.to_thread(publish, settings.state_dir, changed(settings, in_force, found))
                log.info("identities changed", denied=len(found.denied), keys_changed=found.jwks != in_force.jwks)
                in_force = found
            refused = ""
        except (IdentitiesError, ConfigurationRefused, OSError) as error:
            if str(error) != refused:
                log.error("new identities refused; the ones before stay in force", error=str(error))
            refused = str(error)


def changed(settings: FrontDoorSettings, before: Identities, after: Identities) -> dict[str, Json | bytes]:
    """Return those followed files that differ, so that a denied client does not make Envoy forget verified tokens."""
    old, new = followed_files(settings, before), followed_files(settings, after)
    return {name: content for name, content in new.items() if content != old[name]}
