"""Starts the router's data plane in a separate Envoy, for front doors that do not answer predictions themselves.

python deploy/envoy/data_plane.py            DATA_PLANE_* set listeners and issuers, ROUTER_DATA_* the rest
python deploy/envoy/data_plane.py --check    render and validate only
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from front_door import admin, alone, data_plane
from front_door.api import Api, ApiError, read_api
from front_door.open_files import fitted
from front_door.process import ConfigurationRefused, Envoy, find_binary, validate
from front_door.publish import publish
from front_door.running import run_envoy, stop_signals
from headrace_servicekit.described import settings_help
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.settings import SettingsError


async def serve(settings: alone.DataPlaneSettings, api: Api, *, check_only: bool) -> int:
    """Run until SIGTERM or SIGINT, or until Envoy ends; return the exit code."""
    binary = find_binary(settings)
    environment = data_plane.environment(settings, behind_a_front_door=True)
    await data_plane.check()
    publish(settings.state_dir, alone.files(settings, api))
    await validate(binary, alone.whole(settings, api))
    if check_only:
        return 0
    return await run_envoy(
        lambda: Envoy.start(binary, settings, environment),
        stop_signals(),
        address=f"{settings.host}:{settings.port}",
        metrics_port=settings.metrics_port,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=settings_help(alone.DataPlaneSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="render and validate the configuration, then end")
    check_only = parser.parse_args().check
    try:
        settings = admin.looked_up(alone.DataPlaneSettings.load())
        set_up_logs("data-plane")
        return asyncio.run(serve(fitted(settings), read_api(settings.descriptors), check_only=check_only))
    except (SettingsError, ApiError, ConfigurationRefused, data_plane.NotLoadable, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  (no log is set up before the settings are read)
        return 2


if __name__ == "__main__":
    sys.exit(main())
