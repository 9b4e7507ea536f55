"""What pages ask the API for: all that they show, and no more."""

from typing import Any

from headrace.monitor.v1 import alert_pb2

from tests.kit.console import ConsoleUnderTest
from tests.kit.methods import path_of


async def asked(console: ConsoleUnderTest, page: str, method: str) -> list[Any]:
    """Return what a page sends to a method."""
    before = len(console.api.asked)
    assert (await console.browser.get(page)).status_code == 200
    return [message for path, message, _ in console.api.asked[before:] if path == path_of(method)]


async def test_a_search_for_nothing_looks_into_no_model(console: ConsoleUnderTest):
    await console.sign_in()
    assert await asked(console, "/console/search?q=", "ListModelVersions") == []
    assert len(await asked(console, "/console/search?q=plain", "ListModelVersions")) == 1


async def test_of_hundreds_of_alerts_that_fire_none_is_left_out(console: ConsoleUnderTest):
    await console.sign_in()
    for page in ("/console/", "/console/alerts"):
        requests = await asked(console, page, "ListAlerts")
        firing = [request for request in requests if request.state == alert_pb2.Alert.STATE_OPEN]
        assert [request.page_size for request in firing] == [200], "a whole page of the API"
