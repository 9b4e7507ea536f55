"""The description of the topology is read whole, or what is wrong with it is named."""

import pytest
from headrace_stack import description
from headrace_stack.description import Call, DescriptionError, Outage, Scaled

from tests.kit.rows import each

STORES = """
[postgres]
component = "postgres"
store = true
network = "database"
ports = { postgres = 5432 }
offsets = { postgres = 20, spare = 21 }
outage = "predictions go on"
"""
FOO = """
[foo]
component = "foo"
package = "headrace_foo"
settings = { FOO_ = "headrace_foo.settings:FooSettings" }
ports = { grpc = 8110, metrics = 8111 }
calls = ["postgres:postgres"]
hosts = { grpc = "foo-calls" }
database = "foo"
scaled = "process"
outage = "predictions stop"
"""


def test_a_service_is_what_is_said_of_it():
    foo = description.parsed(STORES + FOO)["foo"]
    assert (foo.name, foo.prefix, foo.scaled, foo.outage) == ("foo", "FOO_", Scaled.PROCESS, Outage.STOP)
    assert foo.calls == (Call("foo", "postgres", "postgres"),)
    assert not foo.store


def test_a_port_in_containers_is_reached_by_a_name_and_in_a_wheel_stack_by_its_distance_from_the_base():
    services = description.parsed(STORES + FOO)
    assert services["foo"].address("grpc") == "foo-calls:8110"
    assert services["foo"].address("metrics") == "foo:8111"
    assert services["foo"].wheel_ports == {"grpc": 30, "metrics": 31}
    assert services["postgres"].wheel_ports == {"postgres": 20, "spare": 21}


def test_callers_and_calls_are_two_views_of_one_list():
    services = description.parsed(STORES + FOO)
    assert description.calls(services) == {Call("foo", "postgres", "postgres")}
    assert description.callers(services, "postgres", "postgres") == ["foo"]
    assert [service.name for service in description.own(services)] == ["foo"]


def test_the_order_of_an_upgrade_is_that_of_calls_and_who_calls_in_a_circle_is_named():
    second = (
        FOO.replace("foo", "bar")
        .replace("8110", "8112")
        .replace("8111", "8113")
        .replace('"postgres:postgres"', '"foo:grpc"')
    )
    second = second.replace('database = "bar"', "")
    assert description.in_order(description.parsed(STORES + second + FOO)) == ["foo", "bar"]
    circle = FOO.replace('["postgres:postgres"]', '["postgres:postgres", "bar:grpc"]')
    with pytest.raises(DescriptionError, match=r"call each other in a circle: .*bar"):
        description.parsed(STORES + second + circle)


def test_a_further_service_gets_ports_that_nobody_has_and_that_stand_beside_each_other():
    services = description.parsed(STORES + FOO.replace("8110", "8081").replace("8111", "8083"))
    assert description.free_ports(services, 2) == [8084, 8085]
    assert description.free_ports(services, 1) == [8080]
    with pytest.raises(DescriptionError, match="60 free ports are wanted, and of 8080 to 8139 56 are"):
        description.free_ports(services, 60)


@each(
    "was,instead,named",
    [
        pytest.param("state = true", "[", "not TOML", id="not TOML"),
        pytest.param('database = "foo"', "colour = 1", "foo: colour is no field; there are asks_health", id="unknown"),
        pytest.param('component = "foo"', "", "foo: component is missing", id="without a name in the wheel stack"),
        pytest.param('"postgres:postgres"', '"postgres"', "'postgres' is not service:port", id="a call to no port"),
        pytest.param('"postgres:postgres"', '"redis:redis"', "calls redis:redis, which is not there", id="to nobody"),
        pytest.param('"postgres:postgres"', "", "foo: has a database and does not call", id="a database unreached"),
        pytest.param(
            'database = "foo"', 'buckets = { S3_BUCKET = "b" }', "foo: has buckets and does not call", id="buckets too"
        ),
        pytest.param('{ grpc = "foo-calls" }', '{ rest = "x" }', "foo: rest is not one of its ports", id="no port"),
        pytest.param('"predictions stop"', '"bad"', "foo: 'bad' is not a valid Outage", id="an outage"),
        pytest.param('network = "database"', "", "postgres: network is missing", id="a store that nobody reaches"),
        pytest.param("metrics = 8111", "metrics = 8110", "foo: port 8110 is that of foo", id="one port twice"),
        pytest.param("8110", "8140", "foo: grpc must lie in 8080..8139", id="a port that no wheel stack has"),
        pytest.param("8110", "8100", "postgres: offset 20 is that of foo", id="one place in the wheel stack twice"),
        pytest.param('component = "foo"', 'component = "postgres"', "component postgres is that of", id="one name"),
        pytest.param("settings = {", "package2 = {", "no field", id="misspelt"),
    ],
)
def test_what_cannot_be_is_refused_by_name(was: str, instead: str, named: str):
    text = FOO + "state = true\n" + STORES
    assert was in text
    with pytest.raises(DescriptionError, match=named.replace("(", r"\(")):
        description.parsed(text.replace(was, instead))


def test_only_a_store_is_told_nothing():
    with pytest.raises(DescriptionError, match="foo: settings is missing"):
        description.parsed(STORES + FOO.replace('settings = { FOO_ = "headrace_foo.settings:FooSettings" }', ""))
