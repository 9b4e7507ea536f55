"""`make demo-core`: what serves predictions, and nothing beside it: register, predict, promote, split, roll back.

The digits of `make demo`, as far as the core goes. A second run begins where the first one did.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from headrace_client import Client

from examples.digits.register import CHALLENGER, MODEL, STABLE, register, split
from examples.digits.traffic import Answer, by_version, send
from examples.digits.train import Digits, Images, load, train
from examples.story import SERVING_TIMEOUT_S, Story, headrace, told
from examples.versions import begin_with


def main() -> int:
    """Tell the story once; return the exit code."""
    story = Story()

    def tell(client: Client) -> None:
        with tempfile.TemporaryDirectory(prefix="headrace-core-") as folder:
            _tell(story, client, Path(folder))
        story.say(f"look around: [bold]{headrace()} status[/], [bold]{headrace()} models history {MODEL}[/]")
        story.end()

    return told(tell)


def _tell(story: Story, client: Client, folder: Path) -> None:
    first, second, images = _registered(story, client, folder)

    story.title(f"{first} into production, and a tenth of the users on {second}")
    with story.step(f"put {first} into production") as outcome:
        how, model = begin_with(client, MODEL, first)
        client.routes.await_epoch(MODEL, model.epoch, timeout=SERVING_TIMEOUT_S)
        outcome(how)
    with story.step(f"split: {STABLE} follows production, {CHALLENGER} names {second}") as outcome:
        outcome(split(client, second))
    _check(_sent(story, client, images), {(STABLE, first), (CHALLENGER, second)})

    story.title(f"Promote {second}: no caller and no route changes")
    epoch = client.models.promote(MODEL, second, reason="demo: better on the held-out images").model.epoch
    story.follow(client, MODEL, epoch)
    _check(_sent(story, client, images), {(STABLE, second), (CHALLENGER, second)})

    story.title(f"And back: {first} was kept loaded")
    story.follow(client, MODEL, client.models.rollback(MODEL, reason="demo: practise it").model.epoch)
    _check(_sent(story, client, images), {(STABLE, first), (CHALLENGER, second)})


def _registered(story: Story, client: Client, folder: Path) -> tuple[str, str, Images]:
    """Return the versions of two candidates in the registry, and images that neither was trained on."""
    story.title("Two classifiers of handwritten digits, into the registry")
    with story.step("train and export to ONNX"):
        digits: Digits = load()
        candidates = train(digits, folder)
    versions: list[str] = []
    for candidate in candidates[:2]:
        with story.step(f"register {MODEL} {candidate.version}") as outcome:
            made = register(client, candidate, digits, folder, parent=versions[-1] if versions else "")
            versions.append(made.version)
            outcome(str(made))
    return versions[0], versions[1], digits.held_out


def _sent(story: Story, client: Client, images: Images) -> list[Answer]:
    """Return what the held-out images were answered, having printed it by version."""
    with story.requests("send the held-out images, one by one", len(images.labels)) as progress:
        answers = asyncio.run(send(client.address.url, images, repeat=1, progress=progress))
    rows = [(row.version, row.variants, str(row.requests), f"{row.accuracy:.3f}", f"{row.p50_ms:.1f}")
            for row in by_version(answers)]  # fmt: skip
    story.table(("version", "variants", "requests", "accuracy", "p50 ms"), rows, words=("version", "variants"))
    return answers


def _check(answers: list[Answer], expected: set[tuple[str, str]]) -> None:
    """Raise unless each variant was answered by the version that it serves, and each has answered."""
    found = {(answer.variant, answer.version) for answer in answers}
    if found != expected:
        raise RuntimeError(f"variants answered by {sorted(found)}, which serve {sorted(expected)}")


if __name__ == "__main__":
    sys.exit(main())
