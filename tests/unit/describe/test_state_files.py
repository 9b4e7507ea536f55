"""Files that describe an installation: what they state, what of it differs, and how wrong ones are refused."""

from importlib import resources

import headrace
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from headrace.autoscaler.v1 import policy_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import budget_pb2, route_pb2
from headrace_client.calls import Call, Session
from headrace_client.errors import InvalidArgument
from headrace_client.tokens import TokenCache
from headrace_describe.operations.state import Change, apply_change
from headrace_describe.state_differences import differences, wanted
from headrace_describe.state_files import KINDS, Kind, read_state


@pytest.fixture
def described(tmp_path):
    """Return the resources of a text."""

    def read(text: str, name: str = "state.yaml"):
        (tmp_path / name).write_text(text)
        return read_state([tmp_path / name])

    return read


ROUTE = """
routes:
  fraud:
    variants:
      - {name: production, follow_production: true, weight: 90}
      - {name: v2, version: v2, weight: 10}
    max_wait: 0.005s
"""


def test_what_others_name_comes_before_those_that_name_it(described):
    found = described("routes: {b: {}, a: {}}\nbudgets: {x: {client: ada}}\nmodels: {m: {description: d}}")
    assert [one.name for one in found] == ["models/m", "budgets/x", "routes/a", "routes/b"]


def test_a_route_that_is_as_described_differs_in_nothing_whatever_the_service_says_besides(described):
    (resource,) = described(ROUTE)
    present = wanted(resource, None)
    assert isinstance(present, route_pb2.Route)
    assert differences(None, present, resource.stated)
    present.etag, present.unit = "7", route_pb2.Route.UNIT_USER
    for variant in present.variants:
        variant.pool, variant.serving_version = "default", "v1"

    made = wanted(resource, present)
    assert differences(present, made, resource.stated) == []
    assert isinstance(made, route_pb2.Route)
    assert (made.etag, made.unit) == ("7", route_pb2.Route.UNIT_USER)


def test_what_differs_is_told_and_what_is_not_stated_stays(described):
    (resource,) = described("models: {m: {description: new, labels: {team: a}}}")
    present = registry_pb2.Model(name="models/m", description="old", labels={"team": "a", "tier": "1"}, etag="3")
    present.promotion_policy.gates.add(metric="accuracy", minimum=0.9)

    made = wanted(resource, present)
    assert isinstance(made, registry_pb2.Model)
    assert [one.split(":")[0] for one in differences(present, made, resource.stated)] == ["description", "labels"]
    assert dict(made.labels) == {"team": "a"}
    assert (made.etag, len(made.promotion_policy.gates)) == ("3", 1)


def test_a_part_is_laid_over_field_by_field_and_null_takes_a_field_away(described):
    (resource,) = described("pools: {gpu: {max_replicas: null, preset: knative}}")
    present = policy_pb2.ScalingPolicy(name="pools/gpu/policy", max_replicas=9, min_replicas=2)

    made = wanted(resource, present)
    assert isinstance(made, policy_pb2.ScalingPolicy)
    assert (made.HasField("max_replicas"), made.min_replicas, made.preset) == (False, 2, "knative")
    assert len(differences(present, made, resource.stated)) == 2


def test_gates_read_as_the_command_line_has_them(described):
    text = "models: {m: {promotion_policy: {gates: ['accuracy>=production-0.01', latency_p99_ms<=20@measured]}}}"
    (resource,) = described(text)
    made = wanted(resource, None)
    assert isinstance(made, registry_pb2.Model)
    first, second = made.promotion_policy.gates
    assert (first.metric, first.minimum_delta) == ("accuracy", -0.01)
    assert (second.metric, second.maximum, second.measured_only) == ("latency_p99_ms", 20, True)
    present = registry_pb2.Model(name="models/m")
    present.promotion_policy.gates.add(metric="accuracy", minimum=0.9)
    assert differences(present, made, resource.stated) == [
        "promotion_policy.gates: accuracy>=0.9 -> accuracy>=production-0.01, latency_p99_ms<=20@measured"
    ]
    assert differences(made, wanted(resource, made), resource.stated) == []


def test_a_zero_that_is_stated_is_compared(described):
    (resource,) = described("budgets: {b: {client: ada, refuse_above_s: 0}}")
    present = budget_pb2.Budget(name="budgets/b", client="ada", refuse_above_s=5)
    made = wanted(resource, present)
    assert differences(present, made, resource.stated) == ["refuse_above_s: 5.0 -> -"]
    assert differences(made, made, resource.stated) == []


def test_a_zero_that_is_stated_where_nothing_is_differs_where_the_api_tells_them_apart(described):
    (resource,) = described("pools: {gpu: {min_replicas: 0}}")
    present = policy_pb2.ScalingPolicy(name="pools/gpu/policy")
    made = wanted(resource, present)
    assert isinstance(made, policy_pb2.ScalingPolicy)
    assert (made.HasField("min_replicas"), differences(present, made, resource.stated)) == (
        True,
        ["min_replicas: - -> 0"],
    )
    assert differences(made, wanted(resource, made), resource.stated) == []


def test_what_a_file_does_not_say_of_the_items_of_a_list_stays_while_another_field_changes(described):
    (resource,) = described(ROUTE.replace("0.005s", "0.007s"))
    (before,) = described(ROUTE, "before.yaml")
    present = wanted(before, None)
    assert isinstance(present, route_pb2.Route)
    present.variants[1].pool = "gpu"

    made = wanted(resource, present)
    assert isinstance(made, route_pb2.Route)
    assert [one.split(":")[0] for one in differences(present, made, resource.stated)] == ["max_wait"]
    assert made.variants[1].pool == "gpu"


def test_fewer_items_of_a_list_and_other_ones_differ(described):
    (resource,) = described(ROUTE)
    present = wanted(resource, None)
    assert isinstance(present, route_pb2.Route)
    present.variants.add(name="v3", version="v3", weight=1)
    assert differences(present, wanted(resource, present), resource.stated)
    del present.variants[2:]
    present.variants[1].weight = 20
    assert differences(present, wanted(resource, present), resource.stated)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modles: {}", "state.yaml:1: 'modles' is not known here; known: models"),
        ("models: [1]", "state.yaml:1: models must be names"),
        ("models:\n  m: 5", "state.yaml:2: models.m must be fields"),
        ("models:\n  m: {epoch: 5}", "state.yaml:2: models.m.epoch is for the service to say"),
        ("models: {m: {}}\nmodels: {}", "state.yaml:2: 'models' is there twice"),
        ("a: [", "state.yaml:1:"),
        ("models:\n  m: {description: !!int x}", "state.yaml:2: a value is not the int"),
        ("models:\n  m: {description: !!bool x}", "state.yaml:2: a value is not the bool"),
        ("models:\n  m: {description: !own x}", "state.yaml:2: a value is not the !own"),
        ("models:\n  m: {description: " + "9" * 5000 + "}", "state.yaml:2: a value is not the int"),
        ("models:\n  m: {promotion_policy: {gates: [accuracy>0.9]}}", "state.yaml:2: 'accuracy>0.9' is no gate; write"),
        ("models: &a {m: *a}", "nested too deeply"),
        ("? {a: b}\n: c", "state.yaml:1: a name must be one word"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in
                                                   zip("abcdef", "bcdefg", strict=True)), "more than 200,000 values"),
    ],
)  # fmt: skip
def test_a_file_that_describes_nothing_is_refused_with_its_line(described, text, told):
    with pytest.raises(InvalidArgument) as refused:
        described(text)
    assert told in str(refused.value)
    assert refused.value.reason == "STATE_INVALID"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("{desciption: x}", "desciption"),
        ("{description: 5}", "description"),
        ("{promotion_policy: {gates: [{metrik: a}]}}", "metrik"),
        ("{promotionPolicy: {}}", "promotionPolicy is not known here"),
        ("{promotion_policy: {gates: [{metric: a, otherSpelling: 1}]}}", "gates[0].otherSpelling is not known here"),
    ],
)
def test_fields_that_the_api_does_not_have_are_refused_with_the_line_of_their_resource(described, fields, told):
    (resource,) = described(f"models:\n\n  m: {fields}")
    with pytest.raises(InvalidArgument) as refused:
        wanted(resource, None)
    assert "state.yaml:3: models.m" in str(refused.value)
    assert told in str(refused.value)


def test_another_spelling_of_the_api_within_a_list_is_refused_where_the_resource_is_there_already(described):
    (resource,) = described(ROUTE)
    present = wanted(resource, None)
    (other,) = described(ROUTE.replace("follow_production", "followProduction"), "other.yaml")
    with pytest.raises(InvalidArgument, match=r"other\.yaml:3: routes\.fraud\.variants\[0\]\.followProduction"):
        wanted(other, present)


def test_a_date_that_nobody_quoted_is_a_text_also_where_there_is_no_such_day(described):
    (resource,) = described("models: {m: {description: 2026-13-45, labels: {since: 2026-01-02, sign: =}}}")
    assert resource.stated == {"description": "2026-13-45", "labels": {"since": "2026-01-02", "sign": "="}}


def test_a_resource_of_two_files_is_refused_with_both_places(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("models: {m: {}}")
    with pytest.raises(InvalidArgument, match=r"b\.yaml:1: models\.m is in a\.yaml:1 too"):
        read_state([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_an_empty_file_describes_nothing(described):
    assert described("") == []


def test_a_route_is_waited_for_as_long_as_its_versions_may_take_to_be_loaded(described):
    (resource,) = described(ROUTE)
    operation = apply_change(Session(TokenCache(None)), Change(resource, None, wanted(resource, None), ()))
    step = next(operation)
    assert isinstance(step, Call)
    assert step.timeout_s > 120, "after which the service itself gives up"


def test_what_a_service_fills_in_of_a_policy_is_no_difference(described):
    (resource,) = described("pools: {gpu: {targets: [{metric: requests_per_s, value: 100}], max_replicas: 2}}")
    present = wanted(resource, None)
    assert isinstance(present, policy_pb2.ScalingPolicy)
    present.targets[0].kind = policy_pb2.Target.KIND_TOTAL
    present.min_replicas = 1
    assert differences(present, wanted(resource, present), resource.stated) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_a_file_states_nothing_that_only_a_service_says(kind: Kind):
    assert said_by_services(kind.message) <= kind.fixed


def said_by_services(message: type[Message]) -> set[str]:
    """Return the fields of a message whose comments begin with `Output only`."""
    raw = resources.files(headrace).joinpath("descriptors.binpb").read_bytes()
    file = next(one for one in FileDescriptorSet.FromString(raw).file if one.name == message.DESCRIPTOR.file.name)
    at = [one.name for one in file.message_type].index(message.DESCRIPTOR.name)
    fields, of_message = file.message_type[at].field, [4, at, 2]
    return {
        fields[one.path[3]].name
        for one in file.source_code_info.location
        if list(one.path[:3]) == of_message and len(one.path) == 4 and "Output only" in one.leading_comments
    }
