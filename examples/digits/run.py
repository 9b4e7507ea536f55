"""The main job of Headrace on real images: two versions, a split, a promotion and the way back.

Run it with `make demo`, or `python -m examples.digits.run` when the stack is up.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace_client import Client, Prediction

from examples.digits import drifting, ensemble, watching
from examples.digits.register import CHALLENGER, MODEL, STABLE, register, split
from examples.digits.report import Report
from examples.digits.traffic import USERS, Answer, by_version, send, variants_by_user
from examples.digits.train import Images, load, train
from examples.story import SERVING_TIMEOUT_S, headrace, told
from examples.versions import begin_with

_REPEAT = 4
_ASSIGNMENTS_CHECKED = 20
_RULE = f"country=DE -> {CHALLENGER}"
_GERMAN = {"country": "DE"}
_MEASURED_WITHIN_S = 15.0
_MOMENT = timedelta(seconds=1)


def main() -> int:
    """Tell the story once; return the exit code."""
    report = Report()

    def story(client: Client) -> None:
        pixels = tell(report, client)
        report.lines(client.address, pixels)
        report.end()

    return told(story)


def tell(report: Report, client: Client) -> list[int]:
    """Train, register, split, send, promote, send again, roll back; return an image to ask for."""
    with tempfile.TemporaryDirectory(prefix="headrace-digits-") as folder:
        return _tell(report, client, Path(folder))


def _tell(report: Report, client: Client, folder: Path) -> list[int]:
    report.title("Two classifiers of handwritten digits")
    with report.step("train and export to ONNX"):
        digits = load()
        candidates = train(digits, folder)
    report.candidates(candidates)

    report.title("Into the registry, and the first one into production")
    with report.step(f"register {MODEL} {candidates[0].version}") as outcome:
        first = register(client, candidates[0], digits, folder)
        outcome(str(first))
    with report.step(f"register {MODEL} {candidates[1].version}") as outcome:
        second = register(client, candidates[1], digits, folder, parent=first.version)
        outcome(str(second))
    with report.step(f"put {first.version} into production") as outcome:
        how, model = begin_with(client, MODEL, first.version)
        status = client.routes.await_epoch(MODEL, model.epoch, timeout=SERVING_TIMEOUT_S)
        outcome(f"{how}, serving as generation {status.generation}")

    report.title(
        f"A tenth of the users on {second.version}: {STABLE} follows production, {CHALLENGER} names {second.version}"
    )
    with report.step("split 90/10") as outcome:
        outcome(split(client, second.version))
    with report.step(f"have an alert raised when what {MODEL} is asked drifts: rule {drifting.RULE}"):
        drifting.put_rule(client, second.version)
    rows, began = drifting.rows_before(client, second.version), datetime.now(UTC)
    before = _send(report, client, digits.held_out, "send the held-out images, one by one")
    report.seen(by_version(before))
    _check_sticky(report, client, before)
    _show_rule(report, client, digits.held_out, before)

    report.title(f"{second.version} is better: promote it. No caller and no route changes")
    with report.step(f"promote {second.version}") as outcome:
        promoted = client.models.promote(MODEL, second.version, reason="demo: better on the held-out images")
        outcome(f"epoch {promoted.model.epoch} of the registry")
    status = report.follow(client, MODEL, promoted.model.epoch)
    report.say(f"serving as generation {status.generation}")
    after = _send(report, client, digits.held_out, "send the same requests again")
    rows += sum(answer.version == second.version for answer in (*before, *after))
    # All ask the second version by now, so that there will be a look at its last moment.
    asked = drifting.Asked(began, datetime.now(UTC) - _MOMENT, rows)
    report.seen(by_version(after))
    _tell_moved(report, before, after)

    _roll_back_and_forth(report, client, digits.held_out, _on_stable(after), first.version, second.version)
    _show_measured(report, client, (first.version, second.version))
    ensemble.tell(report, client, candidates, (first.version, second.version), digits.held_out, folder)
    _show_performance(report, client, [*before, *after], began)
    _show_drift(report, client, digits.held_out, second.version, asked)
    return [int(value) for value in digits.held_out.pixels[0]]


def _show_rule(report: Report, client: Client, images: Images, answers: list[Answer]) -> None:
    """Send Germans to the challenger, show what that does to one user, and let the weights decide again."""
    report.title("Some first: a rule by attribute decides before the weights")
    user = _on_stable(answers)
    with report.step(f"set the rule {_RULE}") as outcome:
        ruled = client.routes.set_rules(MODEL, [_RULE], reason="demo: Germany first")
        outcome(f"generation {ruled.status.generation}, no user moved")
    for attributes in ({}, _GERMAN):
        answer = _predict_one(client, images, user, attributes)
        said = " with country=DE" if attributes else ""
        why = f"rule {answer.rule}" if answer.rule else "weights"
        report.say(f"{user}{said}: {answer.version} by variant {answer.variant} ({why})")
    with report.step("remove it again"):
        client.routes.set_rules(MODEL, (), reason="demo: for every user")


def _on_stable(answers: list[Answer]) -> str:
    """Return a user whose bucket is production's; the buckets differ in each new route."""
    return next(answer.user for answer in answers if answer.variant == STABLE)


def _roll_back_and_forth(report: Report, client: Client, images: Images, user: str, first: str, second: str) -> None:
    """Go back to the version before and forth again, and say how long each took until the front door answered by it."""
    report.title(f"And back: {first} is kept loaded, so a rollback is as quick as the way forward")
    for version in (first, second):
        start = time.perf_counter()
        if version == first:
            moved = client.models.rollback(MODEL, reason="demo: practise it while nothing burns").model
        else:
            moved = client.models.promote(MODEL, version, reason="demo: forward again").model
        report.follow(client, MODEL, moved.epoch)
        answer = _predict_one(client, images, user, {})
        taken_s = time.perf_counter() - start
        if answer.version != version:
            raise RuntimeError(f"{answer.version} answered after {version} was acknowledged")
        report.say(f"{version} answers again {taken_s:.2f} s after it was asked for")


def _show_measured(report: Report, client: Client, versions: Sequence[str]) -> None:
    """Show what the batcher measured on each version: how long it takes, and how far it is from what training saw."""
    report.title("Meanwhile the batcher measured both, whenever it had nothing else to do")
    deadline = time.monotonic() + _MEASURED_WITHIN_S
    with report.step("wait for what it measured"):
        while True:
            measured = {version: _measured(client, version) for version in versions}
            if all(measured.values()) or time.monotonic() >= deadline:
                break
            time.sleep(0.2)
    report.measured(measured)


def _show_performance(report: Report, client: Client, answers: list[Answer], began: datetime) -> None:
    """Send every label back, and show how good the monitor finds each version with them."""
    report.title("The labels come back: how good was each version?")
    with report.step(f"tell the label of {len(answers)} images") as outcome:
        outcome(watching.send_labels(client, answers, began))
    with report.step("wait until they are joined to the predictions"):
        known = watching.performance(client, began, len(answers))
    report.known(known)


def _show_drift(report: Report, client: Client, images: Images, version: str, asked: drifting.Asked) -> None:
    """Show that nothing was found in what came in; add noise to the images, and show that it is found."""
    report.title("Are these still the images that it was trained on?")
    with report.step(f"look at what {version} was asked") as outcome:
        clean = drifting.look_now(client, version, asked)
        outcome(drifting.words([clean]))
    if drifting.looks_often(client, version):
        _show_alert(report, client, images, version, asked)
    else:
        _show_drift_now(report, client, images, version, clean)


def _show_alert(report: Report, client: Client, images: Images, version: str, asked: drifting.Asked) -> None:
    """Wait for the monitor's own looks, and for the alert that one of them raises."""
    with report.step("wait until the monitor has looked by itself") as outcome:
        outcome(drifting.words(drifting.looks_by_itself(client, version, asked)))
    report.alerts(drifting.open_alerts(client))
    with report.step("add noise, and ask about the images again until the monitor raises an alert"):
        alerts = drifting.send_until_alert(client, drifting.with_noise(images))
    report.alerts(alerts)
    report.alarms(drifting.looks_by_itself(client, version, asked))


def _show_drift_now(report: Report, client: Client, images: Images, version: str, clean: drifting.Evaluation) -> None:
    """Look on demand, where the monitor's own looks are too far apart to wait for."""
    if clean.alarms:
        report.say(f"The whole window was looked at, since {clean.start:%H:%M}Z: an earlier demo's noise is in it.")
    with report.step("add noise, ask about as many images again, and look again") as outcome:
        asked = drifting.send_beside(client, drifting.with_noise(images), clean)
        noisy = drifting.look_now(client, version, asked)
        outcome(drifting.words([noisy]))
    report.alarms([noisy])
    report.say(
        f"By itself the monitor looks at windows of {noisy.length} here, some minutes after their end: after "
        f"{noisy.end:%H:%M}Z rule {drifting.RULE} raises its alert."
    )
    report.say(f"[bold]{headrace()} monitor alerts watch --model {MODEL}[/] shows it then.")


def _measured(client: Client, version: str) -> dict[str, float]:
    newest_first = client.versions.list_measurements(MODEL, version)
    return {found.metric.name: found.metric.value for found in reversed(newest_first)}


def _predict_one(client: Client, images: Images, user: str, attributes: dict[str, str]) -> Prediction:
    return client.predict(MODEL, {"image": images.pixels[:1]}, user_id=user, attributes=attributes)


def _send(report: Report, client: Client, images: Images, doing: str) -> list[Answer]:
    with report.requests(doing, _REPEAT * len(images.labels)) as progress:
        return asyncio.run(send(client.address.url, images, repeat=_REPEAT, progress=progress))


def _check_sticky(report: Report, client: Client, answers: list[Answer]) -> None:
    """Say whether each user kept one variant, and whether the control plane assigns the same."""
    variants = variants_by_user(answers)
    strayed = [user for user, seen in variants.items() if len(seen) > 1]
    assigned = {user: client.routes.assign(MODEL, user_id=user).variant for user in USERS[:_ASSIGNMENTS_CHECKED]}
    differing = [user for user, variant in assigned.items() if variants[user] != {variant}]
    if strayed or differing:
        raise RuntimeError(f"users changed their variant: {strayed}; assigned otherwise than answered: {differing}")
    challenged = sum(seen == {CHALLENGER} for seen in variants.values())
    report.say(
        f"each of {len(variants)} users was always answered by the same variant: {challenged} by {CHALLENGER}, "
        f"{len(variants) - challenged} by {STABLE}"
    )


def _tell_moved(report: Report, before: list[Answer], after: list[Answer]) -> None:
    """Say what changed between the two rounds, request by request."""
    kept = sum(old.variant == new.variant for old, new in zip(before, after, strict=True))
    moved = sum(old.version != new.version for old, new in zip(before, after, strict=True))
    wrong_before, wrong_after = (sum(not answer.right for answer in answers) for answers in (before, after))
    report.say(f"{kept} of {len(after)} requests kept their variant; {moved} got another version behind it")
    report.say(f"wrong labels: {wrong_before} before, {wrong_after} after")


if __name__ == "__main__":
    sys.exit(main())
