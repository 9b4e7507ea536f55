"""Converts models of rows in a table: of scikit-learn, XGBoost and LightGBM. `worker.py` runs it."""

import importlib
import importlib.metadata
import json
import sys

GENERATED_ROWS = 256
# Versions of operators that ONNX Runtime has everywhere: skl2onnx alone takes the latest, and has none for some models.
OPSETS = {"": 18, "ai.onnx.ml": 3}
# Of words, which ONNX Runtime finds as Python does.
EXACT_PATTERN = "[a-zA-Z0-9]+"
# Boosters that take one tensor of all features.
_OF_ARRAYS = ("xgboost", "lightgbm")
ROWS = "give rows as --artifact validation.json=FILE"
PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost"}


class Failed(Exception):
    """The file is not converted; the message says why."""


class Source:
    """A model of a framework: its columns, its converter, and what it answers."""

    def __init__(self, model, given, exported=None):
        """exported: writes a model of CatBoost as ONNX."""
        self.model, self.exported = model, exported
        self.module = type(model).__module__.split(".")[0]
        self.names = self._names()
        self.vectorizer = self._vectorizer()
        # One input for each column of a table, or one of all features; the second is what boosters take.
        by_column = self.module not in _OF_ARRAYS and list(given) != ["features"] and (given or self.names is not None)
        # Rows may have more, such as the truth.
        known = self.names if self.names is not None and set(self.names) <= set(given) else list(given)
        self.columns = (known or self.names) if by_column else None
        if self.vectorizer is not None:
            if len(given) > 1:
                raise Failed(f"takes texts alone, and the rows have {', '.join(given)}: give one of these")
            self.columns = list(given) or ["text"]

    def _names(self):
        if self.module == "lightgbm":
            names = list(getattr(self.model, "booster_", self.model).feature_name())
            # What LightGBM calls columns that have no name.
            return None if names == [f"Column_{at}" for at in range(len(names))] else names
        if self.module == "xgboost":
            return self.model.get_booster().feature_names
        if self.module == "catboost":
            names = self.model.feature_names_
            return None if names == [str(at) for at in range(len(names))] else names
        names = getattr(self.model, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    @property
    def categorical(self):
        """Return the columns that CatBoost takes as texts or integers."""
        if self.module != "catboost":
            return []
        return [self.model.feature_names_[at] for at in self.model.get_cat_feature_indices()]

    def _vectorizer(self):
        """Return the first step where it splits texts into words; a ColumnTransformer has its texts as columns."""
        first = self.model.steps[0][1] if hasattr(self.model, "steps") else self.model
        return first if self.names is None and hasattr(first, "build_analyzer") else None

    def hint(self):
        """Return what makes the conversion exact where that is known."""
        pattern = getattr(self.vectorizer, "token_pattern", None)
        if pattern is None or pattern == EXACT_PATTERN:
            return ""
        kind = type(self.vectorizer).__name__
        return f"; ONNX splits words otherwise than {kind}(token_pattern={pattern!r}): {EXACT_PATTERN!r} is exact"

    @property
    def width(self):
        if self.module == "lightgbm":
            return getattr(self.model, "booster_", self.model).num_feature()
        if self.module == "xgboost":
            return self.model.get_booster().num_features()
        if self.module == "catboost":
            return len(self.model.feature_names_)
        width = getattr(self.model, "n_features_in_", None)
        if width is None:
            raise Failed(f"{type(self.model).__name__} does not say how many features it takes: {ROWS}")
        return int(width)

    def categories(self):
        """Return how many values each feature has that is a category, by its place: its values are 0, 1, …"""
        if self.module == "xgboost":
            booster = self.model.get_booster()
            places = [at for at, kind in enumerate(booster.feature_types or []) if kind == "c"]
            if not places:
                return {}
            trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
            return dict.fromkeys(places, 1 + max((one for tree in trees for one in tree["categories"]), default=0))
        if self.module == "lightgbm":
            features = getattr(self.model, "booster_", self.model).dump_model()["feature_infos"]
            names = list(getattr(self.model, "booster_", self.model).feature_name())
            return {names.index(name): max(one["values"]) + 1 for name, one in features.items() if one["values"]}
        return {}

    def convert(self, given):
        """Return the ONNX model and the name of the converter."""
        if self.module in ("xgboost", "lightgbm"):
            import onnxmltools
            from onnxmltools.convert.common.data_types import FloatTensorType

            types = [("features", FloatTensorType([None, self.width]))]
            if self.module == "lightgbm":
                return onnxmltools.convert_lightgbm(self.model, initial_types=types, zipmap=False), "onnxmltools"
            # The converter wants names that count; those of the columns stay in the contract.
            booster, names = self.model.get_booster(), self.model.get_booster().feature_names
            booster.feature_names = None
            try:
                return onnxmltools.convert_xgboost(self.model, initial_types=types), "onnxmltools"
            finally:
                booster.feature_names = names
        if self.module == "catboost":
            if self.categorical:
                raise Failed("has categories, which CatBoost does not export")
            self.columns = None
            return self.exported(self.model), "catboost"
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType

        _know_boosters()
        if self.vectorizer is not None:
            proto = self._by_skl2onnx([(self.columns[0], StringTensorType([None]))])
            return _with_names(proto, self.columns), "skl2onnx"
        text = {name for name, rows in given.items() if any(isinstance(value, str) for value in flat(rows))}
        if self.columns is not None:
            kinds = {name: StringTensorType if name in text else FloatTensorType for name in self.columns}
            try:
                proto = self._by_skl2onnx([(name, kind([None, 1])) for name, kind in kinds.items()])
            except Failed:
                raise
            except Exception as error:
                # Most estimators take one tensor only, unless an earlier step selects columns.
                if text and type(error).__name__ == "InvalidInputLengthException":
                    message = "takes texts beside numbers in one estimator, which skl2onnx does not convert"
                    raise Failed(f"{message}: encode them first, in a ColumnTransformer with OneHotEncoder") from None
                if text or self.names is None:
                    raise
                self.columns = None
            else:
                return _with_names(proto, self.columns), "skl2onnx"
        try:
            return self._by_skl2onnx([("features", FloatTensorType([None, self.width]))]), "skl2onnx"
        except RuntimeError as error:
            if given or self.names is None:
                raise
            said = str(error).partition(". ")[0][:300]
            raise Failed(
                f"is not converted with numbers alone ({said}): rows as --artifact validation.json=FILE say which "
                "columns are texts"
            ) from None

    def _by_skl2onnx(self, types):
        import skl2onnx
        from sklearn.base import is_classifier

        options = {"zipmap": False} if is_classifier(self.model) else None
        try:
            return skl2onnx.to_onnx(self.model, initial_types=types, options=options, target_opset=OPSETS)
        except Exception as error:
            if type(error).__name__ not in ("MissingShapeCalculator", "MissingConverter"):
                raise
            said = str(error).partition("\n")[0]
            raise Failed(f"has a step that skl2onnx does not convert: {said[:300]}; serve it as model.py") from None

    def layout(self):
        """Return how tensors become rows, as `answering.py` has it."""
        return {
            "columns": self.columns,
            "names": self.names,
            "texts": self.vectorizer is not None,
            "categories": self.categorical,
        }


def _know_boosters():
    """Have skl2onnx convert boosters that are steps of a pipeline: they are where the pickle imported them."""
    made_by = {"xgboost": ("XGB", "XGBoost"), "lightgbm": ("LGBM", "LightGbm")}
    for module in made_by.keys() & sys.modules.keys():
        from skl2onnx import update_registered_converter
        from skl2onnx.common import shape_calculator

        prefix, file = made_by[module]
        converter = importlib.import_module(f"onnxmltools.convert.{module}.operator_converters.{file}")
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
        for kind, more in (("Classifier", {"options": options}), ("Regressor", {"options": {"split": None}})):
            update_registered_converter(
                getattr(sys.modules[module], prefix + kind),
                f"{prefix}{kind}",
                getattr(shape_calculator, f"calculate_linear_{kind.lower()}_output_shapes"),
                getattr(converter, f"convert_{module}"),
                **more,
            )


def _with_names(proto, names):
    """Return a model whose inputs have the names of columns: skl2onnx puts `_` for what no identifier has."""
    renamed = {port.name: name for port, name in zip(proto.graph.input, names, strict=True)}
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for port in proto.graph.input:
        port.name = renamed[port.name]
    return proto


def flat(rows):
    """Yield the values in nested lists."""
    for row in rows:
        if isinstance(row, list):
            yield from flat(row)
        else:
            yield row


def inputs_of(session, given, source):
    """Return rows for the inputs of a session: those that are given, or random ones."""
    import numpy as np

    if source.columns is None and given and "features" not in given:
        given = {"features": side_by_side(given, source)}
    inputs = {}
    for port in session.get_inputs():
        text = "string" in port.type
        if port.name in given:
            rows = np.array(given[port.name], dtype=object if text else np.float32)
            inputs[port.name] = rows.reshape(len(rows), *(() if len(port.shape) == 1 else (-1,)))
        elif source.vectorizer is not None and not given:
            inputs[port.name] = texts(source.vectorizer)
        elif given or text:
            raise Failed(f"the rows have no '{port.name}': give them as --artifact validation.json=FILE")
        else:
            random = np.random.default_rng(0)
            inputs[port.name] = random.normal(size=(GENERATED_ROWS, port.shape[1])).astype(np.float32)
            for at, values in source.categories().items():
                inputs[port.name][:, at] = random.integers(0, values, GENERATED_ROWS)
    return inputs


def texts(vectorizer):
    """Return texts of words that a vectorizer knows."""
    import numpy as np

    random, words = np.random.default_rng(0), sorted(getattr(vectorizer, "vocabulary_", ())) or ["word", "other"]
    texts = [" ".join(random.choice(words, random.integers(1, 12))) for _ in range(GENERATED_ROWS)]
    return np.array(texts, dtype=object)


def of_known_texts(model, given):
    """Return rows whose texts are those that the encoders of a ColumnTransformer know, where they know some."""
    known = {}
    for part in (step for _, step in getattr(model, "steps", [("", model)])):
        for _, encoder, columns in getattr(part, "transformers_", ()):
            for step in (one for _, one in getattr(encoder, "steps", [("", encoder)])):
                for name, values in zip(columns, getattr(step, "categories_", ()), strict=False):
                    known[str(name)] = [value for value in values if isinstance(value, str)]
    return {
        name: [[known[name][at % len(known[name])]] for at in range(len(rows))] if known.get(name) else rows
        for name, rows in given.items()
    }


def side_by_side(given, source):
    """Return columns of rows as one tensor, in the order of the model."""
    names = source.names or list(given)
    given = {name.replace(" ", "_") if name not in names else name: rows for name, rows in given.items()}  # LightGBM
    if missing := [name for name in names if name not in given]:
        raise Failed(f"the rows have no '{missing[0]}': give them as --artifact validation.json=FILE")
    columns = [[value for row in given[name] for value in (row if isinstance(row, list) else [row])] for name in names]
    for name, values in zip(names, columns, strict=True):
        if any(isinstance(value, str) for value in values):
            raise Failed(f"takes numbers, and the rows have texts as '{name}': give the numbers of these categories")
    return list(zip(*columns, strict=True))


def from_table(model, given, opened, answering, exported):
    """Return the ONNX file, inputs by name, what the framework answers to inputs, and what is said of it.

    opened: makes a session of ONNX Runtime. answering: the module. exported: writes a model of CatBoost as ONNX.
    """
    source = Source(model, given, exported)
    proto, converter = source.convert(given)
    content = proto.SerializeToString()
    inputs = inputs_of(opened(content), given, source)
    facts = {
        "framework": f"{PACKAGES[source.module]} {importlib.import_module(source.module).__version__}",
        "converter": f"{converter} {importlib.metadata.version(converter)}",
        "generated": not given,
        "hint": source.hint(),
        "unknown": {"features": source.categories()} if source.columns is None else {},
        "columns": source.names if source.columns is None and source.names else [],
    }
    return content, inputs, lambda rows: answering.scores(model, rows, source.layout()), facts
