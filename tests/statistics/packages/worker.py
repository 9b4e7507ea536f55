"""Runs in the packages' own environment: what Evidently, NannyML and river say of data that it is given. No import of
ours.

Arguments: an npz file to read, one to write. Names are case/index/reference and case/index/window for drift,
stream/name/index/stream for error streams (0 and 1), sizes/name/index/sizes for how far quantities were off.
"""

import os
import sys
import warnings

# They report home on import otherwise.
os.environ |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
warnings.filterwarnings("ignore")

import nannyml  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from evidently.legacy.calculations.stattests import ks_stat_test, psi_stat_test  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from river import drift  # noqa: E402
from sklearn import metrics  # noqa: E402

_CHUNK = 5_000
_DATA = {
    "car loan": (nannyml.load_synthetic_car_loan_dataset, "repaid", "y_pred", "y_pred_proba"),
    "census": (nannyml.load_us_census_ma_employment_data, "employed", "prediction", "predicted_probability"),
}


def _drifted(reference: np.ndarray, window: np.ndarray) -> list[float]:
    found = []
    for test in (psi_stat_test, ks_stat_test):
        result = test(pd.Series(reference), pd.Series(window), ColumnType.Numerical, None)
        found += [float(result.drift_score), float(result.drifted)]
    return found


def _first(detector, stream: np.ndarray) -> int:
    for label, error in enumerate(stream.tolist()):
        detector.update(error)
        if detector.drift_detected:
            return label + 1
    return -1


def _estimates(load, label: str, predicted: str, score: str) -> dict[str, np.ndarray]:
    reference, window, target = load()
    window = window.merge(target, on="id") if "id" in target.columns else window.join(target)
    estimator = nannyml.CBPE(
        y_pred_proba=score, y_pred=predicted, y_true=label, problem_type="classification_binary",
        metrics=["roc_auc", "accuracy"], chunk_size=_CHUNK,
    )  # fmt: skip
    estimator.fit(reference)
    told = estimator.estimate(window.drop(columns=[label])).filter(period="analysis").to_df()
    chunks = [window.iloc[start : start + _CHUNK] for start in range(0, len(window) - _CHUNK + 1, _CHUNK)]
    return {
        "reference_score": reference[score].to_numpy(float),
        "reference_label": reference[label].to_numpy(float),
        "window_score": window[score].to_numpy(float),
        "window_label": window[label].to_numpy(float),
        "auc": np.array([metrics.roc_auc_score(chunk[label], chunk[score]) for chunk in chunks]),
        "accuracy": np.array([metrics.accuracy_score(chunk[label], chunk[predicted]) for chunk in chunks]),
        "told_auc": told[("roc_auc", "value")].to_numpy(float)[: len(chunks)],
        "told_accuracy": told[("accuracy", "value")].to_numpy(float)[: len(chunks)],
    }


def main() -> None:
    given, out = np.load(sys.argv[1]), {}
    for name in given.files:
        case, _, kind = name.rpartition("/")
        if kind == "reference":
            out[f"{case}/found"] = np.array(_drifted(given[name], given[f"{case}/window"]))
        elif kind in ("stream", "sizes"):
            other = drift.binary.DDM() if kind == "stream" else drift.PageHinkley()
            out[f"{case}/first"] = np.array([_first(drift.ADWIN(), given[name]), _first(other, given[name])])
    for name, arguments in _DATA.items():
        for key, values in _estimates(*arguments).items():
            out[f"cbpe/{name}/{key}"] = values
    np.savez(sys.argv[2], **out)


if __name__ == "__main__":
    main()
