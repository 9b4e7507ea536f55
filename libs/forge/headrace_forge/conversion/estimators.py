"""Reads model files of scikit-learn, XGBoost, LightGBM and CatBoost; says what to do with pickles of anything else."""

import json
import pickle
import sys

_FRAMEWORKS = ("sklearn", "xgboost", "lightgbm")
_AS_CODE = "--as-code serves it as it is"
_INSTEAD = {
    "builtins": "save the model alone, not what holds it",
    "torch": "write it with torch.export.save(torch.export.export(module, inputs), FILE)",
    "keras": "write it with model.export(FOLDER), a SavedModel",
    "tensorflow": "write it with tf.saved_model.save",
}


class Failed(Exception):
    """The file is not read; the message says why."""


def load(kind, path, *, known=True):
    """Return the model in a file. known: whether it has to be of a framework that is converted."""
    if kind == "catboost":
        import catboost

        with open(path, "rb") as opened:
            form = "cbm" if opened.read(3) == b"CBM" else "json"
        return catboost.CatBoost().load_model(str(path), format=form)
    if kind == "xgboost":
        import xgboost

        return _with_methods(xgboost.Booster(model_file=str(path)))
    if kind == "lightgbm":
        import lightgbm

        return lightgbm.Booster(model_file=str(path))
    if kind == "skops":
        return _known(_from_skops(path), known)
    return _known(_unpickled(path), known)


def _from_skops(path):
    import skops.io

    strange = skops.io.get_untrusted_types(file=path)
    if strange:
        raise Failed(f"holds types that skops does not trust ({', '.join(strange)}): save it as a pickle, and --trust")
    return skops.io.load(path)


def _unpickled(path):
    try:
        try:
            import joblib
        except ImportError:
            return pickle.loads(path.read_bytes())
        return joblib.load(path)
    except ModuleNotFoundError as error:
        lacks = (error.name or "").partition(".")[0]
        if lacks in (*_FRAMEWORKS, "pandas", "numpy", "scipy"):
            raise
        raise Failed(
            f"needs the module '{lacks}', which {sys.executable} does not have: install it there, or, where it is your "
            f"own, --as-code --artifact {lacks}.py=FILE"
        ) from None
    except AttributeError as error:
        if "__main__" not in str(error):
            raise
        raise Failed(
            f"needs what only the script or notebook had that saved it ({str(error)[:300]}): import it from a module "
            f"that is installed in {sys.executable}, or given by --as-code --artifact MODULE.py=FILE; save it again"
        ) from None


def _known(model, known):
    """Return a model, one of a framework that is converted where that is asked for."""
    made = f"{type(model).__module__}.{type(model).__name__}"
    if made == "xgboost.core.Booster":
        return _with_methods(model)
    module = made.partition(".")[0]
    if not known and not hasattr(model, "predict"):
        raise Failed(f"holds a {made}, which has no method `predict`: {_INSTEAD.get(module, 'save the model alone')}")
    if known and module not in (*_FRAMEWORKS, "catboost"):
        instead = _INSTEAD.get(module, _AS_CODE)
        raise Failed(f"holds a {made}; converted are models of scikit-learn, XGBoost, LightGBM and CatBoost: {instead}")
    return model


def _with_methods(booster):
    """Return a booster of XGBoost as its classes for scikit-learn have it, which know what its answers mean."""
    import xgboost

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    model = xgboost.XGBClassifier() if objective.startswith(("binary:", "multi:")) else xgboost.XGBRegressor()
    model.load_model(booster.save_raw("ubj"))
    return model
