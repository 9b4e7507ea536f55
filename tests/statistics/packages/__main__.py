"""Give Evidently, NannyML and river the same data, in their own environment (2 GB), and print what they say beside
ours.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from headrace_stack import environments
from headrace_statistics.calibration import Calibration, calibrate

from tests.statistics import document, drift_rates, error_sizes, estimates, naive, run_lengths
from tests.statistics.figures import BESIDE, NOTHING, Figure, Table, markdown, share
from tests.statistics.packages import cases, public_data

_HERE = Path(__file__).parent
_CHUNK = 5_000
_STREAMS = 24
_CLEAN_LABELS = 30_000
_BEFORE = 2_000
_FEW_ROWS, _INTERVALS = 300, 200


def main() -> int:
    checkout = Path.cwd()
    environments.build(checkout, "statistics-venv", _HERE / "requirements.txt", finish=lambda _environment: None)
    python = checkout / ".headrace" / "statistics-venv" / "bin" / "python"
    rng = np.random.default_rng(7)
    plain, pairs = drift_rates.beside_naive(rng, runs=60)
    streams, sizes = _streams(rng), _sizes(rng)
    with tempfile.TemporaryDirectory() as folder:
        given, told = Path(folder, "given.npz"), Path(folder, "told.npz")
        arrays = {f"stream/{name}/{i}/stream": s for name, each in streams.items() for i, s in enumerate(each)}
        arrays |= {f"sizes/{name}/{i}/sizes": s for name, each in sizes.items() for i, s in enumerate(each)}
        for case, (what, listed) in enumerate(pairs.items()):
            if "200,000" not in what:
                for i, (reference, window) in enumerate(listed):
                    arrays |= {f"drift/{case}/{i}/reference": reference, f"drift/{case}/{i}/window": window}
        columns, scores = _columns(rng), _scores(rng)
        for (number, case), pairs_of in zip(enumerate(cases.CASES.values()), columns, strict=True):
            kind = "categories" if case.categories else "numbers"
            for i, pair in enumerate(pairs_of):
                arrays |= {f"{kind}/{number}/{i}/before": pair.reference, f"{kind}/{number}/{i}/now": pair.window}
        for i, ((score, label), (later, _)) in enumerate(scores):
            arrays |= {f"score/{i}/score": score, f"score/{i}/label": label, f"score/{i}/later": later}
        np.savez(given, **arrays)
        subprocess.run([str(python), str(_HERE / "worker.py"), str(given), str(told)], check=True, timeout=1_800)
        answers = dict(np.load(told))
    new = _new_cases(columns, scores, answers)
    tables = [
        new,
        _drift(plain, answers),
        _errors(streams, answers),
        _quantities(sizes, answers),
        *public_data.estimates_of(answers),
    ]
    for table in tables:
        sys.stdout.write(markdown(table) + "\n")
    if "--write" in sys.argv:
        document.write(tables, Path("docs/figures/packages.csv"))
    return 0 if all(table.held for table in tables) else 1


def _columns(rng: np.random.Generator) -> list[list[cases.Pair]]:
    return [[case.draw(rng) for _ in range(case.runs)] for case in cases.CASES.values()]


def _scores(rng: np.random.Generator) -> list[tuple[estimates.Drawn, estimates.Drawn]]:
    """Return rows to calibrate on, and rows whose labels come later."""
    return [(estimates.drawn(rng, _FEW_ROWS), estimates.drawn(rng, _CHUNK)) for _ in range(_INTERVALS)]


def _new_cases(
    columns: list[list[cases.Pair]],
    scores: list[tuple[estimates.Drawn, estimates.Drawn]],
    answers: dict[str, np.ndarray],
) -> Table:
    figures = []
    for (number, (name, case)), pairs in zip(enumerate(cases.CASES.items()), columns, strict=True):
        kind = "categories" if case.categories else "numbers"
        theirs = [answers[f"{kind}/{number}/{i}/found"] for i in range(len(pairs))]
        found = [cases.ours(case, pair) for pair in pairs]
        rate, slack = float(np.mean(found)), 3 * (0.06 * 0.94 / len(found)) ** 0.5
        figures.append(
            Figure(
                name,
                share(found),
                "100 %" if case.alarms else f"≤ {6 if case.level == cases.LEVEL else 1} %",
                rate == 1 if case.alarms else rate <= (0.06 + slack if case.level == cases.LEVEL else 0.01),
                share(cases.specification(case, pair) for pair in pairs),
                share(row[0] for row in theirs),
                case.before,
                share(row[1] for row in theirs),
            )
        )
    figures.append(_intervals(scores, answers))
    about = (
        "Each case drawn with a seed, 5 to 60 times; the same values to all. Headrace: a reference's file is frozen, "
        "rows of the log are counted in five files and judged, at the level of an hourly evaluation unless one is "
        "named. Specification's code: PSI from .1 on ten equal widths; of names a new one, or chi-square at 5 %. "
        "Evidently: its default test. NannyML: univariate drift and unseen values by default, in any of ten chunks; "
        "CBPE's interval."
    )
    return Table("Before and after: alarms on the same values; what is right is the bar", tuple(figures), BESIDE, about)


def _intervals(scores: list[tuple[estimates.Drawn, estimates.Drawn]], answers: dict[str, np.ndarray]) -> Figure:
    held, theirs = [], []
    for i, (before, (later, labels)) in enumerate(scores):
        calibration = calibrate(*before)
        assert isinstance(calibration, Calibration)
        truth = estimates.measured(later, labels)["accuracy"]
        lower, upper = estimates.intervals(later, calibration)["accuracy"]
        held.append(lower <= truth <= upper)
        lower, upper = answers[f"score/{i}/found"]
        theirs.append(lower <= truth <= upper)
    what = f"95 % interval of estimated accuracy, {_FEW_ROWS} calibration rows: holds what labels say"
    bar, none = 0.93, "no interval"
    enough = float(np.mean(held)) >= bar - 3 * (bar * (1 - bar) / len(held)) ** 0.5
    return Figure(what, share(held), "≥ 93 %", enough, none, none, "35 %", share(theirs))


def _drift(plain: Table, answers: dict[str, np.ndarray]) -> Table:
    figures = []
    for case, figure in enumerate(plain.figures):
        found = [values for name, values in answers.items() if name.startswith(f"drift/{case}/")]
        package = f"PSI {share(row[1] for row in found)}, KS {share(row[3] for row in found)}" if found else NOTHING
        figures.append(Figure(figure.what, figure.ours, figure.bar, figure.held, figure.naive, package))
    about = (
        "Normals that have moved, 60 pairs (clean ones of 100 rows: 20,000). Each package by its defaults, level 5 %."
    )
    return Table("Alarms on the same values; package: Evidently's PSI and KS", tuple(figures), about=about)


def _streams(rng: np.random.Generator) -> dict[str, np.ndarray]:
    rates = {"clean": None, "8 %": 0.08, "10 %": 0.10, "20 %": 0.20}
    made = {}
    for name, rate in rates.items():
        labels = _CLEAN_LABELS if rate is None else _BEFORE + 4_000
        chance = np.where((np.arange(labels) < _BEFORE) | (rate is None), run_lengths.CLEAN, rate or 0.0)
        made[name] = rng.random((_STREAMS, labels)) < chance
    return made


def _sizes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return how far quantities were off: of each law without a change, and of normal ones that change."""
    made = {f"{name}, as at first": law.draw for name, law in error_sizes.LAWS.items()}
    clean = {what: np.abs([draw(rng, _CLEAN_LABELS) for _ in range(_STREAMS)]) for what, draw in made.items()}
    changed = {}
    for what, (factor, bias) in error_sizes.CHANGES.items():
        off = rng.normal(size=(_STREAMS, _BEFORE + 4_000))
        after = np.arange(_BEFORE + 4_000) >= _BEFORE
        changed[f"normal errors become {what}"] = np.abs(np.where(after, factor * off + bias, off))
    return clean | changed


def _quantities(sizes: dict[str, np.ndarray], answers: dict[str, np.ndarray]) -> Table:
    figures = []
    for name, each in sizes.items():
        ours = np.array([_first_of_sizes(stream) for stream in each])
        theirs = np.stack([answers[f"sizes/{name}/{i}/first"] for i in range(len(each))])
        after = 0 if each.shape[1] == _CLEAN_LABELS else _BEFORE
        plain = np.array([error_sizes.naive_alarm(stream) or -1 for stream in each])
        shown = [_told(first, after, len(each)) for first in (ours, plain, theirs[:, 0], theirs[:, 1])]
        what = f"{name}, {_CLEAN_LABELS:,} labels" if after == 0 else f"{name} after {_BEFORE:,} labels"
        figures.append(Figure(what, shown[0], naive=shown[1], package=f"ADWIN {shown[2]}; Page-Hinkley {shown[3]}"))
    about = "The tolerance is learnt from the first 500 labels, run length 10,000. Packages by their defaults."
    return Table(f"Errors of quantities, {_STREAMS} streams; package: river", tuple(figures), about=about)


def _first_of_sizes(stream: np.ndarray) -> int:
    """Return the label of the first alarm; the first labels are those that are learnt from."""
    first = stream[: error_sizes.BASE_LABELS]
    tolerance = error_sizes.tolerance_of(first.tolist())
    later = stream[None, first.size :] > tolerance
    found = int(run_lengths.first_alarms_of(later, error_sizes.learn(first, tolerance))[0])
    return -1 if found < 0 else found + first.size


def _errors(streams: dict[str, np.ndarray], answers: dict[str, np.ndarray]) -> Table:
    detector = run_lengths.Detector(run_lengths.ALLOWED, run_lengths.RUN_LENGTH)
    figures = []
    for name, each in streams.items():
        ours = run_lengths.first_alarms_of(each, detector)
        theirs = np.stack([answers[f"stream/{name}/{i}/first"] for i in range(len(each))])
        after = 0 if name == "clean" else _BEFORE
        plain = np.array([naive.rate_alarms_at(stream, run_lengths.ALLOWED) or -1 for stream in each])
        shown = [_told(first, after, len(each)) for first in (ours, plain, theirs[:, 0], theirs[:, 1])]
        what = f"{_CLEAN_LABELS:,} clean labels" if name == "clean" else f"5 % rises to {name} after {_BEFORE:,} labels"
        figures.append(Figure(what, shown[0], naive=shown[1], package=f"ADWIN {shown[2]}; DDM {shown[3]}"))
    about = "Errors at 5 %, 6 % allowed, run length 10,000. Packages by their defaults."
    return Table(f"Error rate, {_STREAMS} streams; package: river", tuple(figures), about=about)


def _told(first: np.ndarray, after: int, streams: int) -> str:
    if after == 0:
        return f"{int((first > 0).sum())} of {streams} alarm"
    early, late = first[(first > 0) & (first <= after)], first[first > after] - after
    median = f"{np.median(late):,.0f}" if late.size else "never"
    return f"median {median}, {early.size} early, {streams - early.size - late.size} missed"


if __name__ == "__main__":
    sys.exit(main())
