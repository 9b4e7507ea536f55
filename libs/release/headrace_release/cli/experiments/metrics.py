"""How metrics are written on the command line."""

from __future__ import annotations

import re
from typing import Any

import click
from headrace.monitor.v1 import experiment_pb2 as pb

# Not p00, which would be 0 and mean .5, and not p100, which would be .1.
_QUANTILE = re.compile(r"p(?!00)(\d{2}|9\d{2})")
KINDS = {"binary": pb.Experiment.KIND_BINARY, "mean": pb.Experiment.KIND_MEAN, "ratio": pb.Experiment.KIND_RATIO}


class MetricText(click.ParamType):
    """`conversion`, `reward:mean`, `reward:ratio/predictions`, `reward:p95`; with `-` in front where less is better."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> pb.Experiment.Metric:
        if isinstance(value, pb.Experiment.Metric):
            return value
        text = str(value)
        lower, text = text.startswith("-"), text.removeprefix("-")
        name, _, kind = text.partition(":")
        kind, _, denominator = kind.partition("/")
        quantile = _QUANTILE.fullmatch(kind)
        if quantile is not None and name and not denominator:
            # The metric's own name: the same outcome may have a mean and several quantiles.
            share = float(f"0.{quantile[1]}")
            named = f"{name}_{kind}"
            return pb.Experiment.Metric(
                name=named, outcome=name, kind=pb.Experiment.KIND_QUANTILE, quantile=share, lower_is_better=lower
            )
        if not name or kind not in ("", *KINDS):
            self.fail(f"'{value}' is not NAME[:binary|mean|ratio/DENOMINATOR|p95], such as reward:mean", param, ctx)
        return pb.Experiment.Metric(
            name=name, kind=KINDS.get(kind or "binary"), denominator=denominator, lower_is_better=lower
        )
