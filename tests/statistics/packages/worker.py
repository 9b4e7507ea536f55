"""Runs in the packages' own environment: what Evidently, NannyML and river say of data that it is given. No import of
ours.

Arguments: an npz file to read, one to write. Names are case/index/reference and case/index/window for drift,
stream/name/index/stream for error streams (0 and 1), sizes/name/index/sizes for how far quantities were off,
case/name/index/before and /now for columns (below categories/ of names), score/index/… for calibrations.
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
from evidently.legacy.calculations.stattests import get_stattest, ks_stat_test, psi_stat_test  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from river import drift  # noqa: E402
from sklearn import metrics  # noqa: E402

_CHUNK = 5_000
_NO_FEATURES = ("id", "timestamp", "year")
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


def _by_default(before: np.ndarray, now: np.ndarray, categories: bool) -> list[float]:
    """Return whether Evidently's default test alarms, and whether NannyML's drift or unseen values do in any of the ten
    chunks that it makes; those of the reference set its thresholds.
    """
    kind = ColumnType.Categorical if categories else ColumnType.Numerical
    reference, window = pd.Series(before), pd.Series(now)
    test = get_stattest(reference, window, kind, None)
    found = test(reference, window, kind, None)
    named = {"treat_as_categorical": ["x"]} if categories else {}
    frames = [pd.DataFrame({"x": side}) for side in (before, now)]
    drift_of = nannyml.UnivariateDriftCalculator(column_names=["x"], **named)
    result = drift_of.fit(frames[0]).calculate(frames[1]).filter(period="analysis").to_df()
    alarms = [bool(result[column].any()) for column in result.columns if column[-1] == "alert"]
    if categories:
        frames = [frame.astype(object) for frame in frames]
        unseen = nannyml.UnseenValuesCalculator(column_names=["x"])
        result = unseen.fit(frames[0]).calculate(frames[1]).filter(period="analysis").to_df()
        alarms += [bool(result[column].any()) for column in result.columns if column[-1] == "alert"]
    return [float(found.drifted), float(any(alarms))]


def _interval(score: np.ndarray, label: np.ndarray, window: np.ndarray) -> list[float]:
    """Return the interval of the accuracy that NannyML estimates of a window."""
    frames = [pd.DataFrame({"score": side, "guess": (side >= 0.5).astype(int)}) for side in (score, window)]
    frames[0]["label"] = label.astype(int)
    estimator = nannyml.CBPE(
        y_pred_proba="score", y_pred="guess", y_true="label", problem_type="classification_binary",
        metrics=["accuracy"], chunk_number=1,
    )  # fmt: skip
    told = estimator.fit(frames[0]).estimate(frames[1]).filter(period="analysis").to_df()["accuracy"]
    return [float(told[f"{end}_confidence_boundary"].iloc[0]) for end in ("lower", "upper")]


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
    features = [name for name in reference.columns if name not in {label, predicted, score, *_NO_FEATURES}]
    sides = {"reference": reference, "window": window}
    of_features = {f"{side}_feature.{name}": _plain(frame[name]) for side, frame in sides.items() for name in features}
    return of_features | {
        "reference_guess": reference[predicted].to_numpy(float),
        "window_guess": window[predicted].to_numpy(float),
        "reference_score": reference[score].to_numpy(float),
        "reference_label": reference[label].to_numpy(float),
        "window_score": window[score].to_numpy(float),
        "window_label": window[label].to_numpy(float),
        "auc": np.array([metrics.roc_auc_score(chunk[label], chunk[score]) for chunk in chunks]),
        "accuracy": np.array([metrics.accuracy_score(chunk[label], chunk[predicted]) for chunk in chunks]),
        "told_auc": told[("roc_auc", "value")].to_numpy(float)[: len(chunks)],
        "told_accuracy": told[("accuracy", "value")].to_numpy(float)[: len(chunks)],
    }


def _plain(values: pd.Series) -> np.ndarray:
    """Return numbers, or text."""
    return values.to_numpy(float) if values.dtype.kind == "f" else values.astype(str).to_numpy(str)


def main() -> None:
    given, out = np.load(sys.argv[1]), {}
    for name in given.files:
        case, _, kind = name.rpartition("/")
        if kind == "reference":
            out[f"{case}/found"] = np.array(_drifted(given[name], given[f"{case}/window"]))
        elif kind in ("stream", "sizes"):
            other = drift.binary.DDM() if kind == "stream" else drift.PageHinkley()
            out[f"{case}/first"] = np.array([_first(drift.ADWIN(), given[name]), _first(other, given[name])])
        elif kind == "now":
            categories = case.startswith("categories/")
            out[f"{case}/found"] = np.array(_by_default(given[f"{case}/before"], given[name], categories))
        elif kind == "later":
            out[f"{case}/found"] = np.array(_interval(given[f"{case}/score"], given[f"{case}/label"], given[name]))
    for name, arguments in _DATA.items():
        for key, values in _estimates(*arguments).items():
            out[f"cbpe/{name}/{key}"] = values
    np.savez(sys.argv[2], **out)


if __name__ == "__main__":
    main()
