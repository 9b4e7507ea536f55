"""Whatever happens between observations, alerts are those of one evaluator that nothing ever happened to.

Two replicas judge in turns, die before they commit, and repeat what they wrote; rules are replaced, deleted and made
anew; alerts are ended by hand and silenced. Beside it a model in a few lines says which alerts there have to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from headrace_monitor.alert.decisions.notifications import missing_notifications
from headrace_monitor.alert.decisions.transitions import (
    AlertState,
    apply_observations,
    change_rule,
    delete_rule,
    resolve,
)
from headrace_monitor.alert.decisions.values import Alert, Key, Kind, Notification, Rule, Series, Silence, Webhook
from headrace_monitor.alert.observations import Observation
from headrace_statistics.severity import Severity
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

NOON = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOLD = 2
RULE = Rule("drift", "*", "drift", at_least=Severity.MEDIUM, hold=HOLD * MINUTE, revision=1)
HOOK = Webhook("hook", "https://example.org", "", at_least=Severity.NONE)
SILENCE = Silence(1, "*", "", datetime.max.replace(tzinfo=UTC), "", "")
VERSIONS: tuple[str, ...] = ("v1", "v2")
# What is found, so many times one after the other.
RUNS = st.lists(st.tuples(st.sampled_from(Severity), st.integers(1, 3)), min_size=1, max_size=4)


@dataclass(frozen=True)
class Tables:
    """What the database holds; a transaction makes another one, or nothing at all."""

    rule: Rule | None = RULE
    series: dict[Key, Series] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    observations: tuple[Observation, ...] = ()
    judged: frozenset[Observation] = frozenset()
    told: tuple[Notification, ...] = ()
    silences: tuple[Silence, ...] = ()

    @property
    def now(self) -> datetime:
        return max((one.window_end for one in self.observations), default=NOON)

    def standing(self) -> AlertState:
        return AlertState(dict(self.series), {alert.key: alert for alert in self.alerts if alert.open})

    def settled(self, state: AlertState) -> Tables:
        """Write what changed, and what is to be told of it."""
        alerts, changed = {alert.id: alert for alert in self.alerts}, []
        for alert in state.changed:
            one = alert if alert.id is not None else replace(alert, id=len(alerts) + 1)
            alerts[one.id] = one
            changed.append(one)
        after = replace(self, alerts=tuple(alerts.values()), series={**self.series, **state.changed_series})
        return after.tell(changed)

    def tell(self, alerts: Sequence[Alert]) -> Tables:
        news = missing_notifications(alerts, [HOOK], self.silences, self.told, self.now)
        return replace(self, told=(*self.told, *news))


class Model:
    """The alerts that have to be, of one version: counted by hand."""

    def __init__(self) -> None:
        self.begin()
        self.spans: list[list[int]] = []
        self.minute = 0

    def begin(self) -> None:
        """Forget what was seen before."""
        self.run, self.holding, self.muted = 0, False, False

    @property
    def open(self) -> bool:
        return bool(self.spans) and len(self.spans[-1]) == 1

    def see(self, minute: int, holds: bool) -> None:
        self.run = self.run + 1 if holds == self.holding else 1
        self.holding, self.minute = holds, minute
        self.muted = self.muted and holds
        if self.run >= HOLD and holds and not self.open and not self.muted:
            self.spans.append([minute])
        elif self.run >= HOLD and not holds and self.open:
            self.end()

    def end(self) -> None:
        self.spans[-1].append(self.minute)


class Evaluators(RuleBasedStateMachine):
    """Each rule is a transaction, or one that did not come to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = Tables()
        self.models = {version: Model() for version in VERSIONS}
        self.minutes: dict[str, int] = dict.fromkeys(VERSIONS, 0)
        self.revision = 1

    @rule(runs=RUNS, version=st.sampled_from(VERSIONS))
    def put(self, runs: list[tuple[Severity, int]], version: str) -> None:
        for severity in (severity for severity, times in runs for _ in range(times)):
            # Each version has minutes of its own: after a gap a run of windows would begin anew.
            start = NOON + self.minutes[version] * MINUTE
            self.minutes[version] += 1
            one = Observation("fraud", version, "drift", start, start + MINUTE, 0.1, severity, f"{severity}")
            self.put_once(one)
            if self.tables.rule is not None:
                self.models[version].see(self.minutes[version], severity >= Severity.MEDIUM)

    @rule(data=st.data())
    def put_again(self, data: st.DataObject) -> None:
        if self.tables.observations:
            self.put_once(data.draw(st.sampled_from(self.tables.observations)))

    def put_once(self, one: Observation) -> None:
        if one not in self.tables.observations:
            self.tables = replace(self.tables, observations=(*self.tables.observations, one))

    @rule(chunk=st.integers(1, 5), dies=st.booleans())
    def evaluate(self, chunk: int, dies: bool) -> None:
        after = self.evaluated(self.tables, chunk)
        if not dies:
            self.tables = after

    def evaluated(self, tables: Tables, chunk: int) -> Tables:
        waiting = [one for one in tables.observations if one not in tables.judged][:chunk]
        state = tables.standing()
        rules = [tables.rule] if tables.rule is not None else []
        apply_observations(rules, state, waiting, lambda _: [], tables.now)
        return replace(tables.settled(state), judged=tables.judged | set(waiting))

    def all_evaluated(self) -> Tables:
        return self.evaluated(self.tables, len(self.tables.observations) + 1)

    @rule(dies=st.booleans())
    def replace_rule(self, dies: bool) -> None:
        self.tables = self.all_evaluated()
        if dies or self.tables.rule is None:
            return
        self.revision += 1
        changed, state = replace(RULE, revision=self.revision), self.tables.standing()
        change_rule(changed, state, self.tables.now)
        self.tables = replace(self.tables.settled(state), rule=changed)
        for model in self.models.values():
            model.begin()

    @rule()
    def delete_or_make_rule(self) -> None:
        self.tables = self.all_evaluated()
        if self.tables.rule is None:
            self.revision += 1
            self.tables = replace(self.tables, rule=replace(RULE, revision=self.revision))
            return
        state = self.tables.standing()
        delete_rule(RULE.name, state, self.tables.now)
        self.tables = replace(self.tables.settled(state), rule=None, series={})
        for model in self.models.values():
            model.begin()
            if model.open:
                model.end()

    @rule()
    def resolve_by_hand(self) -> None:
        self.tables = self.all_evaluated()
        state = self.tables.standing()
        for alert in list(state.open.values()):
            model = self.models[alert.key.version]
            resolve(alert, state, self.tables.now)
            model.end()
            series = self.tables.series[alert.key]
            # A rule that was replaced has not looked yet: it begins anew.
            model.muted = model.holding and series.revision == self.revision
        self.tables = self.tables.settled(state)

    @rule()
    def silence(self) -> None:
        self.tables = replace(self.tables, silences=(SILENCE,))

    @rule()
    def end_silence(self) -> None:
        after = replace(self.tables, silences=())
        self.tables = after.tell([alert for alert in after.alerts if alert.open])

    @invariant()
    def alerts_are_those_of_the_model(self) -> None:
        alerts = self.all_evaluated().alerts
        for version, model in self.models.items():
            found = [alert for alert in alerts if alert.key.version == version]
            assert [alert.open for alert in found] == [len(span) == 1 for span in model.spans]

    @invariant()
    def everything_is_told_once_and_in_order(self) -> None:
        tables = self.tables
        assert len(set(tables.told)) == len(tables.told)
        for alert in tables.alerts:
            kinds = [one.kind for one in tables.told if one.alert == alert.id and one.kind is not Kind.ESCALATED]
            if tables.silences == () and alert.open:
                assert kinds == [Kind.OPENED]
            assert kinds in ([], [Kind.OPENED], [Kind.OPENED, Kind.RESOLVED])
            assert (Kind.RESOLVED in kinds) == (bool(kinds) and not alert.open)


Evaluators.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestEvaluators = Evaluators.TestCase
