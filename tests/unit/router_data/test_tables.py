import pytest
from headrace.router.v1 import control_pb2, predict_pb2, route_pb2
from headrace_router.buckets import BUCKETS
from headrace_router.data.tables.last_known_good import LastKnownGood
from headrace_router.data.tables.table import Table, table_of
from headrace_router.data.tables.tables import Tables
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import INCARNATION, resolved_version, table
from tests.kit.rows import each

PRESENT = route_pb2.Condition(attribute="a", present=True)


def message(model: str, generation: int, versions=(V1,), **shares) -> control_pb2.WatchTablesResponse:
    return control_pb2.WatchTablesResponse(
        table=table(model, versions, generation=generation, **shares),
        incarnation=INCARNATION,
        newest_generation=generation,
    )


def end(generation: int, incarnation: str = INCARNATION) -> control_pb2.WatchTablesResponse:
    return control_pb2.WatchTablesResponse(
        snapshot_complete=True, incarnation=incarnation, newest_generation=generation
    )


def loaded(*messages, newest: int) -> Tables:
    tables = Tables()
    assert tables.replace([*messages, end(newest)])
    return tables


def table_in_force(tables: Tables, model: str) -> Table:
    found = tables.by_model[model]
    assert found is not None
    return found


def released(tables: Tables, table: Table) -> None:
    table.open -= 1
    if table.retired:
        tables.answered(table)


def admitted(tables: Tables, model: str) -> Table:
    found = table_in_force(tables, model)
    found.open += 1
    return found


def test_a_unit_keeps_its_arm_and_shares_follow_the_ranges():
    split = table_of(table("digits", [V1, V2], shares={"v1": 0.9, "v2": 0.1}), {})
    variants = [split.assign(user_id=f"u{n}", entity_id="", request_id="r").name for n in range(20_000)]
    assert variants.count("v2") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert variants == [split.assign(user_id=f"u{n}", entity_id="e", request_id="q").name for n in range(20_000)]


def ruled() -> control_pb2.RouteTable:
    """Everything to v1, and Germans without a beta flag to v2."""
    proto = table("digits", [V1, V2])
    conditions = [
        route_pb2.Condition(attribute="country", equals="DE"),
        route_pb2.Condition(attribute="beta", present=False),
    ]
    proto.rules.add(name="germans", variant=1, conditions=conditions)
    return proto


@pytest.mark.parametrize(
    ("attributes", "variant", "rule"),
    [
        ({"country": "DE"}, "v2", "germans"),
        ({"country": "DE", "beta": "yes"}, "v1", ""),
        ({"country": "FR"}, "v1", ""),
        ({}, "v1", ""),
    ],
)
def test_a_rule_decides_before_the_weights_and_names_itself(attributes, variant, rule):
    route = table_of(ruled(), {})
    message = predict_pb2.PredictRequest(attributes=attributes)
    for given_attributes in (attributes, message.attributes):
        assigned = route.assign(user_id="ana", entity_id="", request_id="r", attributes=given_attributes)
        assert (assigned.name, assigned.rule) == (variant, rule)
    pinned = route.pin("v2")
    assert pinned is not None
    assert (pinned.name, pinned.rule) == ("", "")
    assert dict(message.attributes) == attributes, "looking at an attribute must not add it"


def test_without_rules_attributes_are_not_looked_at():
    class Untouched(dict):
        def get(self, *_):
            raise AssertionError("looked at")

    route = table_of(table("digits", [V1, V2], shares={"v1": 0.5, "v2": 0.5}), {})
    assert route.assign(user_id="ana", entity_id="", request_id="r", attributes=Untouched()).rule == ""


def test_a_pinned_version_is_one_that_the_route_names_and_has_no_variant():
    route = table_of(table("digits", [V1, V2]), {})
    pinned = route.pin("v2")
    assert pinned is not None
    assert (pinned.name, pinned.served.version) == ("", "v2")
    assert route.pin("v3") is None


def test_a_version_keeps_what_it_has_learnt_over_generations():
    tables = loaded(message("digits", 1), newest=1)
    before = next(table_in_force(tables, "digits").served_versions())
    tables.change(message("digits", 2, (V1, V2)))
    assert before in table_in_force(tables, "digits").served_versions()


@each(
    "spoil",
    [
        pytest.param(lambda t: t.ranges.pop(), id="no ranges"),
        pytest.param(lambda t: setattr(t.ranges[0], "end", BUCKETS - 1), id="buckets left over"),
        pytest.param(lambda t: setattr(t.ranges[0], "variant", 7), id="unknown variant"),
        pytest.param(lambda t: setattr(t.variants[0], "digest", "none"), id="unknown version"),
        pytest.param(lambda t: setattr(t, "salt", b""), id="no salt"),
        pytest.param(lambda t: t.versions[0].contract.Clear(), id="no contract"),
        pytest.param(lambda t: t.rules.add(name="r", variant=0), id="a rule for everybody"),
        pytest.param(lambda t: t.rules.add(variant=7, conditions=[PRESENT]), id="a rule to an unknown variant"),
        pytest.param(
            lambda t: t.rules.add(variant=0, conditions=[route_pb2.Condition(attribute="a")]),
            id="a condition of a later release",
        ),
    ],
)
def test_a_table_that_cannot_decide_is_refused_and_the_one_before_serves_on(spoil):
    tables = loaded(message("digits", 1), newest=1)
    broken = message("digits", 2, (V2,))
    spoil(broken.table)
    tables.change(broken)
    assert table_in_force(tables, "digits").generation == 1
    assert tables.acknowledgeable() == 1
    tables.change(message("digits", 3))
    assert tables.acknowledgeable() == 3


def test_a_generation_is_acknowledged_when_nothing_older_is_unanswered():
    drained = []
    tables = Tables(drained=lambda: drained.append(True))
    tables.replace([message("digits", 1), end(1)])
    old = admitted(tables, "digits")
    tables.change(message("digits", 2, (V2,)))
    new = admitted(tables, "digits")
    assert tables.acknowledgeable() == 1
    released(tables, old)
    assert drained
    assert tables.acknowledgeable() == 2
    released(tables, new)
    assert tables.acknowledgeable() == 2


def test_a_slow_request_of_one_model_does_not_hold_up_another_models_generation():
    tables = loaded(message("digits", 1), message("fraud", 2, (resolved_version("fraud", "v1"),)), newest=2)
    slow = admitted(tables, "fraud")
    tables.change(message("digits", 3, (V2,)))
    assert tables.acknowledgeable() == 3
    tables.change(message("fraud", 4, (resolved_version("fraud", "v2"),)))
    tables.change(message("digits", 5))
    assert tables.acknowledgeable() == 3
    released(tables, slow)
    assert tables.acknowledgeable() == 5


@given(st.lists(st.sampled_from(["admit", "answer", "change"]), max_size=60))
def test_acknowledging_never_overtakes_an_unanswered_request(events):
    tables = loaded(message("digits", 1), newest=1)
    unanswered: list[Table] = []
    for generation, event in enumerate(events, start=2):
        if event == "admit":
            unanswered.append(admitted(tables, "digits"))
        elif event == "answer" and unanswered:
            released(tables, unanswered.pop(0))
        elif event == "change":
            tables.change(message("digits", generation))
        held = any(one.generation < table_in_force(tables, "digits").generation for one in unanswered)
        assert held == (tables.acknowledgeable() < tables.newest_generation)


def test_a_snapshot_takes_away_what_it_does_not_name():
    tables = loaded(message("digits", 1), message("fraud", 2, (resolved_version("fraud", "v1"),)), newest=2)
    assert tables.replace([message("digits", 3), end(3)])
    assert set(tables.by_model) == {"digits"}


def test_a_snapshot_of_a_control_plane_that_lags_changes_nothing():
    tables = loaded(message("digits", 5), newest=5)
    assert not tables.replace([message("digits", 4, (V2,)), end(4)])
    assert table_in_force(tables, "digits").generation == 5


def test_a_snapshot_that_repeats_a_table_leaves_it_in_force():
    tables = loaded(message("digits", 5), newest=5)
    before = admitted(tables, "digits")
    assert tables.replace([message("digits", 5), end(6)])
    assert table_in_force(tables, "digits") is before
    assert tables.acknowledgeable() == 6


def test_a_snapshot_of_another_store_counts_whatever_its_numbers():
    tables = loaded(message("digits", 5), newest=5)
    old = admitted(tables, "digits")
    assert tables.replace([message("digits", 1, (V2,)), end(1, "another")])
    assert table_in_force(tables, "digits").generation == 1
    assert tables.acknowledgeable() == 0
    released(tables, old)
    assert tables.acknowledgeable() == 1


def test_models_come_stop_serving_and_go():
    tables = loaded(control_pb2.WatchTablesResponse(not_serving_model="new"), newest=0)
    assert tables.by_model == {"new": None}
    tables.change(message("new", 1, (resolved_version("new", "v1"),)))
    assert tables.by_model["new"] is not None
    tables.change(control_pb2.WatchTablesResponse(removed_model="new", newest_generation=1))
    assert tables.by_model == {}


def test_the_last_good_tables_bring_another_process_to_the_same_state(tmp_path):
    with_rule = message("digits", 7)
    with_rule.table.CopyFrom(ruled())
    with_rule.table.generation = 7
    tables = loaded(with_rule, control_pb2.WatchTablesResponse(not_serving_model="new"), newest=9)
    LastKnownGood(tmp_path / "state").write(tables.messages())
    restarted = Tables()
    assert restarted.replace(LastKnownGood(tmp_path / "state").read())
    assert set(restarted.by_model) == {"digits", "new"}
    assert (restarted.incarnation, restarted.newest_generation) == (INCARNATION, 9)
    in_force = table_in_force(restarted, "digits")
    assert in_force.generation == 7
    german = in_force.assign(user_id="ana", entity_id="", request_id="r", attributes={"country": "DE"})
    assert (german.name, german.rule) == ("v2", "germans")


@pytest.mark.parametrize("damage", [0, 20, 60, -1, "cut", "empty"])
def test_a_damaged_file_is_not_believed(tmp_path, damage):
    last_known_good = LastKnownGood(tmp_path)
    last_known_good.write([message("digits", 7), end(7)])
    content = bytearray(last_known_good.path.read_bytes())
    if damage == "cut":
        content = content[:-5]
    elif damage == "empty":
        content = bytearray()
    else:
        content[damage] ^= 0xFF
    last_known_good.path.write_bytes(content)
    assert last_known_good.read() == []


def test_without_a_file_there_are_no_tables(tmp_path):
    assert LastKnownGood(tmp_path).read() == []
