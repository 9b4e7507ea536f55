"""Estimates without labels on the two data sets that come with NannyML, beside its own."""

import numpy as np
from headrace_statistics.calibration import Calibration, calibrate

from tests.statistics import estimates
from tests.statistics.figures import NOTHING, Figure, Table
from tests.statistics.service_path import Version

_BARS = {"car loan": {"accuracy": 0.0031, "auc": 0.0021}, "census": {"accuracy": 0.0051, "auc": 0.0034}}
_ABOUT = (
    "Calibrated on its reference, estimated for whole chunks of 5,000 of its analysis. Through the service's path: the "
    "same as a reference's file and rows of the log, frozen, summed up and measured by the monitor's functions; there "
    "features that shift are followed, and at most 100,000 rows calibrate."
)


def estimates_of(answers: dict[str, np.ndarray]) -> list[Table]:
    tables = []
    for name, threshold in (("car loan", 0.65), ("census", 0.5)):  # where their predictions turn
        of = {key.rpartition("/")[2]: values for key, values in answers.items() if key.startswith(f"cbpe/{name}/")}
        calibration = calibrate(of["reference_score"], of["reference_label"])
        assert isinstance(calibration, Calibration)
        before = estimates.measured(of["reference_score"], of["reference_label"], threshold)
        chunks = np.split(of["window_score"][: len(of["auc"]) * estimates.CHUNK], len(of["auc"]))
        told = [estimates.expected(chunk, calibration, threshold) for chunk in chunks]
        figures = []
        for metric in ("accuracy", "auc"):
            off = [
                float(np.mean(np.abs(np.asarray(values, dtype=np.float64) - of[metric])))
                for values in ([one[metric] for one in told], before[metric], of[f"told_{metric}"])
            ]
            held = off[0] <= off[2] + 0.0002
            figures.append(Figure(metric, f"{off[0]:.4f}", "≤ package", held, f"{off[1]:.4f}", f"{off[2]:.4f}"))
        figures += _through_the_service(of, _BARS[name])
        title = f"Estimated without labels, NannyML's {name} data: mean absolute error; package: NannyML's CBPE"
        tables.append(Table(title, tuple(figures), about=_ABOUT))
    return tables


def _through_the_service(of: dict[str, np.ndarray], bars: dict[str, float]) -> list[Figure]:
    """The same data as a reference's file and rows of the log, with features: those that shift are followed."""
    named = [key.removeprefix("reference_feature.") for key in of if key.startswith("reference_feature.")]
    sides = {side: {name: of[f"{side}_feature.{name}"] for name in named} for side in ("reference", "window")}
    version = Version(sides["reference"], of["reference_guess"], of["reference_score"], of["reference_label"])
    said = []
    for start in range(0, len(of["auc"]) * estimates.CHUNK, estimates.CHUNK):
        part = slice(start, start + estimates.CHUNK)
        features = {name: values[part] for name, values in sides["window"].items()}
        said.append(version.estimated(features, of["window_guess"][part], of["window_score"][part]))
    figures = []
    for metric, bar in bars.items():
        values = np.array([one[f"estimated_{metric}"].value or np.nan for one in said])
        off = float(np.mean(np.abs(values - of[metric])))
        figures.append(
            Figure(
                f"{metric}, through the service's path",
                f"{off:.4f}",
                f"≤ {bar:g}",
                round(off, 4) <= bar,
                NOTHING,
                f"{float(np.mean(np.abs(of[f'told_{metric}'] - of[metric]))):.4f}",
            )
        )
    return figures
