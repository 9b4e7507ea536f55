"""A kind of plain resource is served by the RPCs that the descriptors have for it, without code for each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from headrace.monitor.v1 import alert_pb2
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.identity import Identity
from headrace_servicekit.resources import Kind, serve_kind

ALERTS = alert_pb2.DESCRIPTOR.services_by_name["AlertService"]
SILENCES = Kind(
    alert_pb2.Silence,
    "silences/{number}",
    lambda message: message.model,
    lambda model: alert_pb2.Silence(name="silences/7", model=model),
)


@dataclass
class Remembered:
    """Use cases that remember what they were called with."""

    models: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    async def put(self, one: str, caller: Identity) -> str:
        self.models.append(one)
        return one

    async def list(self, caller: Identity) -> list[str]:
        return self.models

    async def delete(self, key: str, caller: Identity) -> None:
        self.deleted.append(key)


async def test_a_request_is_converted_decided_and_answered():
    servicer, silences = SimpleNamespace(), Remembered()
    serve_kind(servicer, ALERTS, SILENCES, silences)
    request = alert_pb2.SilenceAlertsRequest(silence=alert_pb2.Silence(model="fraud"))
    expected = alert_pb2.Silence(name="silences/7", model="fraud")
    assert await servicer.SilenceAlerts(request, None) == alert_pb2.SilenceAlertsResponse(silence=expected)
    listed = await servicer.ListSilences(alert_pb2.ListSilencesRequest(), None)
    assert listed == alert_pb2.ListSilencesResponse(silences=[expected])
    await servicer.DeleteSilence(alert_pb2.DeleteSilenceRequest(name="silences/7"), None)
    assert (silences.models, silences.deleted) == (["fraud"], ["7"])


async def test_a_name_of_something_else_is_refused_before_anything_is_decided():
    servicer, silences = SimpleNamespace(), Remembered()
    serve_kind(servicer, ALERTS, SILENCES, silences)
    with pytest.raises(InvalidArgument) as caught:
        await servicer.DeleteSilence(alert_pb2.DeleteSilenceRequest(name="silences/x"), None)
    assert [one.field for one in caught.value.violations] == ["name"]
    assert silences.deleted == []


def test_a_service_without_an_rpc_of_the_kind_is_refused_at_once():
    with pytest.raises(ValueError, match=r"has of noises/\{number\} only: list, put"):
        serve_kind(SimpleNamespace(), ALERTS, replace(SILENCES, pattern="noises/{number}"), Remembered())
