"""What runs in a process of Ray: one loaded model, one shard at a time. Every failure is an answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.backends.backend import BackendLost, LoadError

from headrace_scorer.decisions.shards import Shard
from headrace_scorer.engine.expressions import WrongExpression
from headrace_scorer.engine.folders import actors_folder
from headrace_scorer.engine.inputs.rows import Unreadable
from headrace_scorer.engine.messages import Checked, RunAnswer, Work
from headrace_scorer.engine.objects import InputChanged, OutputTaken, StoreAway, StoreRefuses
from headrace_scorer.engine.pool.members import PoolAway
from headrace_scorer.engine.shard_scorer import Columns, ShardScorer

# S3 calls are retried for this long; then the job releases its processes and waits.
PATIENCE_S = 60.0
_PAUSE_S, _MOST_PAUSE_S = 0.5, 10.0


class ShardActor:
    """Scores shards of one job. What it needs is made with the first one, for what is raised before is no answer."""

    def __init__(self, work: Work, checked: Checked, folder: str) -> None:
        self._work, self._checked, self._folder = work, checked, folder
        self._scorer: ShardScorer | None = None

    def begun(self) -> None:
        """Return once there is a process for it."""

    def measured(self, shard: Shard) -> RunAnswer:
        """Return how many rows the model takes at once the fastest."""
        return self._answered(shard, lambda scorer: RunAnswer(batch_rows=scorer.measured(shard)))

    def score(self, shard: Shard, batch_rows: int) -> RunAnswer:
        """Score a shard."""
        return self._answered(shard, lambda scorer: RunAnswer(result=scorer.score(shard, batch_rows)))

    def _loaded(self) -> ShardScorer:
        if self._scorer is None:
            own, checked = actors_folder(self._folder), self._checked
            made = ShardScorer(self._work, Columns(checked.tensors, checked.read, dict(checked.types)), own)
            made.load()
            self._scorer = made
        return self._scorer

    def _answered(self, shard: Shard, act: Callable[[ShardScorer], RunAnswer]) -> RunAnswer:
        until, pause = time.monotonic() + PATIENCE_S, _PAUSE_S
        while True:
            answer = self._tried(shard, act)
            if not answer.transient or time.monotonic() > until:
                return answer
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(_MOST_PAUSE_S, pause * 2)

    def _tried(self, shard: Shard, act: Callable[[ShardScorer], RunAnswer]) -> RunAnswer:
        try:
            return act(self._loaded())
        except StoreAway as error:
            return RunAnswer(failure="STORE_UNAVAILABLE", reason=str(error), transient=True)
        except PoolAway as error:
            return RunAnswer(failure="POOL_UNAVAILABLE", reason=str(error), transient=True)
        except StoreRefuses as error:
            return RunAnswer(failure="STORE_REFUSES", reason=f"{error}: look at the bucket, and who may write there")
        except InputChanged as error:
            return RunAnswer(failure="INPUT_CHANGED", reason=f"{error}: create a new job when nothing writes there")
        except OutputTaken as error:
            message = f"{error}, with other results: something else wrote there. Move it away, then retry"
            return RunAnswer(failure="OUTPUT_TAKEN", reason=message)
        except Unreadable as error:
            message = f"{shard.key} cannot be read: {error}. Rewrite it, or move it away, then create a new job"
            return RunAnswer(failure="INPUT_UNREADABLE", reason=message)
        except WrongExpression as error:
            return RunAnswer(failure="EXPRESSION_FAILED", reason=str(error))
        except ArtifactError as error:
            return RunAnswer(failure="MODEL_UNAVAILABLE", reason=f"the version's file: {error}", transient=True)
        except LoadError as error:
            return RunAnswer(failure="MODEL_FAILED", reason=f"the version cannot be loaded: {error}")
        except BackendLost as error:
            return RunAnswer(failure="MODEL_FAILED", reason=f"the model does not answer: {error}")
        except OSError as error:
            message = f"{error.strerror or error}: give the scorer's work folder more room, and retry"
            return RunAnswer(failure="DISK_FULL", reason=message)
        except Exception as error:  # a defect of ours must not be tried for ever
            message = f"shard {shard.number} of {shard.key} cannot be scored ({type(error).__name__}: {error})"
            return RunAnswer(failure="SCORING_FAILED", reason=message[:1000])
