"""The signature of the S3 health check."""

from datetime import UTC, datetime

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from headrace_stack.components.s3 import REGION, S3Keys, sign


def test_the_signature_is_the_one_that_botocore_computes(monkeypatch):
    now = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    headers = sign("PUT", "127.0.0.1:8102", "/bucket/key", keys=S3Keys("access", "secret"), body=b"body", now=now)

    request = AWSRequest("PUT", "http://127.0.0.1:8102/bucket/key", data=b"body")
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now.replace(tzinfo=None))
    signer = S3SigV4Auth(Credentials("access", "secret"), "s3", REGION)
    request.headers["host"] = "127.0.0.1:8102"
    signer.add_auth(request)

    assert headers["authorization"] == request.headers["Authorization"]
