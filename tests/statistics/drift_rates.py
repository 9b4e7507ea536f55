"""How often drift tests alarm: at the edge of what is tolerated, with no drift, and beyond."""

from itertools import product

import numpy as np
from headrace_statistics import references
from headrace_statistics.drift import categorical, embedding, ks, psi
from headrace_statistics.multiplicity import AlarmBudget, benjamini_hochberg
from headrace_statistics.sketches import bins
from scipy import special

from tests.statistics import naive, shapes
from tests.statistics.figures import Figure, Table, share

LEVEL = 0.05
TOLERANCE = 0.05
SIZES = (50, 200, 1_000, 10_000, 1_000_000)
# A simulated rate of .05 from r runs strays by chance; bars are held within three standard errors.


def _slack(rate: float, runs: int) -> float:
    return 3 * (rate * (1 - rate) / runs) ** 0.5


def _draw(rng: np.random.Generator, q: np.ndarray, n: int, m: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    p = np.full(q.size, 1 / q.size)
    return rng.multinomial(n, p, runs), rng.multinomial(m, q, runs)


def psi_sizes(rng: np.random.Generator, runs: int) -> Table:
    """Pairs of draws of all pairs of sizes, on ten bins of like share, at a level of 5 %: at the edge a normal that is
    shifted, wider or narrower, or one bin that is larger or smaller.
    """
    edge = shapes.at_the_edge(10, shapes.psi, TOLERANCE)
    figures = []
    for n, m in product(SIZES, SIZES):
        rates = [
            float((psi.p_value(*_draw(rng, q, n, m, runs), tolerance=TOLERANCE) <= LEVEL).mean()) for q in edge.values()
        ]
        clean = float((psi.p_value(*_draw(rng, np.full(10, 0.1), n, m, runs), tolerance=TOLERANCE) <= LEVEL).mean())
        least = 0.03 if min(n, m) >= 1_000 else 0.0
        held = max(rates) <= 0.06 + _slack(0.06, runs) and min(rates) >= least - _slack(0.03, runs)
        held = held and clean <= 0.01 + _slack(0.01, runs)
        bar = f"{100 * least:.0f} to 6 %; ≤ 1 %"
        ours = f"{100 * min(rates):.1f} to {100 * max(rates):.1f} %; {100 * clean:.1f} %"
        figures.append(Figure(f"n = {n:,}, m = {m:,}", ours, bar, held))
    return Table("PSI, tolerance .05: alarms at the edge over five shapes; with no drift", tuple(figures))


def ks_sizes(rng: np.random.Generator, runs: int) -> Table:
    """The same draws on the 200 bins that windows have, but for one bin that is smaller, which has no .05 to lose."""
    edge = shapes.at_the_edge(bins.FINE_BINS, shapes.ks, TOLERANCE, down=False)  # no bin has .05 to lose
    even = np.full(bins.FINE_BINS, 1 / bins.FINE_BINS)
    figures = []
    for n, m in product(SIZES, SIZES):
        rates = [
            float((ks.p_value(*_draw(rng, q, n, m, runs), tolerance=TOLERANCE) <= LEVEL).mean()) for q in edge.values()
        ]
        clean = float((ks.p_value(*_draw(rng, even, n, m, runs), tolerance=TOLERANCE) <= LEVEL).mean())
        held = max(rates) <= 0.06 + _slack(0.06, runs) and clean <= 0.01 + _slack(0.01, runs)
        ours = f"{100 * min(rates):.1f} to {100 * max(rates):.1f} %; {100 * clean:.1f} %"
        figures.append(Figure(f"n = {n:,}, m = {m:,}", ours, "≤ 6 %; ≤ 1 %", held))
    return Table("KS, tolerance .05: alarms at the edge over four shapes; with no drift", tuple(figures))


def psi_power(rng: np.random.Generator, runs: int) -> Table:
    """How often normals that have moved are found at a level of 5 %, with the tolerances of the table."""
    figures = []
    for times, n in product((1.5, 2.0, 4.0), (200, 1_000, 10_000, 100_000)):
        q = shapes.at_the_edge(10, shapes.psi, times * TOLERANCE)["shift"]
        power = float((psi.p_value(*_draw(rng, q, n, n, runs), tolerance=TOLERANCE) <= LEVEL).mean())
        barred = (times, n) == (1.5, 10_000)
        held = power >= 0.95 or not barred
        figures.append(
            Figure(
                f"PSI {times:g} × tolerance, n = m = {n:,}", f"{100 * power:.1f} %", "≥ 95 %" if barred else "–", held
            )
        )
    for sigmas, n in ((0.5, 112), (0.3, 302), (0.2, 721), (0.1, 2_900)):
        q = shapes.shifted(bins.FINE_BINS, sigmas)
        a, b = _draw(rng, q, n, n, runs)
        strict = float((ks.p_value(a, b, tolerance=0.0) <= LEVEL).mean())
        lax = float((ks.p_value(a, b, tolerance=TOLERANCE) <= LEVEL).mean())
        figures.append(
            Figure(
                f"KS, shift of {sigmas:g} sd, n = m = {n:,}, no tolerance (tolerance .05)",
                f"{100 * strict:.1f} % ({100 * lax:.1f} %)",
                "≥ 85 %",
                strict >= 0.85,
            )
        )
    return Table("Power", tuple(figures))


def beside_naive(rng: np.random.Generator, runs: int) -> tuple[Table, dict[str, list[tuple[np.ndarray, np.ndarray]]]]:
    """The same raw values to Headrace (freeze, count, test: either test alarms) and to the naive code; and those
    values.
    """
    cases = {
        "no drift": 0.0,
        "edge of PSI's tolerance (.2285 sd)": 0.2285,
        "0.1 sd": 0.1,
        "0.3 sd": 0.3,
        "0.5 sd": 0.5,
    }
    figures, data = [], {}
    for n, (name, sigmas) in product((100, 1_000, 10_000, 200_000), cases.items()):
        repeats = runs if n <= 1_000 else max(runs * 1_000 // n, 10)
        if (n, sigmas) == (100, 0.0):
            repeats = 20_000  # or a rate near its bar of 1 % would be a handful of alarms
        pairs = [(rng.normal(size=n), rng.normal(sigmas, 1, n)) for _ in range(repeats)]
        ours = [alarms(*pair) for pair in pairs]
        what = f"{name}, n = m = {n:,}"
        figures.append(
            Figure(
                what,
                f"PSI {share(p for p, _ in ours)}, KS {share(k for _, k in ours)}",
                "≤ 1 %" if sigmas == 0 else "–",
                sigmas != 0 or bool(max(np.mean(ours, axis=0)) <= 0.01 + _slack(0.01, len(pairs))),
                naive=f"PSI {share(naive.psi_alarms(*pair) for pair in pairs)}, "
                f"KS {share(naive.ks_alarms(*pair) for pair in pairs)}",
            )
        )
        data[what] = pairs
    return Table("Alarms on the same values", tuple(figures)), data


def alarms(reference: np.ndarray, window: np.ndarray) -> tuple[bool, bool]:
    frozen = references.freeze_numeric(reference)
    before, now = frozen.summary.bins.counts, bins.count(window, frozen.edges).counts
    grouped = (bins.added_up(before, frozen.groups), bins.added_up(now, frozen.groups))
    by_psi = psi.p_value(*grouped, tolerance=TOLERANCE) <= LEVEL
    return bool(by_psi), bool(ks.p_value(before, now, tolerance=TOLERANCE) <= LEVEL)


def alarms_beside_naive(rng: np.random.Generator, runs: int) -> Table:
    """Normals that have moved, the same values to ours (frozen, counted, tested at 5 % each) and to what is naive."""
    return beside_naive(rng, runs)[0]


def correlated_columns(rng: np.random.Generator, runs: int) -> Table:
    """200 columns of which every two are correlated by .5, and that are clean: any alarm in a look at level .05."""
    n, width, rho = 1_000, 200, 0.5

    def rows() -> np.ndarray:
        return rho**0.5 * rng.normal(size=(n, 1)) + (1 - rho) ** 0.5 * rng.normal(size=(n, width))

    any_ours, any_strict, any_naive = [], [], []
    for run in range(runs):
        reference, window = rows(), rows()
        ps, strict = [], []
        for column in range(width):
            frozen = references.freeze_numeric(reference[:, column])
            before, now = frozen.summary.bins.counts, bins.count(window[:, column], frozen.edges).counts
            grouped = (bins.added_up(before, frozen.groups), bins.added_up(now, frozen.groups))
            ps += [
                float(psi.p_value(*grouped, tolerance=TOLERANCE)),
                float(ks.p_value(before, now, tolerance=TOLERANCE)),
            ]
            strict.append(float(ks.p_value(before, now, tolerance=0.0)))
        any_ours.append(bool((benjamini_hochberg(ps) <= LEVEL).any()))
        any_strict.append(bool((benjamini_hochberg(strict) <= LEVEL).any()))
        if run < 40:
            any_naive.append(any(naive.ks_alarms(reference[:, c], window[:, c]) for c in range(width)))
    return Table(
        "200 correlated clean columns (rho .5, n = m = 1,000): evaluations with any alarm",
        (
            Figure(
                "PSI and KS with tolerance, Benjamini-Hochberg",
                share(any_ours),
                "≤ 5 %",
                bool(np.mean(any_ours) <= 0.05),
                share(any_naive),
            ),
            Figure(
                "KS without tolerance, Benjamini-Hochberg",
                share(any_strict),
                "≤ 5 %",
                bool(np.mean(any_strict) <= 0.05 + _slack(0.05, runs)),
            ),
        ),
    )


def weeks(rng: np.random.Generator, runs: int) -> Table:
    """Hourly evaluations of 10 clean columns for a week, 500 rows each, against one reference: weeks with any alarm."""
    budget = AlarmBudget(per_week=0.05)
    evaluations, columns, m, n = 168, 10, 500, 10_000
    even = np.full(bins.FINE_BINS, 1 / bins.FINE_BINS)
    alarmed, by_naive = [], []
    for _ in range(runs):
        reference = rng.multinomial(n, even, columns)
        now = rng.multinomial(m, even, (evaluations, columns))
        groups = np.repeat(np.arange(10), bins.FINE_BINS // 10)
        by_psi = psi.p_value(bins.added_up(reference, groups), bins.added_up(now, groups), tolerance=TOLERANCE)
        by_ks = ks.p_value(reference, now, tolerance=TOLERANCE)
        looked = [benjamini_hochberg(np.concatenate(pair)) for pair in zip(by_psi, by_ks, strict=True)]
        alarmed.append(any((ps <= budget.level).any() for ps in looked))
        by_naive.append(bool((ks.p_value(reference, now, tolerance=0.0) < LEVEL).any()))
    held = bool(np.mean(alarmed) <= 0.05)
    return Table(
        "A clean week of 168 hourly evaluations of 10 columns, budget of .05 false alarms a week",
        (Figure("weeks with any alarm", share(alarmed), "≤ 5 %", held, naive=share(by_naive)),),
    )


def other_kinds(rng: np.random.Generator, runs: int) -> Table:
    """Shares of categories drawn by a Dirichlet law and changed to w squared .05; embeddings of normals that have
    moved. Level 5 %. Naive: the chi-square test, which tolerates nothing.
    """
    figures = []
    for k, n in product((3, 50), (1_000, 100_000)):
        p = rng.dirichlet(np.full(k, 5.0))
        towards = rng.dirichlet(np.full(k, 5.0))
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            q = (1 - middle) * p + middle * towards
            size = float(np.sum((p - q) ** 2 / ((p + q) / 2)))
            low, high = (middle, high) if size < TOLERANCE else (low, middle)
        q = (1 - low) * p + low * towards
        a, b, c = rng.multinomial(n, p, runs), rng.multinomial(n, q, runs), rng.multinomial(n, p, runs)
        edge = float((categorical.p_value(a, b, tolerance=TOLERANCE) <= LEVEL).mean())
        clean = float((categorical.p_value(a, c, tolerance=TOLERANCE) <= LEVEL).mean())
        plain = [float((special.chdtrc(k - 1, categorical.chi_square(a, x)) <= LEVEL).mean()) for x in (b, c)]
        held = edge <= 0.06 + _slack(0.06, runs) and clean <= 0.01 + _slack(0.01, runs)
        ours = f"{100 * edge:.1f} %; {100 * clean:.1f} %"
        figures.append(
            Figure(
                f"chi-square, {k} categories, n = m = {n:,}",
                ours,
                "≤ 6 %; ≤ 1 %",
                held,
                f"{100 * plain[0]:.1f} %; {100 * plain[1]:.1f} %",
            )
        )
    figures += _embeddings(rng, min(runs, 60))
    return Table("Categories, embeddings: alarms at the edge; with no drift", tuple(figures))


def _embeddings(rng: np.random.Generator, runs: int) -> list[Figure]:
    figures = []
    scales = np.geomspace(1, 0.1, 32)
    values = rng.normal(size=(10_000, 32)) * scales
    frozen = references.freeze_embedding(values, rng)
    assert isinstance(frozen, references.EmbeddingReference)
    for m, (shift, bar) in product((200, 5_000), ((0.0, 0.01), (0.1, 0.06), (0.2, None), (0.3, None))):
        found = []
        for _ in range(runs):
            direction = rng.normal(size=32)
            moved = shift * frozen.space.spread * direction / np.linalg.norm(direction)
            window = references.summarise(frozen, rng.normal(size=(m, 32)) * scales + moved)
            change = embedding.compare(frozen.summary, window, frozen.space, frozen.law, tolerance=0.1)  # pyright: ignore[reportArgumentType]
            found.append(isinstance(change, embedding.EmbeddingChange) and change.p <= LEVEL)
        held = bar is None or bool(np.mean(found) <= bar + _slack(bar, runs))
        shown = "–" if bar is None else f"≤ {100 * bar:.0f} %"
        figures.append(
            Figure(f"embeddings moved by {shift:g} spreads, tolerated .1, m = {m:,}", share(found), shown, held)
        )
    return figures
