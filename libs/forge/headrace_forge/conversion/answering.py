"""What a model of a framework answers to rows. Conversions are compared with it, and versions of code answer by it.

A layout says how tensors become rows: `texts`, one tensor of them; `columns`, a tensor for each column of a table;
else one tensor, of the columns `names` where the model knows them. `categories` are columns of codes or texts.
"""

import contextlib
import sys


def scores(model, inputs, layout):
    """Return the scores of classes where a model has them, else what it predicts."""
    with _alone():
        return _scores(model, _rows(model, inputs, layout))


def _alone():
    """Keep joblib to this process: a pipeline with n_jobs would start others for each call, which confined ones may
    not."""
    joblib = sys.modules.get("joblib")
    return contextlib.nullcontext() if joblib is None else joblib.parallel_config(backend="sequential")


def _scores(model, rows):
    import numpy as np

    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(rows))
    if _module(model) == "catboost":
        kind = "Probability" if len(model.classes_) else "RawFormulaVal"
        return np.asarray(model.predict(rows, prediction_type=kind))
    found = np.asarray(model.predict(rows))
    if type(model).__name__ == "Booster":
        objective = model.dump_model().get("objective", "").partition(" ")[0]
        if objective in ("binary", "cross_entropy"):  # of the second class alone
            return np.column_stack((1 - found, found))
    return found


def outputs(model, inputs, layout):
    """Return all outputs by name: scores of classes with the label of the highest, or what a model predicts."""
    import numpy as np

    found, labels = scores(model, inputs, layout), getattr(model, "classes_", None)
    if found.ndim == 2 and labels is not None and len(labels) == found.shape[1]:
        return {"label": _plain(np.asarray(labels)[found.argmax(axis=1)]), "probabilities": found.astype(np.float32)}
    if found.dtype.kind == "f":
        return {"prediction": found.astype(np.float32)}
    return {"label": _plain(found)}


def _plain(labels):
    """Return labels as integers or texts."""
    import numpy as np

    return labels.astype(np.int64) if labels.dtype.kind in "iub" else labels.astype(str).astype(object)


def _rows(model, inputs, layout):
    import numpy as np

    columns, names = layout["columns"], layout["names"]
    if layout["texts"]:
        return list(inputs[columns[0]])
    if columns is None:
        rows = inputs["features"]
        if _module(model) not in ("xgboost", "lightgbm"):
            rows = rows.astype(np.float64)  # as it was fitted: some refuse others
            if names is not None:
                import pandas

                return pandas.DataFrame(rows, columns=names)
        return rows
    import pandas

    table = {}
    for name in columns:
        values = inputs[name].reshape(len(inputs[name]))
        if name in layout["categories"]:
            values = [int(one) if isinstance(one, float) and one.is_integer() else one for one in values.tolist()]
        table[name] = values if isinstance(values, list) or values.dtype == object else values.astype(np.float64)
    return pandas.DataFrame(table)


def _module(model):
    return type(model).__module__.partition(".")[0]
