"""A file that is sent to S3 past the registry, by a URL that the front door gives, becomes an artifact."""

from __future__ import annotations

import hashlib
import uuid
from urllib.parse import urlsplit

import httpx
from headrace.registry.v1 import registry_pb2 as pb

from tests.kit.clients.methods import path_of
from tests.kit.models import onnx_models
from tests.kit.stack.served_models import Served, assert_refused


def sent(served: Served, begun: pb.BeginUploadResponse, content: bytes) -> int:
    """Send a file to where S3 is, under the name by which callers outside reach it."""
    url = urlsplit(begun.url)
    headers = {**begun.headers, "host": url.netloc}
    at = f"http://127.0.0.1:{served.stack.settings.ports.s3.number}{url.path}?{url.query}"
    return httpx.put(at, content=content, headers=headers, timeout=30, trust_env=False).status_code


def test_an_upload_by_url_is_completed_once_it_was_sent_and_by_who_began_it(served: Served):
    content = onnx_models.linear(seed=uuid.uuid4().int % 2**32).content
    digest = hashlib.sha256(content).hexdigest()
    begin = pb.BeginUploadRequest(type=pb.Artifact.TYPE_ONNX, size_bytes=len(content), sha256=digest)
    begun = pb.BeginUploadResponse.FromString(served.call(path_of("BeginUpload"), begin))
    complete, path = pb.CompleteUploadRequest(name=begun.name), path_of("CompleteUpload")
    assert_refused(served.refused(path, complete), "FAILED_PRECONDITION", "UPLOAD_NOT_SENT", named="nothing was sent")
    assert sent(served, begun, b"x" * len(content)) == 200
    assert served.refused(path, complete).reason == "DIGEST_MISMATCH"
    assert sent(served, begun, content) == 200
    others = served.refused(path, complete, token=served.stack.token("another"))
    assert_refused(others, "NOT_FOUND", "UPLOAD_NOT_FOUND", named="upload")
    done = pb.CompleteUploadResponse.FromString(served.call(path, complete))
    assert (done.sha256, done.size_bytes) == (digest, len(content))
    again = served.rest("POST", f"/v1/{begun.name}:complete", json={}).json()
    assert again == {"sha256": digest, "size_bytes": str(len(content))}
    body = {"type": "TYPE_ONNX", "size_bytes": len(content), "sha256": digest}
    known = served.rest("POST", "/v1/uploads", json=body).json()
    assert known.get("name", "") == "", "what is there is not sent again"
