"""The control interface sets, lists and clears faults, and refuses what it cannot use by its field."""

from typing import Any

import httpx
import pytest
from headrace_simulator.control import Control
from headrace_simulator.decisions.faults import MAX_FAULTS, Operation
from headrace_simulator.injection import Injection

pytestmark = pytest.mark.asyncio


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def injection(clock: Clock) -> Injection:
    return Injection(clock)


def client(injection: Injection, token: str | None = None, host: str = "127.0.0.1:9001") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Control(injection, token).app)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def test_a_fault_is_set_listed_and_ended(injection: Injection, clock: Clock):
    async with client(injection) as asked:
        done = await asked.put("/faults/late", json={"kind": "slow", "base_ms": 500, "share": 0.5, "for_s": 30})
        assert done.status_code == 200
        clock.at = 10.0
        for _ in range(100):
            injection.meet(Operation.INFER, "digits--v1")
        (listed,) = (await asked.get("/faults")).json()["faults"]
        assert (listed["name"], listed["kind"], listed["base_ms"]) == ("late", "slow", 500.0)
        assert (listed["active"], listed["ends_in_s"], listed["calls"]) == (True, 20.0, 100)
        assert 30 <= listed["hits"] <= 70
        assert (await asked.delete("/faults/late")).status_code == 204
        assert (await asked.delete("/faults/late")).status_code == 404
        assert (await asked.get("/faults")).json() == {"faults": []}


async def test_what_has_ended_by_itself_is_gone(injection: Injection, clock: Clock):
    async with client(injection) as asked:
        await asked.put("/faults/short", json={"kind": "dead", "for_s": 5})
        clock.at = 5.0
        assert (await asked.get("/faults")).json() == {"faults": []}


async def test_all_are_ended_at_once(injection: Injection):
    async with client(injection) as asked:
        for name in ("a", "b"):
            await asked.put(f"/faults/{name}", json={"kind": "wedge"})
        assert (await asked.delete("/faults")).status_code == 204
        assert not injection.meet(Operation.INFER, "m")


@pytest.mark.parametrize(
    ("name", "body", "status", "field"),
    [
        ("x", b'{"kind": "slow", "base_ms": "x"}', 400, "base_ms"),
        ("x", b'{"kind": "slow", "more": 1}', 400, "more"),
        ("x", b'{"kind": "dead", "share": NaN}', 400, "share"),
        ("x", b"[]", 400, "kind"),
        ("x", b"", 400, "kind"),
        ("x", b"{", 400, "kind"),
        ("x", b"[" * 10_000, 400, "kind"),
        ("x", b"\xff\xfe", 400, "kind"),
        ("x", b" " * 17_000, 413, "body"),
        ("Not-A-Name", b'{"kind": "dead"}', 400, "name"),
        ("a" * 65, b'{"kind": "dead"}', 400, "name"),
        ("%0a", b'{"kind": "dead"}', 400, "name"),
    ],
)
async def test_what_cannot_be_used_is_refused_by_its_field(
    injection: Injection, name: str, body: bytes, status: int, field: str
):
    async with client(injection) as asked:
        refused = await asked.put(f"/faults/{name}", content=body)
    assert refused.status_code == status
    assert refused.json()["error"]["field"] == field
    assert injection.listing() == []


async def test_there_is_an_end_to_how_many_are_kept(injection: Injection):
    async with client(injection) as asked:
        for number in range(MAX_FAULTS):
            assert (await asked.put(f"/faults/f{number}", json={"kind": "dead"})).status_code == 200
        assert (await asked.put("/faults/one-more", json={"kind": "dead"})).status_code == 429
        assert (await asked.put("/faults/f0", json={"kind": "wedge"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/faults", {}),
        ("DELETE", "/faults", {}),
        ("DELETE", "/faults/x", {}),
        ("PUT", "/faults/x", {"json": {"kind": "dead"}}),
    ],
)
async def test_with_a_token_nobody_else_is_answered(injection: Injection, method: str, path: str, more: dict[str, Any]):
    async with client(injection, token="secret", host="simulator:9001") as asked:
        for headers in ({}, {b"authorization": b"Bearer other"}, {b"authorization": "Bearer sécret".encode()}):
            refused = await asked.request(method, path, headers=headers, **more)
            assert (refused.status_code, refused.json()["error"]["field"]) == (401, "authorization")
        answered = await asked.request(method, path, headers={"authorization": "Bearer secret"}, **more)
        assert answered.status_code in (200, 204, 404)


async def test_a_page_that_has_its_own_name_lead_here_sets_no_faults(injection: Injection):
    async with client(injection, host="evil.example:9001") as asked:
        assert (await asked.put("/faults/x", json={"kind": "dead"})).status_code == 400
    assert injection.listing() == []


async def test_the_root_says_what_there_is(injection: Injection):
    async with client(injection) as asked:
        assert "PUT    /faults/NAME" in (await asked.get("/")).text
