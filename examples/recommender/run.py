"""A recommender whose answers come from everywhere: 80 % published beforehand, the rest computed or cached.

Run it with `make demo`, or `python -m examples.recommender.run` when the stack is up.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from headrace_client import Answers, Client
from headrace_client.cli.explain import show
from headrace_client.cli.output import Output

from examples.recommender.register import MODEL, gates, register
from examples.recommender.traffic import (
    PAIRS,
    Pairs,
    by_source,
    draw_pairs,
    judge,
    send_once,
    send_while,
)
from examples.recommender.train import Array, Candidate, make_up, train
from examples.story import SERVING_TIMEOUT_S, Story, headrace, told
from examples.versions import Registered, begin_with


def main() -> int:
    """Tell the story once; return the exit code."""
    story = Story()

    def tell_all(client: Client) -> None:
        lines(story, tell(story, client))
        story.end()

    return told(tell_all)


def tell(story: Story, client: Client) -> str:
    """Train, register, publish, ask, promote and roll back under traffic; return the id of an explained prediction."""
    with tempfile.TemporaryDirectory(prefix="headrace-recommender-") as folder:
        return _tell(story, client, Path(folder))


def lines(story: Story, prediction_id: str) -> None:
    """Print what to look at afterwards."""
    story.line("an answer of the recommender, explained for an hour", f"{headrace()} explain {prediction_id}")
    story.line("what is kept for it", f"{headrace()} precompute status {MODEL}")


def _tell(story: Story, client: Client, folder: Path) -> str:
    story.title("A recommender: will this user click this item? (users, items and clicks are made up)")
    with story.step("train and export to ONNX"):
        world = make_up()
        candidates = train(world, folder)
    _show_candidates(story, candidates)

    versions: list[Registered] = []
    for candidate in candidates:
        with story.step(f"register {MODEL} {candidate.version} with its validation set") as outcome:
            parent = versions[-1].version if versions else ""
            versions.append(register(client, candidate, world.validation, folder, parent))
            outcome(str(versions[-1]))
    first, second = (one.version for one in versions)
    client.models.set_gates(MODEL, gates(), reason="demo: what a recommender is judged by")
    with story.step(f"put {first} into production") as outcome:
        how, model = begin_with(client, MODEL, first)
        status = client.routes.await_epoch(MODEL, model.epoch, timeout=SERVING_TIMEOUT_S)
        outcome(f"{how}, serving as generation {status.generation}")

    def scores(users: Array, items: Array) -> dict[str, Array]:
        return {name: one.scores(users, items) for name, one in zip((first, second), candidates, strict=True)}

    pairs = draw_pairs(world, scores)
    story.title(f"Four pairs of five are answered beforehand, for {first} and for {second}, which does not serve yet")
    for version in (first, second):
        _publish(story, client, pairs, version)
    client.routes.purge_cache(MODEL, first, reason="demo: start over")
    _ask_for_all(story, client, pairs, "ask once for each pair of a user and an item")
    _ask_for_all(story, client, pairs, "and once more: what was computed is in the cache")
    prediction_id = _explain_one(story, client, pairs)

    story.title(f"{second} ranks better: into production with it while callers go on, and out again")
    _change_under_traffic(story, client, pairs, second)
    _change_under_traffic(story, client, pairs, first)
    return prediction_id


def _show_candidates(story: Story, candidates: tuple[Candidate, ...]) -> None:
    story.table(
        ("version", "what it is", "AUC", "log loss", "p50 ms", "p99 ms", "bytes"),
        [
            (
                one.version,
                one.description,
                f"{one.auc:.3f}",
                f"{one.log_loss:.3f}",
                f"{one.latency_p50_ms:.3f}",
                f"{one.latency_p99_ms:.3f}",
                f"{one.file.stat().st_size:,}",
            )
            for one in candidates
        ],
        words=("version", "what it is"),
    )


def _publish(story: Story, client: Client, pairs: Pairs, version: str) -> None:
    """Publish a version's scores for the published pairs; whatever was published before no longer counts."""
    count = len(pairs.published())
    answers = Answers(pairs.entities[:count], {"scores": pairs.scores[version][:count]})
    with story.step(f"publish the scores of {version} for {count} of {len(pairs.entities)} pairs") as outcome:
        committed = client.precomputed.publish(MODEL, [answers], version=version, row_count=count)
        outcome(f"generation {committed.publish.generation}")


def _explain_one(story: Story, client: Client, pairs: Pairs) -> str:
    """Have a pair without a precomputed answer computed, and explain it; return the id of the prediction."""
    story.title("How did one answer come about?")
    inputs = {"user_features": pairs.users[-1:], "item_features": pairs.items[-1:]}
    answer = client.predict(MODEL, inputs, entity_id=pairs.entities[-1], max_age=timedelta(0), explain=True)
    show(Output(as_json=False), client.explain(answer.prediction_id))
    return answer.prediction_id


def _ask_for_all(story: Story, client: Client, pairs: Pairs, doing: str) -> None:
    """Ask once for each pair and show where the answers came from."""
    with story.requests(doing, PAIRS) as progress:
        answers = asyncio.run(send_once(client.address.url, pairs, progress))
    story.table(
        ("served from", "versions", "requests", "share", "p50 ms", "p99 ms"),
        [
            (
                row.served_from,
                row.versions,
                str(row.requests),
                f"{100 * row.share:.1f} %",
                f"{row.p50_ms:.1f}",
                f"{row.p99_ms:.1f}",
            )
            for row in by_source(answers)
        ],
        words=("served from", "versions"),
    )
    wrong = sum(not answer.right for answer in answers)
    if wrong:
        raise RuntimeError(f"{wrong} scores are not what the version computes that they name")


def _change_under_traffic(story: Story, client: Client, pairs: Pairs, version: str) -> None:
    """Promote, or roll back to, a version while callers ask, and say what they saw."""

    def act() -> None:
        if version == client.models.get(MODEL).production_version:
            raise RuntimeError(f"{version} is in production already: is somebody else at work?")
        moved = (
            client.models.rollback(MODEL, reason="demo")
            if back
            else client.models.promote(MODEL, version, reason="demo")
        )
        story.follow(client, MODEL, moved.model.epoch)

    back = version == min(pairs.scores)
    answers, acknowledged_at = asyncio.run(send_while(client.address.url, pairs, act))
    verdict = judge(answers, acknowledged_at, version)
    what = "rollback" if back else "promotion"
    story.say(f"{what}: {verdict.answers} answers meanwhile, {verdict.wrong_score} with a score of another version")
    story.say(
        f"after the acknowledgement {verdict.after} ({verdict.sources}), {verdict.wrong_version} not by {version}"
    )
    if verdict.wrong_version or verdict.wrong_score or not verdict.after:
        raise RuntimeError("callers were answered by the wrong version")


if __name__ == "__main__":
    sys.exit(main())
