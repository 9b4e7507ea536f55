"""`make demo-optimise`: a pickle becomes a version, then a smaller one, because that passed, and is tuned."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from headrace_client import Client, NotFound
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.story import Story, told

MODEL = "handwriting"
INT8 = ("int8-dynamic", "int8-static-minmax", "int8-static-entropy")
OBJECTIVE_MS = 50


def tell(story: Story, client: Client) -> None:
    """Register, optimise, promote and tune, each by the command that anybody would type."""
    story.title("A pickle, made smaller, faster and well batched")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with story.step("train a pipeline of scikit-learn on digits") as outcome:
            accuracy = _train(folder)
            outcome(f"accuracy {accuracy:.3f}")
        version = f"v-{hashlib.sha256((folder / 'model.pkl').read_bytes()).hexdigest()[:8]}"
        with story.step("register it from its pickle") as outcome:
            outcome(_register(client, folder, version, accuracy))
        rows = ("--rows", str(folder / "rows.json"))
        few = [word for name in INT8 for word in ("--candidate", name)]
        with story.step("ask for an INT8 form that answers exactly the same") as outcome:
            strict = _headrace("models", "optimise", f"{MODEL}@{version}", *rows, *few, "--max-difference", "1e-9")
            outcome("registered" if strict["registered"] else "none does: nothing registered")
        with story.step("ask for one that loses no more than 1 % and is 1.2 x as fast") as outcome:
            done = _optimised(client, version, rows)
            winner = done["optimisation"]["winner"]
            outcome(f"{winner} passed" if winner else "none passed on this machine: nothing registered")
    _table(story, done["optimisation"])
    serving = done["registered"]["name"].rsplit("/", 1)[-1] if done["registered"] else version
    with story.step(f"promote {serving}") as outcome:
        outcome("serving" if _headrace("models", "promote", MODEL, serving)["serving"] else "not serving yet")
    with story.step(f"tune it for {OBJECTIVE_MS} ms") as outcome:
        limits = ("--seconds", "1", "--max-rate", "300", "--max-rows", "32", "--max-instances", "2", "--runs", "4")
        words = ("--slo-p99-ms", str(OBJECTIVE_MS), *limits, "--apply")
        best = _headrace("models", "tune", f"{MODEL}@{serving}", *words)["best"]
        outcome(f"{best['max_batch_rows']} rows, {best['max_wait_ms']:g} ms, {best['instances']} instances")
    story.say(f"{best['goodput_per_s']:.0f} requests/s within {OBJECTIVE_MS} ms; p99 {best['p99_ms']:.1f} ms")
    story.line("See what was changed, and by whom", f"headrace models history {MODEL}")


def _train(folder: Path) -> float:
    """Write the pipeline and its validation rows; return its accuracy on these."""
    images, digits = load_digits(return_X_y=True)
    seen, held, learnt, truth = train_test_split(images.astype("float32"), digits, test_size=0.3, random_state=0)
    network = MLPClassifier((512, 512), max_iter=12, early_stopping=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(seen, learnt)
    (folder / "model.pkl").write_bytes(pickle.dumps(pipeline))
    rows = {"inputs": {"features": np.asarray(held).tolist()}, "labels": np.asarray(truth).tolist()}
    (folder / "rows.json").write_text(json.dumps(rows))
    return float(pipeline.score(held, truth))


def _register(client: Client, folder: Path, version: str, accuracy: float) -> str:
    try:
        client.versions.get(MODEL, version)
    except NotFound:
        metrics = ("--metric", f"accuracy={accuracy}", "--metric", "latency_p99_ms=5", "--task", "classification")
        _headrace("models", "register", MODEL, version, str(folder / "model.pkl"), "--trust", *metrics)
        return "converted to ONNX, compared, registered"
    return "there already"


def _optimised(client: Client, version: str, rows: tuple[str, ...]) -> dict[str, Any]:
    """Optimise a version; what it became when that was done before is not made again under the same name."""
    name = f"{version}-{len(client.versions.list(MODEL))}"
    return _headrace("models", "optimise", f"{MODEL}@{version}", *rows, "--as", name)


def _table(story: Story, document: dict[str, Any]) -> None:
    rows = [
        (
            one["candidate"],
            "-" if one["problem"] else f"{one['accuracy']:.4f}",
            "-" if one["problem"] else f"{one['size_bytes'] // 1024:,} KiB",
            "-" if one["problem"] else f"{one['speedup']:.2f} x",
            one["problem"]
            or ("winner" if one["candidate"] == document["winner"] else "; ".join(one["misses"]) or "kept"),
        )
        for one in document["quality"]
        if one["kind"] == "model" or one["candidate"] == "original"
    ]
    story.table(("candidate", "accuracy", "size", "speed", "verdict"), rows, words=("candidate", "verdict"))


def _headrace(*words: str) -> dict[str, Any]:
    """Run the command line as anybody would, and return what it says."""
    done = subprocess.run(
        (str(Path(sys.executable).with_name("headrace")), *words, "--json"),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise SystemExit(f"headrace {' '.join(words)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(told(lambda client: tell(Story(), client)))
