"""What it means to scale, add or remove a component of a running stack."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from headrace_stack.replicas import MOST, MOST_POOLS, ONE_OF_EACH, Backend, Pool, Replicas, of_json
from headrace_stack.scale_changes import ScalingError, added, count, removed, scalable, scaled, steps
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

IN_DOOR = {"registry": "registry", "router-control": "router-control", "monitor": "monitor", "front-door": "front-door"}
SERVICE = {"registry": "registry", "router-data": "front-door", "scorer": "scorer"}


@pytest.mark.parametrize(
    ("component", "replicas", "expected"),
    [
        ("batcher-default", 3, Replicas().with_batchers(3)),
        ("batcher-cpu", 2, Replicas().with_batchers(2, "cpu")),
        ("registry", 2, Replicas(registries=2)),
        ("router-control", 64, Replicas(control_planes=64)),
        ("monitor", 4, Replicas(monitors=4)),
        ("front-door", 2, Replicas(data_planes=2)),
        ("registry", 1, ONE_OF_EACH),
    ],
)
def test_a_component_is_scaled_by_its_name(component: str, replicas: int, expected: Replicas):
    assert scaled(ONE_OF_EACH, IN_DOOR, component, replicas) == expected
    assert count(expected, IN_DOOR, component) == replicas


@each(
    "component,replicas,field,says",
    [
        ("batcher-defualt", 2, "component", "known: registry, router-control, monitor, front-door, batcher-default"),
        ("default", 2, "component", "known: "),
        ("batcher-", 2, "component", "known: "),
        ("batcher-default-1", 2, "component", "known: "),
        ("router-data", 2, "component", "no component"),
        ("postgres", 2, "component", "cannot be scaled: a second PostgreSQL"),
        ("", 2, "component", "known: "),
        ("batcher-default", MOST + 1, "replicas", f"0..{MOST}"),
        ("batcher-default", -1, "replicas", f"0..{MOST}"),
        ("batcher-default", 0, "to_zero", "--to-zero"),
        ("registry", 0, "replicas", "only batchers"),
    ],
)
def test_what_cannot_be_is_refused_naming_the_field(component: str, replicas: int, field: str, says: str):
    with pytest.raises(ScalingError) as caught:
        scaled(ONE_OF_EACH, IN_DOOR, component, replicas)
    assert (caught.value.field, says in str(caught.value)) == (field, True), str(caught.value)


def test_the_batchers_that_are_named_leave_first_and_new_ones_take_the_numbers_that_are_free():
    three = scaled(ONE_OF_EACH, IN_DOOR, "batcher-cpu", 3)

    def numbers(now: Replicas) -> tuple[int, ...]:
        pool = now.pool("cpu")
        assert pool is not None
        return pool.numbers

    two = scaled(three, IN_DOOR, "batcher-cpu", 2, first=[1])
    assert numbers(two) == (0, 2)
    assert count(two, IN_DOOR, "batcher-cpu") == 2
    assert two == scaled(ONE_OF_EACH, IN_DOOR, "batcher-cpu", 2), "how many there are is what counts"
    assert numbers(scaled(two, IN_DOOR, "batcher-cpu", 1)) == (0,)
    assert numbers(scaled(two, IN_DOOR, "batcher-cpu", 1, first=[0])) == (2,)
    assert numbers(scaled(two, IN_DOOR, "batcher-cpu", 4)) == (0, 1, 2, 3)
    assert numbers(of_json(json.loads(json.dumps(asdict(two))))) == (0, 2)


@given(st.lists(st.tuples(st.integers(0, 8), st.lists(st.integers(0, 9), max_size=4)), max_size=12))
def test_a_pool_has_as_many_batchers_as_were_asked_for_and_nobody_leaves_who_need_not(
    asked: list[tuple[int, list[int]]],
):
    pool = Pool("default")
    for wanted, first in asked:
        before, pool = pool.numbers, pool.resized(wanted, first)
        after = pool.numbers
        assert len(after) == wanted == len(set(after))
        assert max(after, default=0) < 10
        if wanted >= len(before):
            assert set(before) <= set(after)
            continue
        assert set(after) < set(before)
        left = [number for number in before if number not in after]
        named = [number for number in first if number in before]
        assert set(left) <= set(named) or set(named) <= set(left)


def test_the_last_batcher_goes_only_where_somebody_says_so():
    none = scaled(ONE_OF_EACH, IN_DOOR, "batcher-default", 0, to_zero=True)
    assert count(none, IN_DOOR, "batcher-default") == 0
    with pytest.raises(ScalingError, match="only batchers"):
        scaled(ONE_OF_EACH, IN_DOOR, "registry", 0, to_zero=True)


def test_a_data_plane_is_a_front_door_or_a_service_of_its_own():
    assert "front-door" in scalable(ONE_OF_EACH, IN_DOOR)
    assert "router-data" in scalable(ONE_OF_EACH, SERVICE)
    assert "front-door" not in scalable(ONE_OF_EACH, SERVICE)


def test_a_service_that_is_only_described_scales_too():
    twice = scaled(ONE_OF_EACH, SERVICE, "scorer", 2)
    assert (count(twice, SERVICE, "scorer"), count(twice, SERVICE, "registry")) == (2, 1)
    assert scaled(twice, SERVICE, "scorer", 1) == ONE_OF_EACH
    assert scaled(ONE_OF_EACH, SERVICE, "router-data", 2).data_planes == 2


def test_a_pool_is_added_once_and_can_be_removed_again():
    more = added(ONE_OF_EACH, "batcher-big", "triton", 2)
    assert more.pool("big") == Pool("big", Backend.TRITON, 2)
    assert added(more, "batcher-big", "triton") == more
    assert removed(more, IN_DOOR, "batcher-big") == ONE_OF_EACH


@pytest.mark.parametrize(
    ("component", "backend", "field"),
    [
        ("registry", "triton", "component"),
        ("batcher-", "triton", "component"),
        ("batcher-big-1", "triton", "component"),
        ("batcher-Big", "triton", "component"),
        ("batcher-../x", "triton", "component"),
        ("batcher-big", "tensorrt", "backend"),
        ("batcher-cpu", "triton", "backend"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(component: str, backend: str, field: str):
    with pytest.raises(ScalingError) as caught:
        added(ONE_OF_EACH, component, backend)
    assert caught.value.field == field


def test_pools_are_bounded_and_the_last_one_stays():
    now = ONE_OF_EACH
    for number in range(MOST_POOLS - len(now.pools)):
        now = added(now, f"batcher-p{number}", "onnxruntime")
    with pytest.raises(ScalingError, match="the most"):
        added(now, "batcher-more", "triton")
    with pytest.raises(ScalingError, match="last pool"):
        removed(Replicas(pools=(Pool("default"),)), IN_DOOR, "batcher-default")
    with pytest.raises(ScalingError, match="only pools"):
        removed(ONE_OF_EACH, IN_DOOR, "registry")


@given(st.integers(0, 8), st.integers(0, 8))
def test_the_newest_replicas_go_first_and_nothing_else_is_touched(before: int, after: int):
    def names(replicas: int) -> list[str]:
        return ["other", *(f"one-{number}" for number in range(replicas))]

    found = steps(names(before), names(after))
    assert found.start == tuple(f"one-{number}" for number in range(before, after))
    assert found.stop == tuple(f"one-{number}" for number in reversed(range(after, before)))
