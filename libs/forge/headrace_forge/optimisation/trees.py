"""Pruning ensembles of trees in an ONNX model: half of the trees go, those that decide least. Of the worker's process.

It is not exact: how much an answer changes is measured like any other candidate's. A boosted model is a sum, a forest
a mean, and a file does not always say which it is: both are made, and the one that answers more like the original is
kept.
"""

import numpy as np

KEPT_SHARE = 0.5
MIN_TREES = 4
# Attributes that have an entry for each node, and for each leaf.
_NODES = (
    *("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values", "nodes_hitrates"),
    *("nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true"),
)
_LEAVES = {"TreeEnsembleRegressor": "target", "TreeEnsembleClassifier": "class"}


class Ensemble:
    """The attributes of one node of trees. leaves: prefix of those of its leaves."""

    def __init__(self, node):
        import onnx

        self.node, self.leaves = node, _LEAVES[node.op_type]
        self.told = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        self.of_leaf = np.array(self.told[f"{self.leaves}_treeids"])
        self.targets = np.array(self.told[f"{self.leaves}_ids"])
        self.weights = np.array(self.told[f"{self.leaves}_weights"], np.float64)
        self.trees = np.unique(self.of_leaf)

    def decides(self, tree):
        """Return how far apart the leaves of a tree are, over all that it answers."""
        spread = 0.0
        for target in np.unique(self.targets):
            found = self.weights[(self.of_leaf == tree) & (self.targets == target)]
            spread += float(found.max() - found.min()) if len(found) else 0.0
        return spread

    def kept(self):
        """Return the trees that stay, in their order."""
        count = max(1, round(len(self.trees) * KEPT_SHARE))
        return np.sort(sorted(self.trees, key=self.decides, reverse=True)[:count])

    def prune(self, kept, mean):
        """Leave only some trees. mean: whether they are averaged; else what the others answered on average is added."""
        import onnx

        told, name = dict(self.told), self.leaves
        nodes = np.isin(np.array(told["nodes_treeids"]), kept)
        leaves = np.isin(self.of_leaf, kept)
        for attribute in _NODES:
            if len(told.get(attribute, ())):
                told[attribute] = [value for value, stays in zip(told[attribute], nodes, strict=True) if stays]
        factor = len(self.trees) / len(kept) if mean else 1.0
        weights = (self.weights * factor)[leaves]
        for attribute in (f"{name}_treeids", f"{name}_nodeids", f"{name}_ids"):
            told[attribute] = [value for value, stays in zip(told[attribute], leaves, strict=True) if stays]
        told[f"{name}_weights"] = [float(weight) for weight in weights]
        if not mean:
            self._add_to_base(told, kept)
        del self.node.attribute[:]
        self.node.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in told.items())

    def _add_to_base(self, told, kept):
        size = len(told.get("base_values", ())) or int(self.targets.max()) + 1
        base = np.zeros(size)
        base[:] = told.get("base_values", 0.0) or 0.0
        for tree in np.setdiff1d(self.trees, kept):
            for target in np.unique(self.targets):
                found = self.weights[(self.of_leaf == tree) & (self.targets == target)]
                base[min(int(target), size - 1)] += float(found.mean()) if len(found) else 0.0
        told["base_values"] = [float(value) for value in base]


def pruned(model, answers_of):
    """Return a model with half of its trees, and None where it has too few. answers_of: a model's outputs on some rows.

    Raises whatever ONNX Runtime does.
    """
    import onnx

    if not any(len(Ensemble(node).trees) >= MIN_TREES for node in of_trees(model)):
        return None
    expected, made = answers_of(model), []
    for mean in (False, True):
        one = onnx.ModelProto()
        one.CopyFrom(model)
        for node in of_trees(one):
            ensemble = Ensemble(node)
            if len(ensemble.trees) >= MIN_TREES:
                ensemble.prune(ensemble.kept(), mean)
        made.append((difference(expected, answers_of(one)), one))
    return min(made, key=lambda pair: pair[0])[1]


def of_trees(model):
    """Return the nodes of a model that are ensembles of trees in attributes."""
    return [node for node in model.graph.node if node.op_type in _LEAVES and node.domain == "ai.onnx.ml"]


def difference(expected, found):
    """Return how far apart the numbers of two answers are on average."""
    apart = 0.0
    for one, other in zip(expected, found, strict=True):
        if getattr(one, "dtype", None) is not None and one.dtype.kind in "fiub":
            apart += float(np.mean(np.abs(one.astype(np.float64) - other.astype(np.float64))))
    return apart
