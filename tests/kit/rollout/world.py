"""What a rollout is made with, in memory, so that a test can stop it at every call: the control plane and the registry
as they promise to be (etags, request ids, managers), and a judge and head-room that say what the test says.
"""

from __future__ import annotations

import itertools
from datetime import datetime

from headrace.router.v1 import route_pb2
from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.observation import Surroundings
from headrace_rollout.decisions.rollouts import Decision, Rollout, Verdict
from headrace_rollout.peers import Written
from headrace_rollout.surroundings import Judged
from headrace_servicekit.errors import Aborted, AlreadyExists, PreconditionFailed, Unavailable
from headrace_servicekit.identity import model_not_found


class World:
    """A control plane, a registry and a judge. verdicts: of the judge, by step, -1 for the shadow before the first;
    ADVANCE where none is said.

    written: every route that was in force, the first one too. production: in the registry. away: whether the control
    plane is. registered, routed: whether the registry and the control plane know the model. kept: whether the registry
    has the files of the version that is rolled out. room: what there is for a larger share, each time that
    it is asked. drifts: alerts of a drift. answer: of those who approved and are asked anew, None while there is none,
    empty when they agree. claimed: the rollout that has the request for promotion.
    holds, leases: of versions, by who holds them. releases_lost: how many releases the registry will not take.
    """

    def __init__(self, route: route_pb2.Route, *, etag: str, verdicts: dict[int, Decision] | None = None) -> None:
        self.written = [route]
        self.managed_by, self.production = "", "v1"
        self.claimed = ""
        self.promotions = 0
        self.room = Room()
        self.drifts: tuple[str, ...] = ()
        self.answer: str | None = None
        self.asked = 0
        self.holds, self.leases, self.releases_lost = set[str](), set[tuple[str, str]](), 0
        self.away, self.registered, self.routed, self.kept = False, True, True, True
        self._etag, self._numbers = etag, itertools.count(1)
        self._requests: dict[str, tuple[bytes, Written]] = {}
        self._verdicts = verdicts or {}

    @property
    def in_force(self) -> route_pb2.Route:
        """The route that serves."""
        return self.written[-1]

    def take(self) -> None:
        """Have a person take the route by force."""
        self.managed_by, self._etag = "", f"e{next(self._numbers)}"

    def _check_control(self, model: str) -> None:
        if self.away:
            raise Unavailable("nobody listens there")
        if not self.routed:
            raise model_not_found(model)

    def _check_registry(self, model: str) -> None:
        if not self.registered:
            raise model_not_found(model)

    def _check_kept(self, version: str) -> None:
        if not self.kept and version == "v2":
            raise PreconditionFailed("the files of version 'v2' are no longer kept", reason="VERSION_COLLECTED")

    # The control plane.

    async def route(self, model: str) -> tuple[route_pb2.Route, route_pb2.RouteStatus]:
        self._check_control(model)
        route = route_pb2.Route()
        route.CopyFrom(self.in_force)
        route.etag, route.managed_by = self._etag, self.managed_by
        return route, route_pb2.RouteStatus(state=route_pb2.RouteStatus.STATE_ACTIVE)

    async def write(self, rollout: Rollout, route: route_pb2.Route, *, release: bool = False) -> Written:
        self._check_control(rollout.model)
        content = route.SerializeToString(deterministic=True) + f"{release} {rollout.etag}".encode()
        if rollout.request_id in self._requests:
            before, answer = self._requests[rollout.request_id]
            if before != content:
                raise AlreadyExists("used for another write", reason="REQUEST_ID_REUSED")
            return answer
        if self.managed_by not in ("", rollout.manager):
            raise PreconditionFailed("managed", reason="ROUTE_MANAGED")
        if rollout.etag != self._etag:
            raise Aborted("stale", reason="ETAG_MISMATCH")
        kept = route_pb2.Route()
        kept.CopyFrom(route)
        self.written.append(kept)
        self.managed_by, self._etag = "" if release else rollout.manager, f"e{next(self._numbers)}"
        answer = Written(self._etag, (), ())
        self._requests[rollout.request_id] = (content, answer)
        return answer

    async def lease(self, rollout: Rollout, version: str) -> route_pb2.VersionReadiness:
        self._check_control(rollout.model)
        self._check_kept(version)
        self.leases.add((rollout.manager, version))
        return route_pb2.VersionReadiness(version=version, pool="default", batchers=1, ready_batchers=1)

    async def end_lease(self, rollout: Rollout, version: str) -> None:
        self._check_control(rollout.model)
        self.leases.discard((rollout.manager, version))

    # The registry.

    async def named(self, rollout: Rollout) -> str:
        self._check_registry(rollout.model)
        return self.production

    async def claim(self, rollout: Rollout) -> None:
        self._check_registry(rollout.model)
        if rollout.promotion_request and self.claimed not in ("", rollout.manager):
            raise PreconditionFailed("another rollout has the request", reason="PROMOTION_REQUEST_CLOSED")
        self.claimed = rollout.manager if rollout.promotion_request else ""

    async def ask_again(self, rollout: Rollout) -> bool:
        self._check_registry(rollout.model)
        self.asked += 1
        if self.answer is None:
            return False
        if self.answer:
            raise PreconditionFailed(self.answer, reason="PROMOTION_REQUEST_CLOSED")
        return True

    async def hold(self, rollout: Rollout) -> None:
        self._check_registry(rollout.model)
        self._check_kept(rollout.version)
        self.holds.add(rollout.manager)

    async def release(self, rollout: Rollout) -> None:
        if self.releases_lost > 0:
            self.releases_lost -= 1
            raise Unavailable("the registry is away")
        self._check_registry(rollout.model)
        self.holds.discard(rollout.manager)

    async def promote(self, rollout: Rollout) -> None:
        self._check_registry(rollout.model)
        self._check_kept(rollout.version)
        if self.production == rollout.version or rollout.reference == "version":
            return
        if self.production != rollout.baseline:
            raise PreconditionFailed("put there by hand", reason="MOVED_BY_HAND")
        self.production = rollout.version
        self.promotions += 1

    # The judge.

    async def begin(self, rollout: Rollout, now: datetime) -> str:
        return "0"

    async def judge(self, rollout: Rollout, now: datetime) -> Judged:
        decision = self._verdicts.get(rollout.step, Decision.ADVANCE)
        return Judged(rollout.evidence, Verdict(decision, f"the judge says {decision}", (), now), None)

    # Head-room.

    async def of(self, rollout: Rollout) -> Room | None:
        return self.room

    def surroundings(self, model: str) -> Surroundings:
        return Surroundings(self.drifts, self.drifts)
