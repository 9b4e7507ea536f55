"""Converts models of rows in a table: of scikit-learn, XGBoost and LightGBM. `worker.py` runs it."""

import importlib
import importlib.metadata
import json
import pickle

GENERATED_ROWS = 256


class Failed(Exception):
    """The file is not converted; the message says why."""


def load(kind, path):
    """Return the model in a file."""
    if kind == "xgboost":
        import xgboost

        booster = xgboost.Booster(model_file=str(path))
        objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
        classifies = objective.startswith(("binary:", "multi:"))
        model = xgboost.XGBClassifier() if classifies else xgboost.XGBRegressor()
        model.load_model(path)
        return model
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.Booster(model_file=str(path))
    if kind == "skops":
        import skops.io

        strange = skops.io.get_untrusted_types(file=path)
        if strange:
            raise Failed(
                f"holds types that skops does not trust ({', '.join(strange)}): save it as a pickle, and --trust"
            )
        return skops.io.load(path)
    try:
        import joblib

        return joblib.load(path)
    except ImportError:
        return pickle.loads(path.read_bytes())


class Source:
    """A model of a framework: its columns, its converter, and what it answers."""

    def __init__(self, model, given):
        self.model = model
        self.module = type(model).__module__.split(".")[0]
        self.names = self._names()
        columns = len(given) > 1 or (self.module == "sklearn" and self.names is not None)
        # One input for each column of a table, or one of all features.
        self.columns = (list(given) or self.names) if columns else None

    def _names(self):
        if self.module == "lightgbm":
            names = list(getattr(self.model, "booster_", self.model).feature_name())
            # What LightGBM calls columns that have no name.
            return None if names == [f"Column_{at}" for at in range(len(names))] else names
        if self.module == "xgboost":
            return self.model.get_booster().feature_names
        names = getattr(self.model, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    @property
    def width(self):
        if self.module == "lightgbm":
            return getattr(self.model, "booster_", self.model).num_feature()
        if self.module == "xgboost":
            return self.model.get_booster().num_features()
        width = getattr(self.model, "n_features_in_", None)
        if width is None:
            raise Failed(f"{type(self.model).__name__} does not say how many features it takes: give rows")
        return int(width)

    @property
    def classifies(self):
        return hasattr(self.model, "predict_proba")

    def convert(self, given):
        """Return the ONNX model and the name of the converter."""
        if self.module in ("xgboost", "lightgbm"):
            import onnxmltools
            from onnxmltools.convert.common.data_types import FloatTensorType

            types = [("features", FloatTensorType([None, self.width]))]
            if self.module == "lightgbm":
                return onnxmltools.convert_lightgbm(self.model, initial_types=types, zipmap=False), "onnxmltools"
            # The converter wants names that count; those of the columns stay in the contract.
            self.model.get_booster().feature_names = None
            return onnxmltools.convert_xgboost(self.model, initial_types=types), "onnxmltools"
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType

        if self.columns is None:
            types = [("features", FloatTensorType([None, self.width]))]
        else:
            text = {name for name, rows in given.items() if any(isinstance(value, str) for value in flat(rows))}
            kinds = {name: StringTensorType if name in text else FloatTensorType for name in self.columns}
            types = [(name, kind([None, 1])) for name, kind in kinds.items()]
        options = {"zipmap": False} if self.classifies else None
        return skl2onnx.to_onnx(self.model, initial_types=types, options=options), "skl2onnx"

    def answers(self, inputs):
        """Return what the framework answers to the inputs of the ONNX model."""
        import numpy as np

        rows = next(iter(inputs.values()))
        if self.columns is not None:
            import pandas

            rows = pandas.DataFrame({name: inputs[name][:, 0] for name in self.columns})
        return np.asarray(self.model.predict_proba(rows) if self.classifies else self.model.predict(rows))


def flat(rows):
    """Yield the values in nested lists."""
    for row in rows:
        if isinstance(row, list):
            yield from flat(row)
        else:
            yield row


def inputs_of(session, given):
    """Return rows for the inputs of a session: those that are given, or random ones."""
    import numpy as np

    inputs = {}
    for port in session.get_inputs():
        text = "string" in port.type
        if port.name in given:
            rows = np.array(given[port.name], dtype=object if text else np.float32)
            inputs[port.name] = rows.reshape(len(rows), -1)
        elif given or text:
            raise Failed(f"the rows have no '{port.name}': give them as --artifact validation.json=FILE")
        else:
            inputs[port.name] = np.random.default_rng(0).normal(size=(GENERATED_ROWS, port.shape[1])).astype(np.float32)
    return inputs


def from_table(kind, path, given, opened):
    """Return the ONNX file, inputs by name, what the framework answers to them, and what is said of it.

    opened: makes a session of ONNX Runtime.
    """
    source = Source(load(kind, path), given)
    if source.module not in ("sklearn", "xgboost", "lightgbm"):
        made = f"{type(source.model).__module__}.{type(source.model).__name__}"
        raise Failed(f"holds a {made}; known are models of scikit-learn, XGBoost and LightGBM")
    proto, converter = source.convert(given)
    content = proto.SerializeToString()
    inputs = inputs_of(opened(content), given)
    packages = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm"}
    told = {
        "framework": f"{packages[source.module]} {importlib.import_module(source.module).__version__}",
        "converter": f"{converter} {importlib.metadata.version(converter)}",
        "generated": not given,
        "columns": source.names if source.columns is None and source.names else [],
    }
    return content, inputs, source.answers(inputs), told
