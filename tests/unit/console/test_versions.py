"""What the page of a version says of one that is a pipeline."""

from __future__ import annotations

from headrace.registry.v1 import pipeline_pb2, registry_pb2
from headrace_console.pages.markup import environment
from headrace_console.pages.versions import StepRow, steps_of

VERSION = registry_pb2.ModelVersion(
    pipeline=pipeline_pb2.Pipeline(
        steps=[
            {"name": "normalise", "graph": "n.onnx", "digest": "g", "inputs": [{"source": {"tensor": "image"}}]},
            {
                "name": "linear",
                "model": {"model": "digits", "alias": "champion"},
                "digest": "d",
                "inputs": [{"input": "x", "source": {"step": "normalise", "tensor": "normalised"}}],
                "pool": "cpu",
                "retries": 1,
                "soft_fail": True,
                "timeout": {"nanos": 50_000_000},
            },
            {
                "name": "mean",
                "combiner": {"kind": pipeline_pb2.Combiner.KIND_FIRST_GOOD, "quorum": 1},
                "digest": "c",
                "inputs": [{"source": {"step": "linear", "tensor": "y"}}] * 2,
            },
        ]
    ),
    members=[
        {"name": "models/ensemble/versions/v1--normalise", "digest": "g"},
        {"name": "models/digits/versions/v7", "digest": "d"},
        {"name": "models/ensemble/versions/v1--mean", "digest": "c"},
    ],
)


def test_a_step_names_the_version_that_it_runs_what_it_takes_and_its_limits():
    graph, model, combiner = steps_of(VERSION)
    assert graph == StepRow("normalise", "n.onnx", "", "", ("request.image",), ())
    limits = ("pool cpu", "at most 50 ms", "1 more try", "zeros when it fails")
    assert model == StepRow("linear", "digits", "digits", "v7", ("normalise.normalised",), limits)
    assert combiner == StepRow("mean", "first good, 1 of 2 enough", "", "", ("linear.y", "linear.y"), ())


def test_a_member_that_is_not_told_of_leads_nowhere():
    lost = registry_pb2.ModelVersion(pipeline=VERSION.pipeline, members=[{"name": "odd", "digest": "d"}])
    assert [(step.model, step.runs) for step in steps_of(lost)][1] == ("", "digits")


def test_a_version_that_is_no_pipeline_has_no_steps():
    assert steps_of(registry_pb2.ModelVersion(name="models/digits/versions/v1")) == []


def test_answers_that_differ_from_the_expected_are_marked():
    value = environment().get_template("parts.html").module.metric_value  # pyright: ignore[reportAttributeAccessIssue]
    marked = value(registry_pb2.Metric(name="parity_over_tolerance", value=108.7))
    assert 'class="tag bad"' in marked
    assert "108.7" in marked
    for name, other in (("parity_over_tolerance", 1.0), ("accuracy", 2.0)):
        assert value(registry_pb2.Metric(name=name, value=other)) == str(int(other))
