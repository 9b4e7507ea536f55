"""The two classifiers as one model: an ensemble behind a normaliser, short of a member, and as one graph."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from headrace_client import Client, NotFound, Prediction

from examples.digits.register import MODEL
from examples.digits.report import Report
from examples.digits.train import Candidate, Images
from examples.pipelines import graphs
from examples.story import SERVING_TIMEOUT_S, headrace
from examples.versions import Registered

ENSEMBLE = "digits-ensemble"
_ROWS = 30
_TIMED = 60
# Of images of 8 bits.
_SHADE, _BLACK = 15, 240
_STEPS = """\
steps:
  normalise:
    graph: normalise.onnx
    inputs: {{image: request.image}}
  linear:
    model: {model}@{first}
    inputs: {{image: normalise.normalised}}{linear}
  network:
    model: {model}@{second}
    inputs: {{image: normalise.normalised}}
  mean:
    combine: weighted
    weights: [0.35, 0.65]{quorum}
    inputs: {{linear: linear.probabilities, network: network.probabilities}}
outputs: {{probabilities: mean.output}}
fuse: {fuse}
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the ensemble made of images. correct: of how many. missing: steps that answers did without."""

    correct: int
    images: int
    missing: tuple[str, ...]
    prediction_id: str

    @property
    def accuracy(self) -> float:
        """Return the accuracy: the share of correctly classified images."""
        return self.correct / self.images


def tell(
    report: Report,
    client: Client,
    candidates: Sequence[Candidate],
    versions: Sequence[str],
    images: Images,
    folder: Path,
) -> None:
    """Register the ensemble, compare it with its members, take one away, and have all of it be one graph."""
    report.title(f"Both at once: {ENSEMBLE} is a normaliser, the two classifiers and their weighted mean")
    graphs.write(folder)
    name = _serve(report, client, versions, folder, "v1", quorum=1)
    registered = client.versions.get(ENSEMBLE, name)
    report.say("; ".join(f"{one.name} runs {_member(one.digest, registered)}" for one in registered.pipeline.steps))
    report.say(f"[bold]{headrace()} models graph {ENSEMBLE} {name}[/] draws it")
    with report.step(f"ask for {len(images.labels)} held-out images, of 8 bits"):
        both = _ask(client, images)
    alone = [_accuracy(one.probabilities(images), images) for one in candidates]
    told = ", ".join(f"{version} {share:.4f}" for version, share in zip(versions, alone, strict=True))
    report.say(f"accuracy of {told}, alone; together {both.accuracy:.4f}")
    _explain(report, client, both.prediction_id)

    report.title("One of the two is lost: answers go on, and say so")
    _serve(report, client, versions, folder, "v2", quorum=1, linear="\n    timeout: 0.02ms  # never in time")
    short = _ask(client, images)
    report.say(f"accuracy {short.accuracy:.4f}; flagged as degraded, without {', '.join(short.missing) or 'nothing'}")

    report.title("Where nothing may be missing, all steps are one ONNX graph")
    stepwise = _serve(report, client, versions, folder, "v1", quorum=1)
    apart_ms = _median_ms(client, images)
    fused = _serve(report, client, versions, folder, "v3", fuse=True)
    whole = _ask(client, images)
    report.say(
        f"accuracy {whole.accuracy:.4f}; one image in {_median_ms(client, images):.1f} ms (median), "
        f"{apart_ms:.1f} ms step by step ({fused} and {stepwise})"
    )


def _serve(
    report: Report,
    client: Client,
    versions: Sequence[str],
    folder: Path,
    name: str,
    *,
    quorum: int = 0,
    linear: str = "",
    fuse: bool = False,
) -> str:
    """Register a version of the ensemble unless it is there, put it into production, and await it; return its name.

    What it is made of is part of the name: versions never change.
    """
    first, second = versions
    file = folder / "pipeline.yaml"
    wanted = f"\n    quorum: {quorum}" if quorum else ""
    file.write_text(
        _STEPS.format(model=MODEL, first=first, second=second, linear=linear, quorum=wanted, fuse=str(fuse).lower())
    )
    content = file.read_bytes() + (folder / "normalise.onnx").read_bytes()
    name = f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"
    with report.step(f"register and promote {ENSEMBLE} {name}") as outcome:
        created = not _is_there(client, name)
        metrics = {"accuracy": 0.98, "latency_p99_ms": 10.0}
        client.versions.register(ENSEMBLE, name, file, metrics=metrics, description="both classifiers")
        promoted = client.models.promote(ENSEMBLE, name, reason="demo: both at once")
        status = client.routes.await_epoch(ENSEMBLE, promoted.model.epoch, timeout=SERVING_TIMEOUT_S)
        outcome(f"{Registered(name, created)}, serving as generation {status.generation}")
    return name


def _is_there(client: Client, name: str) -> bool:
    try:
        client.versions.get(ENSEMBLE, name)
    except NotFound:
        return False
    return True


def _member(digest: str, registered) -> str:
    (name,) = (one.name for one in registered.members if one.digest == digest)
    return "@".join(name.split("/")[1::2])


def _bits(images: Images) -> np.ndarray:
    """Return images as cameras have them: 8 bits, here 0 to 240."""
    return (images.pixels * _SHADE).astype(np.uint8)


def _ask(client: Client, images: Images) -> Answered:
    """Ask for all images, some rows at a time."""
    pixels, correct, missing, last = _bits(images), 0, dict[str, None](), ""
    for start in range(0, len(pixels), _ROWS):
        rows = pixels[start : start + _ROWS]
        answer = client.predict(ENSEMBLE, {"image": rows}, user_id=f"user-{start}", explain=True)
        correct += int((_scores(answer).argmax(axis=1) == images.labels[start : start + _ROWS]).sum())
        missing.update(dict.fromkeys(answer.missing_steps))
        last = answer.prediction_id
    return Answered(correct, len(pixels), tuple(missing), last)


def _scores(answer: Prediction) -> np.ndarray:
    return np.asarray(answer.outputs["probabilities"])


def _accuracy(probabilities: np.ndarray, images: Images) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == images.labels))


def _median_ms(client: Client, images: Images) -> float:
    """Return how long one image takes as its caller sees it, none of them from the cache."""
    taken, pixels = [], _bits(images)
    rng = np.random.default_rng()
    for number in range(_TIMED):
        image = pixels[number % len(pixels)].copy()
        # One pixel a shade darker makes another image. A bit more on every pixel is another distribution, which the
        # monitor finds and tells of, of whichever version had little else in that window.
        image[rng.choice(np.flatnonzero((image > 0) & (image < _BLACK)))] += _SHADE
        began = time.perf_counter()
        client.predict(ENSEMBLE, {"image": image[None]})
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def _explain(report: Report, client: Client, prediction_id: str) -> None:
    """Show the steps of one answer: when each began, how long it took, and in which company."""
    told = client.explain(prediction_id)
    report.table(
        ("step", "member", "after ms", "took ms", "compute ms", "rows"),
        [
            (
                one.pipeline_step,
                one.version,
                *(f"{value.total_seconds() * 1e3:.1f}" for value in (one.begin, one.took, one.compute)),
                str(one.batch_rows),
            )
            for one in told.attempts
        ],
        words=("step", "member"),
    )
