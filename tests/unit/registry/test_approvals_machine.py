"""Any order of requests, approvals, rejections, policies, measurements and days, any of them killed at any call to the
store: nothing reaches production without as many people as the policy asks for.

It runs the use cases over the store in memory; tests/contract holds PostgreSQL to what that store does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from headrace_registry.catalog.measurements import Measurements
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import approvals, defaults
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.files import Artifact, ArtifactType, Blob, ModelFile, ModelPort
from headrace_registry.decisions.models import (
    Action,
    ApprovalPolicy,
    Gate,
    Metric,
    MetricSource,
    Model,
    Stage,
    Version,
    VersionRef,
)
from headrace_registry.promotion.approvals import Approvals, RequestedPromotion
from headrace_registry.promotion.promotion_requests import RequestExpiry
from headrace_registry.promotion.promotions import Promotions
from headrace_servicekit.errors import PermissionDenied, ServiceError
from headrace_servicekit.testing import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.kit.registry.memory_store import MemoryStore

NAME = "digits"
SHA = "a" * 64
FILE = ModelFile((ModelPort("x", "FP32", "", (None, 4)),), (ModelPort("y", "FP32", "", (None, 4)),))
REGISTRANT = "ann"
EVERYBODY = [REGISTRANT, "bob", "cid", "dora"]
PEOPLE = st.sampled_from(EVERYBODY)
VERSIONS = st.sampled_from(["v1", "v2"])
POLICIES = st.sampled_from(
    [ApprovalPolicy(1), ApprovalPolicy(2), ApprovalPolicy(2, ("bob", "c*", REGISTRANT)), ApprovalPolicy(3)]
)
# Mostly it lives; from the first call to after the last.
CALLS = st.sampled_from([None] * 20 + list(range(8)))


class KilledError(Exception):
    """The process died."""


class MortalStore(MemoryStore):
    """dies_in: at which call to a transaction from now on; None for never."""

    dies_in: int | None = None

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[Any]:
        async with super().transaction(validate_only=validate_only) as transaction:
            yield Mortal(transaction, self)


class Mortal:
    """A transaction whose process may die at any of its calls."""

    def __init__(self, transaction: Any, store: MortalStore) -> None:
        self._transaction, self._store = transaction, store

    def __getattr__(self, name: str) -> Any:
        if self._store.dies_in is not None:
            self._store.dies_in -= 1
            if self._store.dies_in < 0:
                raise KilledError
        return getattr(self._transaction, name)


class TwoPeople(RuleBasedStateMachine):
    """production: what must be. quality: of each version, as measured last."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.store = MortalStore(self.clock)
        self.promotions = Promotions(self.store, self.clock)
        self.approvals = Approvals(self.store, self.promotions, self.clock)
        self.measuring = Measurements(self.store, self.clock)
        self.policy = ApprovalPolicy(2)
        self.production = ""
        self.quality: dict[str, float] = {"v1": 0.9, "v2": 0.9}
        self.run(self.store.put_blob(Blob(SHA, ArtifactType.ONNX, 9, FILE), self.clock.now()))
        registrations = Registrations(self.store, self.clock)
        self.run(registrations.create_model(Model(NAME, gates=(Gate("accuracy", minimum=0.85),)), Write(REGISTRANT)))
        for name in self.quality:
            files = (Artifact("model.onnx", ArtifactType.ONNX, SHA),)
            declared = Version(VersionRef(NAME, name), defaults.filled(), artifacts=files)
            self.run(registrations.create_version(declared, Write(REGISTRANT)))
            self._measure(name, 0.9)
        self.run(self.approvals.put_policy(NAME, self.policy, "", Write("root")))

    def run(self, act: Any) -> Any:
        return self.runner.run(act)

    def attempt(self, act: Any, calls: int | None = None) -> Any:
        """Return what a use case answers, or its refusal; None when it was killed, which must have changed nothing."""
        before = self._everything()
        self.store.dies_in = calls
        try:
            return self.run(act)
        except KilledError:
            self.store.dies_in = None
            assert self._everything() == before
            return None
        except ServiceError as error:
            self.store.dies_in = None
            assert self._everything() == before
            return error
        finally:
            self.store.dies_in = None

    def _everything(self) -> Any:
        return self.run(self.store.model(NAME)), self._requests(), self.run(self.store.states(after="", limit=9))

    def _requests(self) -> list[PromotionRequest]:
        return self.run(self.store.promotion_requests("", None, after=("", 0), limit=1000))

    def _waiting(self) -> list[PromotionRequest]:
        return [one for one in self._requests() if one.state is RequestState.PENDING]

    def _measure(self, version: str, quality: float) -> None:
        found = self.run(self.store.version(VersionRef(NAME, version)))
        metric = Metric("accuracy", quality, MetricSource.MEASURED)
        self.run(self.measuring.record(found.ref, found.digest, [metric], "batcher/0"))

    def teardown(self) -> None:
        self.runner.close()

    @rule(author=PEOPLE, version=VERSIONS, calls=CALLS)
    def request(self, author: str, version: str, calls: int | None) -> None:
        wanted = RequestedPromotion(VersionRef(NAME, version), Stage.PRODUCTION)
        self.attempt(self.approvals.request(wanted, Write(author, "better")), calls)

    @precondition(lambda self: self._requests())
    @rule(data=st.data(), who=PEOPLE, calls=CALLS)
    def approve_any(self, data: st.DataObject, who: str, calls: int | None) -> None:
        self._approve(data.draw(st.sampled_from(self._requests())), who, calls)

    @precondition(lambda self: self._waiting())
    @rule(data=st.data(), people=st.lists(PEOPLE, min_size=1, max_size=4), calls=CALLS)
    def approve_one_that_waits(self, data: st.DataObject, people: list[str], calls: int | None) -> None:
        request = data.draw(st.sampled_from(self._waiting()))
        self._approve_by(request.number, people, calls)

    @rule(author=PEOPLE, version=VERSIONS, people=st.permutations(EVERYBODY), count=st.integers(1, 4), calls=CALLS)
    def request_and_approve(self, author: str, version: str, people: list[str], count: int, calls: int | None) -> None:
        wanted = RequestedPromotion(VersionRef(NAME, version), Stage.PRODUCTION)
        made = self.attempt(self.approvals.request(wanted, Write(author, "better")))
        if isinstance(made, PromotionRequest):
            self._approve_by(made.number, people[:count], calls)

    def _approve_by(self, number: int, people: list[str], calls: int | None) -> None:
        for who in people:
            self._approve(next(one for one in self._requests() if one.number == number), who, calls)

    def _approve(self, request: PromotionRequest, who: str, calls: int | None) -> None:
        answer = self.attempt(self.approvals.approve(NAME, request.number, Write(who, "fine")), calls)
        after = next(one for one in self._requests() if one.number == request.number)
        if after.state is RequestState.PROMOTED and request.state is not RequestState.PROMOTED:
            self._check_promotion(after)
            self.production = request.ref.version
        elif isinstance(answer, PermissionDenied):
            assert who in (request.author, REGISTRANT) or answer.reason == "NOT_AN_APPROVER"

    def _check_promotion(self, request: PromotionRequest) -> None:
        """Hold a promotion against the rules, said in another way than the code does."""
        agreed = {one.client for one in request.approvals} - {request.author, REGISTRANT}
        if self.policy.approvers:
            agreed &= {"bob", "cid"}
        assert len(agreed) >= self.policy.approvals
        assert self.clock.now() < request.expire_time
        assert self.quality[request.ref.version] >= 0.85
        model = self.run(self.store.model(NAME))
        lines = self.run(self.store.events(NAME, before=None, limit=9))
        last = [one for one in lines if one.epoch == model.epoch]
        assert last[0].promotion_request == request.number
        assert {one.action for one in last} <= {Action.PROMOTION_APPROVED, Action.STAGE_CHANGED}

    @precondition(lambda self: self._requests())
    @rule(data=st.data(), who=PEOPLE, calls=CALLS)
    def reject(self, data: st.DataObject, who: str, calls: int | None) -> None:
        request = data.draw(st.sampled_from(self._requests()))
        self.attempt(self.approvals.reject(NAME, request.number, Write(who, "worse")), calls)

    @precondition(lambda self: self._requests())
    @rule(data=st.data(), who=PEOPLE)
    def withdraw(self, data: st.DataObject, who: str) -> None:
        request = data.draw(st.sampled_from(self._requests()))
        answer = self.attempt(self.approvals.withdraw(NAME, request.number, Write(who)))
        assert isinstance(answer, ServiceError) or who == request.author

    @rule(who=PEOPLE, version=VERSIONS)
    def promote_alone(self, who: str, version: str) -> None:
        act = self.promotions.promote(VersionRef(NAME, version), Stage.PRODUCTION, "", Write(who))
        answer = self.attempt(act)
        assert isinstance(answer, ServiceError) or version == self.production

    @rule(version=VERSIONS, quality=st.sampled_from([0.9, 0.9, 0.5]))
    def measure(self, version: str, quality: float) -> None:
        self._measure(version, quality)
        self.quality[version] = quality

    @rule(policy=POLICIES)
    def set_policy(self, policy: ApprovalPolicy) -> None:
        self.run(self.approvals.put_policy(NAME, policy, "", Write("root")))
        self.policy = policy

    @rule(days=st.sampled_from([1, 1, 1, 3, 7]))
    def wait(self, days: int) -> None:
        self.run(self.clock.advance(timedelta(days=days).total_seconds()))

    @rule(calls=CALLS)
    def expire(self, calls: int | None) -> None:
        self.store.dies_in = calls
        try:
            self.run(RequestExpiry(self.store).expire())
        except KilledError:
            pass
        else:
            open_ones = [one for one in self._requests() if one.state.waits]
            assert calls is not None or all(one.expire_time > self.clock.now() for one in open_ones)
        finally:
            self.store.dies_in = None

    @invariant()
    def production_is_what_was_agreed_to(self) -> None:
        assert self.run(self.store.model(NAME)).production == self.production

    @invariant()
    def a_request_is_told_of_by_as_many_lines_as_it_has_approvals(self) -> None:
        lines = self.run(self.store.events(NAME, before=None, limit=10_000))
        for request in self._requests():
            about = [one for one in lines if one.promotion_request == request.number]
            assert sum(one.action is Action.PROMOTION_APPROVED for one in about) == len(request.approvals)
            assert sum(one.action is Action.PROMOTION_REQUESTED for one in about) == 1
            assert sum(one.action is Action.STAGE_CHANGED for one in about) == (request.state is RequestState.PROMOTED)

    @invariant()
    def a_version_has_one_open_request(self) -> None:
        waiting = [approvals.as_of(one, self.clock.now()) for one in self._requests()]
        versions = [one.ref.version for one in waiting if not one.state.over]
        assert len(versions) == len(set(versions))

    @invariant()
    def the_gate_that_is_missed_is_shown(self) -> None:
        for request in self._requests():
            found, review = self.run(self.approvals.read(NAME, request.number))
            assert (review is None) == found.state.over
            if review is not None and request.ref.version != self.production:
                (gate,) = review.gates
                assert bool(gate.problem) == (self.quality[request.ref.version] < 0.85)
                assert bool(review.obstacles) == bool(gate.problem)


TwoPeople.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
TestTwoPeople = TwoPeople.TestCase
