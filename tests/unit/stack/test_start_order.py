"""In which order components start and stop, and which sets of components are refused."""

import pytest
from headrace_stack.component import Component
from headrace_stack.ports import Port
from headrace_stack.start_order import TopologyError, dependents, start_waves, with_needs
from hypothesis import given
from hypothesis import strategies as st


async def healthy() -> None:
    return None


def component(name: str, *needs: str, ports: tuple[int, ...] = ()) -> Component:
    listening = tuple(Port(number, name) for number in ports)
    return Component(name=name, command=("true",), ready=healthy, needs=needs, ports=listening)


def test_what_needs_nothing_starts_together_and_the_rest_after_its_needs():
    waves = start_waves(
        [
            component("router", "postgres", "registry"),
            component("registry", "postgres", "s3"),
            component("s3"),
            component("postgres"),
        ]
    )
    assert waves == (("postgres", "s3"), ("registry",), ("router",))


@pytest.mark.parametrize(
    ("components", "complaint"),
    [
        pytest.param([component("a", "b")], "'a' needs 'b'", id="a need that nobody provides"),
        pytest.param([component("a", "b"), component("b", "a")], "circle", id="a circle"),
        pytest.param([component("a"), component("a")], "two components are called 'a'", id="a name used twice"),
        pytest.param(
            [component("a", ports=(1,)), component("b", ports=(1,))], "both listen on port 1", id="a port used twice"
        ),
    ],
)
def test_a_topology_that_cannot_start_is_refused_naming_what_is_wrong(components: list[Component], complaint: str):
    with pytest.raises(TopologyError, match=complaint):
        start_waves(components)


def test_dependents_stop_before_what_they_need():
    found = dependents([component("postgres"), component("registry", "postgres"), component("router", "registry")])
    assert found == {"postgres": ("registry",), "registry": ("router",), "router": ()}


def test_choosing_a_component_brings_everything_it_needs_and_nothing_else():
    everything = [component("s3"), component("postgres"), component("registry", "postgres"), component("envoy")]
    assert [chosen.name for chosen in with_needs(everything, ["registry"])] == ["postgres", "registry"]


def test_choosing_an_unknown_component_names_the_known_ones():
    with pytest.raises(TopologyError, match="known: postgres"):
        with_needs([component("postgres")], ["postgress"])


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8))
def test_every_component_starts_after_all_that_it_needs(edges: list[set[int]]):
    # Edges only point to earlier components, so there is an order.
    components = [
        component(str(number), *(str(need) for need in needs if need < number)) for number, needs in enumerate(edges)
    ]
    started: set[str] = set()
    by_name = {item.name: item for item in components}
    for wave in start_waves(components):
        assert all(set(by_name[name].needs) <= started for name in wave)
        started.update(wave)
    assert started == set(by_name)
