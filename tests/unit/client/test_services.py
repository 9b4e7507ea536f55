"""Whose health `headrace status` asks for."""

import tomllib

from headrace_client.operations.health import services
from headrace_stack.settings import checkout_of_this_file


def test_every_service_that_offers_callers_something_is_asked_by_one_name():
    topology = tomllib.loads((checkout_of_this_file() / "deploy" / "topology.toml").read_text())
    asked = services()
    assert next(iter(asked)) == "all"
    for name, described in topology.items():
        offers = [one for one in described.get("offers", ()) if one.startswith("headrace.")]
        assert len(set(offers) & set(asked.values())) == bool(offers), name
    assert {"registry", "router control plane", "router data plane", "monitor"} < asked.keys()
