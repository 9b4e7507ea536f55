"""Starts the front door: renders Envoy's configuration, checks it, runs Envoy, follows keys and denied clients, drains.

python deploy/envoy/front_door.py            FRONT_DOOR_* variables say what and where; see README.md
python deploy/envoy/front_door.py --check    render and validate only
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

import structlog
from front_door import admin, data_plane, endpoints, identities
from front_door.api import Api, ApiError, read_api
from front_door.bootstrap import files, whole
from front_door.endpoints import EndpointsError
from front_door.following import follow, follow_endpoints
from front_door.identities import IdentitiesError
from front_door.open_files import fitted
from front_door.process import ConfigurationRefused, Envoy, find_binary, validate
from front_door.publish import publish
from front_door.running import run_envoy, stop_signals
from front_door.settings import FrontDoorSettings
from headrace_servicekit.described import settings_help
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.settings import SettingsError

log = structlog.get_logger()


async def serve(settings: FrontDoorSettings, api: Api, *, check_only: bool) -> int:
    """Run until SIGTERM or SIGINT, or until Envoy ends; return the exit code."""
    believed = identities.read(settings.jwks_file, settings.deny_file)
    binary = find_binary(settings)
    settings, environment = await _with_data_plane(endpoints.read(settings))
    publish(settings.state_dir, files(settings, api, believed))
    await validate(binary, whole(settings, api, believed))
    if check_only:
        return 0
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(follow(settings, api, binary, believed), name="follow identities")]
        if settings.endpoints_file is not None:
            following.append(tasks.create_task(follow_endpoints(settings), name="follow endpoints"))
        code = await run_envoy(
            lambda: Envoy.start(binary, settings, environment),
            stop_signals(),
            address=f"{settings.host}:{settings.port}",
            metrics_port=settings.metrics_port,
        )
        for task in following:
            task.cancel()
    return code


async def _with_data_plane(settings: FrontDoorSettings) -> tuple[FrontDoorSettings, Mapping[str, str]]:
    """Return the settings to go by and Envoy's environment: without a data plane here when it cannot be loaded."""
    if settings.data_plane != "here":
        return settings, os.environ
    try:
        environment = data_plane.environment(settings, behind_a_front_door=False)
        await data_plane.check()
    except data_plane.NotLoadable as error:
        log.error("predictions are not answered here", reason=str(error))
        return settings.model_copy(update={"data_plane": "service"}), os.environ
    return settings, environment


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=settings_help(FrontDoorSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="render and validate the configuration, then end")
    check_only = parser.parse_args().check
    try:
        settings = admin.looked_up(FrontDoorSettings.load())
        set_up_logs("front-door")
        return asyncio.run(serve(fitted(settings), read_api(settings.descriptors), check_only=check_only))
    except (SettingsError, IdentitiesError, EndpointsError, ApiError, ConfigurationRefused, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  (no log is set up before the settings are read)
        return 2


if __name__ == "__main__":
    sys.exit(main())
