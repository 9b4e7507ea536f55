"""RunEvents of versions, held against OpenLineage's own classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from headrace_registry.decisions.lineage import changes_lineage, run_events, run_id
from headrace_registry.decisions.models import Action, Composition, Lineage, Member, Model, Stage, Version, VersionRef
from headrace_runtime.pipelines.graph import Pipeline

from tests.kit.registry.contents import event, full_version
from tests.kit.registry.lineage import plain, rebuilt

MODEL = Model("digits", incarnation=UUID(int=7))
TRAINED = replace(full_version(version="v3"), lineage=Lineage("v2", "run-1", "s3://tables/digits/day=1", "abc"))
REGISTERED = event(5, 1, action=Action.VERSION_CREATED, version="v3", to_stage=Stage.REGISTERED)
PROMOTED = event(
    6, 1, action=Action.STAGE_CHANGED, version="v3", from_stage=Stage.REGISTERED, to_stage=Stage.PRODUCTION
)
ROLLED_BACK = event(9, 1, action=Action.ROLLED_BACK, version="v3", from_stage=Stage.ARCHIVED, to_stage=Stage.PRODUCTION)


def completed(of: Any, version: Version = TRAINED, parent_digest: str = "p") -> dict[str, Any]:
    """Return the last event of a run."""
    return run_events(MODEL, of, version, parent_digest, "1.0")[-1]


def names(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["namespace"], one["name"]) for one in event["inputs"]]


@pytest.mark.parametrize("of", [REGISTERED, PROMOTED, ROLLED_BACK])
@pytest.mark.parametrize("version", [TRAINED, replace(TRAINED, lineage=Lineage())])
def test_an_event_is_what_the_client_of_openlineage_writes(of: Any, version: Version):
    told = run_events(MODEL, of, version, "p", "1.0")
    assert [one["eventType"] for one in told] == ["START", "COMPLETE"]
    assert len({one["run"]["runId"] for one in told}) == 1
    for one in told:
        assert plain(one) == plain(rebuilt(one))


def test_a_version_is_made_from_its_data_and_its_parent_and_is_known_by_its_digest():
    told = completed(REGISTERED)
    assert names(told) == [("s3://tables", "digits/day=1"), ("headrace", "models/digits/versions/v2")]
    assert told["inputs"][1]["facets"]["version"]["datasetVersion"] == "p"
    (output,) = told["outputs"]
    assert (output["namespace"], output["name"]) == ("headrace", "models/digits/versions/v3")
    assert output["facets"]["version"]["datasetVersion"] == TRAINED.digest
    assert output["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    tags = {tag["key"]: tag["value"] for tag in output["facets"]["tags"]["tags"]}
    assert tags == {"stage": "registered", "format": "onnx", "code_revision": "abc", "training_run": "run-1"}


def test_each_kind_of_change_is_a_job_and_alters_the_version_that_registering_makes():
    jobs = [completed(of)["job"]["name"] for of in (REGISTERED, PROMOTED, ROLLED_BACK)]
    assert jobs == ["registration.digits", "promotion.digits.production", "rollback.digits"]
    (output,) = completed(PROMOTED)["outputs"]
    assert output["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "ALTER"
    assert {"key": "stage", "value": "production", "source": "HEADRACE"} in output["facets"]["tags"]["tags"]
    assert output["name"] == completed(REGISTERED)["outputs"][0]["name"]


def test_a_pipeline_is_made_from_the_versions_in_it_and_not_from_its_own_graphs():
    serving = TRAINED.serving
    members = tuple(
        Member(VersionRef(model, version), digest, TRAINED.contract, serving)
        for model, version, digest in (("a", "v1", "da"), ("digits", "v3--join", "own"), ("digits", "v1", "db"))
    )
    pipeline = replace(TRAINED, lineage=Lineage(), composition=Composition(Pipeline((), ()), members))
    told = completed(REGISTERED, pipeline)
    assert names(told) == [("headrace", "models/a/versions/v1"), ("headrace", "models/digits/versions/v1")]
    assert [one["facets"]["version"]["datasetVersion"] for one in told["inputs"]] == ["da", "db"]


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        ("s3://tables", ("s3://tables", "/")),
        ("gs://lake/a b/c@3", ("gs://lake", "a b/c@3")),
        ("postgresql://ana:s3cr@et@db:5432/lake", ("postgresql://db:5432", "lake")),
        ("digits@3", ("headrace", "datasets/digits@3")),
        ("models/digits/versions/v1", ("headrace", "datasets/models/digits/versions/v1")),
        ("http://[", ("http://[", "/")),
        ("://x", ("headrace", "datasets/://x")),
    ],
)
def test_training_data_are_named_by_their_place_and_never_as_a_version(dataset: str, place: tuple[str, str]):
    version = replace(TRAINED, lineage=Lineage(dataset=dataset))
    assert names(completed(REGISTERED, version)) == [place]


def test_a_run_has_another_id_for_each_change_and_in_each_store():
    assert run_id(MODEL.incarnation, "digits", PROMOTED) == run_id(MODEL.incarnation, "digits", PROMOTED)
    others = {run_id(MODEL.incarnation, "digits", of) for of in (REGISTERED, PROMOTED, ROLLED_BACK)}
    others |= {run_id(UUID(int=8), "digits", PROMOTED), run_id(MODEL.incarnation, "other", PROMOTED)}
    assert len(others) == 5


def test_what_makes_no_version_serve_is_no_run():
    archived = event(6, 0, action=Action.STAGE_CHANGED, version="v2", to_stage=Stage.ARCHIVED)
    assert [changes_lineage(of) for of in (REGISTERED, PROMOTED, ROLLED_BACK)] == [True] * 3
    assert not changes_lineage(archived)
    assert not changes_lineage(event(6, action=Action.ALIAS_SET, version="v3"))
