"""What a sender leaves in a bucket that dies in the middle of a PUT."""

import asyncio
from urllib.parse import urlsplit

import pytest
from headrace_servicekit.s3 import Bucket, Place, content_md5
from headrace_servicekit.testing import eventually

from tests.kit.monitor.prediction_log import credentials_file

CONTENT = b"x" * 100


@pytest.mark.parametrize("sent", [0, 10])
async def test_a_put_that_told_its_digest_and_was_cut_off_leaves_nothing(s3, tmp_path, sent):
    place = Place(s3.endpoint, s3.bucket, s3.region, credentials_file(s3, tmp_path))
    async with Bucket(place, owner="test", reason="TEST") as bucket:
        at = {"Bucket": bucket.name, "Key": "half"}
        signed = {**at, "ContentMD5": content_md5(CONTENT)}
        url = urlsplit(await bucket.client.generate_presigned_url("put_object", Params=signed))
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        lines = [f"PUT {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}", f"Content-Length: {len(CONTENT)}"]
        lines += [f"Content-MD5: {signed['ContentMD5']}", "", ""]
        writer.write("\r\n".join(lines).encode() + CONTENT[:sent])
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)  # it answers, or hangs up, once it has given up
        writer.close()
        # Whoever sends it whole is the first.
        await bucket.client.put_object(**at, Body=CONTENT, IfNoneMatch="*", ContentMD5=content_md5(CONTENT))

        async def whole() -> bool:
            head = await bucket.client.head_object(**at)
            return head["ContentLength"] == len(CONTENT)

        await eventually(whole)


async def test_a_secret_key_may_have_any_character(tmp_path):
    keys = tmp_path / "s3.credentials"
    keys.write_text("[default]\naws_access_key_id = who\naws_secret_access_key = 50%(x) = #more;\n")
    async with Bucket(Place("http://127.0.0.1:1", "b", "us-east-1", keys), owner="test", reason="TEST") as bucket:
        assert "who" in await bucket.client.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"})
