"""The `scale` subresource of Kubernetes, as its API server answers it, held against the published schema."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes_validate

TOKEN = "of-the-service-account"
_PATH = re.compile(r"/apis/apps/v1/namespaces/([^/]+)/(deployments|statefulsets)/([^/]+)/scale")


class FakeKubernetes:
    """Workloads by kind and name, with their replicas. conflicts: how many writes come second to somebody else's."""

    def __init__(self, **workloads: int) -> None:
        self.workloads = {("deployments", name.replace("_", "-")): replicas for name, replicas in workloads.items()}
        self.versions = dict.fromkeys(self.workloads, 100)
        self.conflicts, self.forbidden = 0, False
        self.asked: list[str] = []

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Return status and document of one request."""
        self.asked.append(f"{method} {path}")
        match = _PATH.fullmatch(path)
        if token != f"Bearer {TOKEN}":
            return self._status(401, "Unauthorized")
        if self.forbidden or match is None or match[1] != "headrace":
            return self._status(403, f"the service account may not {method} {path}")
        workload = (match[2], match[3])
        if workload not in self.workloads:
            return self._status(404, f'{match[2]}.apps "{match[3]}" not found')
        if method == "PUT":
            kubernetes_validate.validate(body, "1.37", strict=True)
            if self.conflicts:
                self.conflicts -= 1
                self.versions[workload] += 1
            if body["metadata"]["resourceVersion"] != str(self.versions[workload]):
                return self._status(
                    409, "the object has been modified; please apply your changes to the latest version"
                )
            self.workloads[workload] = body["spec"].get("replicas", 0)
            self.versions[workload] += 1
        return 200, self._scale(match[3], workload)

    def _scale(self, name: str, workload: tuple[str, str]) -> dict[str, Any]:
        replicas = self.workloads[workload]
        scale = {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": name, "namespace": "headrace", "resourceVersion": str(self.versions[workload])},
            # The server leaves out what is zero.
            "spec": {"replicas": replicas} if replicas else {},
            "status": {"replicas": replicas, "selector": f"app.kubernetes.io/name={name}"},
        }
        kubernetes_validate.validate(scale, "1.37", strict=True)
        return scale

    def _status(self, code: int, message: str) -> tuple[int, dict[str, Any]]:
        return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "message": message, "code": code}


@contextmanager
def serving_kubernetes(cluster: FakeKubernetes) -> Iterator[str]:
    """Serve a cluster until the block ends; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            code, document = cluster.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = _do  # noqa: N815 - as http.server calls them

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
