"""Estimates as the monitor makes them: a reference file is frozen and calibrates the scores, rows of the log are summed
up, and measures come of the sums. The same functions in the same order, without the stores between them.
"""

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.performance.decisions.joins import VersionInfo, summaries_of
from headrace_monitor.judge.performance.decisions.measures import Measure, measures
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.feature_codes import coding_of
from headrace_monitor.judge.references.reference_files import answer_of
from headrace_monitor.record.log.contracts import version_contract
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_monitor.record.log.predicted import predicted
from headrace_monitor.record.log.raw_values import Values
from headrace_statistics import serialization

Spec = tensor_pb2.TensorSpec
SCORES, GUESS, LABEL = "probabilities", "guess", "outcome.label"


class Version:
    """A version that tells yes from no. features: name and values of each; those that are text are categories."""

    def __init__(self, features: Mapping[str, np.ndarray], guess: np.ndarray, score: np.ndarray, label: np.ndarray):
        inputs = [_spec(name, values) for name, values in features.items()]
        outputs = [Spec(name=GUESS, datatype="INT64"), Spec(name=SCORES, datatype="FP64", shape=[2])]
        task = tensor_pb2.ServingContract.TASK_CLASSIFICATION
        self._contract = tensor_pb2.ServingContract(
            inputs=inputs, outputs=outputs, task=task, prediction=GUESS, labels=["no", "yes"]
        )
        known = version_contract("m", "v1", registry_pb2.ModelVersion(contract=self._contract))
        judged = monitored_columns(known)
        pairs = np.column_stack([1 - score, score])
        columns = {**features, GUESS: guess.astype(np.int64), SCORES: list(pairs), LABEL: label.astype(np.int64)}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "reference.parquet")
            pq.write_table(pa.table(columns), file)
            answer = serialization.from_json(answer_of(str(file), judged, self._contract))
        # As it is stored, and read again.
        self.calibration = serialization.from_json(serialization.to_json(answer["calibration"]))
        coding = coding_of(judged, answer["columns"])
        self._info = VersionInfo(Classes(("no", "yes")), self.calibration, None, coding)

    def estimated(self, features: Mapping[str, np.ndarray], guess: np.ndarray, score: np.ndarray) -> dict[str, Measure]:
        """Return the measures of rows without labels."""
        outputs = {
            GUESS: Values(guess.astype(np.int64)[:, None], None),
            SCORES: Values(np.column_stack([1 - score, score]), None),
        }
        found = predicted(self._contract, outputs)
        assert found is not None
        rows = len(score)
        ids: Sequence[str] = [str(uuid.UUID(int=number)) for number in range(rows)]
        batch = pa.RecordBatch.from_pydict(
            {
                "prediction_id": ids,
                "row": [0] * rows,
                "version": ["v1"] * rows,
                "variant": ["main"] * rows,
                "probability": [1.0] * rows,
                "prediction_label": found.label,
                "prediction_value": found.value,
                "prediction_score": found.score,
                **{f"feature.{name}": values for name, values in features.items()},
            }
        )
        about = {"v1": self._info}
        summed = summaries_of(batch, {}, about, slice_by="", threshold=None, known_slices=set())
        (summary,) = summed.values()
        return {one.name: one for one in measures(summary, threshold=None, calibration=self.calibration)}


def _spec(name: str, values: np.ndarray) -> tensor_pb2.TensorSpec:
    if values.dtype.kind == "f":
        return Spec(name=name, datatype="FP64", kind=Spec.KIND_NUMERIC)
    return Spec(name=name, datatype="BYTES", kind=Spec.KIND_CATEGORICAL)
