"""Experiments on the command line: how metrics are written, and how units become a Parquet file."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import click
import pyarrow
import pyarrow.parquet
import pytest
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_client.errors import InvalidArgument
from headrace_release.cli.experiments.export import write_units
from headrace_release.cli.experiments.metrics import MetricText
from headrace_release.cli.experiments.plan import measured
from headrace_release.cli.experiments.progress import looks

from tests.kit.rows import each


def metric(text: str) -> pb.Experiment.Metric:
    return MetricText().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "name", "kind", "lower", "quantile"),
    [
        ("conversion", "conversion", pb.Experiment.KIND_BINARY, False, 0.0),
        ("-refund", "refund", pb.Experiment.KIND_BINARY, True, 0.0),
        ("reward:mean", "reward", pb.Experiment.KIND_MEAN, False, 0.0),
        ("reward:ratio/predictions", "reward", pb.Experiment.KIND_RATIO, False, 0.0),
        ("-latency:p95", "latency_p95", pb.Experiment.KIND_QUANTILE, True, 0.95),
        ("latency:p999", "latency_p999", pb.Experiment.KIND_QUANTILE, False, 0.999),
    ],
)
def test_a_metric_is_written_in_a_word(text: str, name: str, kind: Any, lower: bool, quantile: float):
    found = metric(text)
    assert (found.name, found.kind, found.lower_is_better, found.quantile) == (name, kind, lower, quantile)


@each(
    "text",
    [
        *("", ":mean", ":p95", "reward:median", "reward:p", "reward:p5", "reward:p9999"),
        *("reward:p00", "reward:p100", "reward:p95/predictions"),
    ],
)
def test_what_is_no_metric_is_refused_with_an_example(text: str):
    with pytest.raises(click.BadParameter, match="reward:mean"):
        metric(text)


@pytest.mark.parametrize("text", ["reward:p95", "reward:ratio/predictions"])
def test_a_plan_measures_neither_ratios_nor_quantiles(text: str):
    asked_nobody: Any = None
    with pytest.raises(InvalidArgument, match="only rates and means are measured"):
        measured(asked_nobody, "shop", metric(text))


class Watched:
    """A client of an experiment of which the data say this at each look, and that has ended at the last of them."""

    def __init__(self, *verdicts: Any) -> None:
        self._verdicts, self.looks, self.experiments = verdicts, 0, self

    def get(self, *_: str) -> pb.Experiment:
        ended = self.looks >= len(self._verdicts) - 1
        return pb.Experiment(state=pb.Experiment.STATE_ENDED if ended else pb.Experiment.STATE_RUNNING)

    def analyse(self, *_: str) -> pb.AnalyseExperimentResponse:
        self.looks += 1
        return pb.AnalyseExperimentResponse(verdict=self._verdicts[min(self.looks, len(self._verdicts)) - 1])


UNDECIDED, BETTER = (pb.AnalyseExperimentResponse.VERDICT_UNDECIDED, pb.AnalyseExperimentResponse.VERDICT_BETTER)


@pytest.mark.parametrize(
    ("verdicts", "seconds", "count"),
    [([UNDECIDED], None, 1), ([UNDECIDED, UNDECIDED], None, 2), ([BETTER, UNDECIDED], None, 1), ([UNDECIDED], 0, 1)],
)
def test_a_watch_ends_with_a_verdict_with_the_experiment_and_with_its_time(
    verdicts: list[Any], seconds: float | None, count: int
):
    watched: Any = Watched(*verdicts)
    duration = None if seconds is None else timedelta(seconds=seconds)
    assert len(list(looks(watched, "shop", "ranking", duration, timedelta(0)))) == watched.looks == count


class Units:
    """A client that exports units in parts."""

    def __init__(self, *parts: list[str]) -> None:
        self._parts, self.experiments = parts, self

    def export_units(self, model: str, experiment: str, file: BinaryIO, *, part: int, **_: Any) -> None:
        batch = pyarrow.record_batch({"unit": pyarrow.array(self._parts[part], pyarrow.string())})
        sink = io.BytesIO()
        with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        file.write(sink.getvalue())


@pytest.mark.parametrize("parts", [(["a", "b"], ["c"]), ([], ["c"]), ([],)])
def test_units_of_all_parts_are_in_one_file(tmp_path: Path, parts: tuple[list[str], ...]):
    lent: Any = Units(*parts)
    path = tmp_path / "units.parquet"
    assert write_units(lent, "shop", "ranking", path, len(parts), 1.0) == sum(map(len, parts))
    assert pyarrow.parquet.read_table(path)["unit"].to_pylist() == [unit for part in parts for unit in part]
