"""`make demo` on a stack of its own: twice, and then the lines that it prints."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from headrace_stack.testing import held_stack

from examples.story import headrace
from tests.kit.clients.printed_lines import CHECKOUT, beside, paste, python_line, run_demo
from tests.kit.stores.servers import home_for_tests

# `make test` tells the story once, on the stack that all tests share (test_demo_on_the_stack.py).
pytestmark = pytest.mark.long


@dataclass(frozen=True, slots=True)
class Demo:
    """What two runs printed, and how to paste a line of the second one."""

    first: str
    second: str
    environment: dict[str, str]

    def paste(self, beginning: str) -> str:
        """Return what the printed line that begins so prints."""
        return paste(self.second, beginning, self.environment)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run the demo twice on a fresh stack."""
    with held_stack(home_for_tests(f"demo-{os.getpid()}")) as settings:
        environment = beside(settings.home, tmp_path_factory.mktemp("bin"))
        yield Demo(run_demo(environment), run_demo(environment), environment)


def test_the_first_run_registers_promotes_splits_and_promotes_again(demo: Demo) -> None:
    assert "v1 registered" in demo.first
    assert "v2 registered" in demo.first
    assert "promoted v1, serving as generation" in demo.first
    assert "% of the users changed their variant" in demo.first


def test_an_ensemble_is_better_than_its_members_and_goes_on_without_one(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        told = re.search(
            r"accuracy of v1\S* ([\d.]+), v2\S* ([\d.]+), alone; together ([\d.]+)", " ".join(printed.split())
        )
        assert told is not None
        first, second, both = map(float, told.groups())
        assert both >= max(first, second)
        assert "flagged as degraded, without linear" in printed
        assert re.search(r"one image in [\d.]+ ms \(median\), [\d.]+ ms step by step", " ".join(printed.split()))


def test_a_second_run_reuses_what_the_first_one_registered_and_rolls_back(demo: Demo) -> None:
    # Two classifiers, two of the recommender, and the ensemble: three versions, the first of them twice.
    assert demo.second.count("is there from an earlier run") == 8
    assert "rolled back to v1, serving as generation" in demo.second
    assert "the split of an earlier run is in force" in demo.second


def test_a_tenth_of_the_users_meets_the_challenger_and_after_the_promotion_all_do(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        split, promoted = (_rows(part) for part in printed.split("better: promote it"))
        assert set(split) == {"v1", "v2"}
        requests = {version: row["requests"] for version, row in split.items()}
        assert sum(requests.values()) == 4 * 540
        # 300 users under a salt of chance: five standard deviations around a tenth.
        assert 0.02 < requests["v2"] / sum(requests.values()) < 0.19
        assert set(promoted) == {"v2"}
        assert promoted["v2"]["requests"] == 4 * 540


def test_the_better_version_is_better_on_images_that_nobody_trained_on(demo: Demo) -> None:
    split, promoted = (_rows(part) for part in demo.second.split("better: promote it"))
    assert promoted["v2"]["accuracy"] > 0.95
    assert promoted["v2"]["accuracy"] > split["v1"]["accuracy"] > 0.9


def test_every_user_keeps_the_variant_and_no_caller_changes_anything(demo: Demo) -> None:
    assert re.search(r"each of 300 users was always answered by the same variant", _joined(demo.second))
    assert "2160 of 2160 requests kept their variant" in _joined(demo.second)


def test_a_rule_sends_a_user_to_the_challenger_and_is_gone_again(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        assert re.search(r"user-\d+: v1 by variant stable \(weights\)", printed)
        assert re.search(r"user-\d+ with country=DE: v2 by variant challenger \(rule country-de\)", printed)


def test_a_promotion_shows_its_stages_and_a_rollback_how_long_it_took(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        assert "v2 on 1/1 batchers of pool default" in printed
        assert "acknowledged  1/1 data planes" in printed
    taken_s = [float(seconds) for seconds in re.findall(r"v1 answers again ([\d.]+) s", demo.first + demo.second)]
    assert len(taken_s) == 2


def test_what_the_batcher_measured_is_shown_and_close_to_what_training_saw(demo: Demo) -> None:
    measured = demo.second.split("the batcher measured both")[1].split("Yours now")[0]
    rows = re.findall(r"^ *(v\d) +(\S+) +(\S+) +(\S+) *$", measured, re.M)
    assert [version for version, *_ in rows] == ["v1", "v2"]
    for _, p50_ms, p99_ms, parity in rows:
        assert 0 < float(p50_ms) <= float(p99_ms)
        assert float(parity) < 1e-4


def test_labels_that_come_back_show_how_good_each_version_was(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        known = printed.split("The labels come back")[1].split("Are these still")[0]
        rows = re.findall(r"^ *(v\d) +(\w+) +(\d+) +(\d+) +(0\.\d{3}) +(0\.\d{3})-(0\.\d{3}) *$", known, re.M)
        assert {(version, variant) for version, variant, *_ in rows} >= {("v1", "stable"), ("v2", "stable")}
        assert sum(int(labelled) for *_, labelled, _, _, _ in rows) == 2 * 4 * 540
        accuracy = {(version, variant): float(value) for version, variant, _, _, value, _, _ in rows}
        # As callers counted it themselves.
        after = _rows(printed.split("better: promote it")[1])
        weighed = [(int(labelled), float(value)) for version, _, _, labelled, value, _, _ in rows if version == "v2"]
        mean = sum(count * value for count, value in weighed) / sum(count for count, _ in weighed)
        assert abs(mean - after["v2"]["accuracy"]) < 0.02
        assert accuracy["v1", "stable"] < accuracy["v2", "stable"]


def test_the_monitor_finds_nothing_in_the_images_and_raises_an_alert_by_itself_once_there_is_noise(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        looks = _joined(printed.split("Are these still")[1])
        clean, noisy = looks.split("add noise")
        found = re.search(r"looked by itself: no drift in (\d+) rows, \d+ looks?", clean)
        assert found is not None, clean
        # The second round of requests alone is that many; both versions were asked in the first one.
        assert int(found[1]) > 4 * 540
        assert "no alert" in clean
        found = re.search(r"alert high of digits v2: PSI of image\.\d+ is [\d.]+, .*?(\d+) other columns", noisy)
        assert found is not None, noisy
        assert int(found[1]) > 10


def test_four_pairs_of_five_are_answered_from_what_was_published_and_the_rest_once_computed_from_the_cache(
    demo: Demo,
) -> None:
    row = re.compile(r"^ *(precomputed|online|cache) +v1 +(\d+) ", re.MULTILINE)
    for printed in (demo.first, demo.second):
        once, again = (dict(row.findall(part)) for part in printed.split("and once more")[:2])
        for counts in (once, again):
            assert sum(map(int, counts.values())) == 1000
            # On a busy machine the store is late now and then, and what would have been there is computed.
            assert 600 < int(counts["precomputed"]) <= 800
        assert "cache" not in once
        assert int(again["cache"]) > 150


def test_one_answer_of_the_recommender_is_explained(demo: Demo) -> None:
    for printed in (demo.first, demo.second):
        assert "recommender: answered from online in" in printed
        assert re.search(r"primary .*v1, 127\.0\.0\.1:\d+ of pool default, queue", printed)


def test_the_printed_headrace_lines_work(demo: Demo) -> None:
    ours = headrace()  # by its name where the caller's path finds it, as the README proposes
    assert "recommender: answered from online in" in demo.paste(f"{ours} explain ")
    assert "v2" in demo.paste(f"{ours} precompute status recommender")


def test_the_recommender_is_changed_under_traffic_without_a_wrong_answer(demo: Demo) -> None:
    said = re.compile(
        r"(promotion|rollback): (\d+) answers meanwhile, (\d+) with a score of another version "
        r"after the acknowledgement (\d+) \(.*?precomputed=.*?\), (\d+) not by (v\d)"
    )
    for printed in (demo.first, demo.second):
        found = {what: (version, *map(int, counts)) for what, *counts, version in said.findall(_joined(printed))}
        assert set(found) == {"promotion", "rollback"}
        for what, expected in (("promotion", "v2"), ("rollback", "v1")):
            version, answers, wrong_scores, after, wrong_versions = found[what]
            assert version == expected
            assert answers > after > 0
            assert (wrong_scores, wrong_versions) == (0, 0)


def test_the_version_that_knows_taste_ranks_better_than_the_one_that_knows_popularity(demo: Demo) -> None:
    auc = {
        version: float(value)
        for version, value in re.findall(r"^ *(v\d)  .*?  (0\.\d{3}) +0\.\d{3} ", demo.first, re.M)
    }
    assert auc["v2"] > 0.8 > 0.7 > auc["v1"] > 0.6


def test_the_printed_curl_line_works(demo: Demo) -> None:
    answer = json.loads(demo.paste("curl "))
    assert answer["predictions"][0]["label"] == 2
    assert answer["model_version"] == "v2"


def test_the_printed_python_line_works(demo: Demo) -> None:
    assert "[0 1 2 3 4 5 6 7 8 9] [0 1 2 3 4 5 6 7 8 9] v2" in demo.paste(python_line())


def test_the_printed_grpcurl_line_works(demo: Demo) -> None:
    answer = json.loads(demo.paste("grpcurl "))
    assert (answer["model"], answer["version"]) == ("digits", "v2")
    assert [output["name"] for output in answer["outputs"]] == ["label", "probabilities"]


def test_the_page_for_who_calls_models_works_as_it_is_written(demo: Demo, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "calling-models.md").read_text()
    blocks = re.findall(r"^```(console|python)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    status = json.loads((Path(demo.environment["HEADRACE_STATE_DIR"]) / "run" / "status.json").read_text())
    here = demo.environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{demo.environment['PATH']}",
        # A reader exports it once, in the page's first block; each block here is a shell of its own.
        "HEADRACE_ADDRESS": f"127.0.0.1:{status['base_port']}",
        "HEADRACE_BASE_PORT": str(status["base_port"]),
    }
    (tmp_path / "protos").symlink_to(CHECKOUT / "protos")
    for language, text in blocks:
        # What is installed here is in the tests' environment already.
        lines = [line for line in text.splitlines() if not line.startswith("pip install")]
        block = "\n".join(lines)
        command = [sys.executable, "-c", block] if language == "python" else ["bash", "-ec", block]
        done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert "ours to correct" not in done.stdout
    assert len(blocks) == 7
    assert (tmp_path / "headrace" / "router" / "v1" / "predict_pb2_grpc.py").is_file()


def _rows(printed: str) -> dict[str, dict[str, float]]:
    """Return the columns of numbers of the tables with a row per version that was asked."""
    row = re.compile(r"^ *(v\d)  +[a-z]+ +(\d+) +(\d+) +(\d\.\d+) +([\d.]+) +([\d.]+) +\w+=\d+", re.MULTILINE)
    names = ("users", "requests", "accuracy", "p50_ms", "p99_ms")
    return {version: dict(zip(names, map(float, values), strict=True)) for version, *values in row.findall(printed)}


def _joined(printed: str) -> str:
    return " ".join(printed.split())
