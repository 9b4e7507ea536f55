"""The whole stack for end-to-end tests: started once for a test run, shared by its workers, gone with the last."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from headrace_client.issuer import MAX_LIFETIME, DevelopmentIssuer
from headrace_stack import snapshot
from headrace_stack.components.front_door import NAME as FRONT_DOOR
from headrace_stack.replicas import Replicas
from headrace_stack.settings import DataPlane, StackSettings
from headrace_stack.snapshot import ComponentStatus, Snapshot
from headrace_stack.testing import held_stack, remove_abandoned
from headrace_stack.topology import ROUTER_DATA

from tests.kit.stores.servers import home_for_tests, kill_component, worker_name

# Where receivers of webhooks may be: a loopback address at which no part of a stack listens.
RECEIVERS = "127.0.0.77"
# The name by which callers outside reach the store: of no machine, as it is signed and never looked up.
S3_OUTSIDE = "http://s3.test"

TWO_OF_EACH = Replicas(registries=2, control_planes=2, data_planes=2).with_batchers(2)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A running stack. Everybody else's tests use it too: name what you make after your test."""

    settings: StackSettings

    @property
    def address(self) -> str:
        """`host:port` of the front door, for gRPC."""
        return self.settings.ports.front_door.address

    @property
    def data_plane(self) -> str:
        """The component that answers predictions."""
        return FRONT_DOOR if self.settings.data_plane is DataPlane.FRONT_DOOR else ROUTER_DATA

    @property
    def url(self) -> str:
        """The front door, for REST."""
        return f"http://{self.address}"

    def token(
        self,
        subject: str = "tests",
        *,
        scopes: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        lifetime: timedelta = MAX_LIFETIME,
    ) -> str:
        """A token that the front door accepts; with every scope unless some are named."""
        issuer = DevelopmentIssuer(self.settings.identity)
        return issuer.mint(subject=subject, now=datetime.now(UTC), scopes=scopes, models=models, lifetime=lifetime)

    def seen(self) -> Snapshot:
        """What its supervisor last wrote of it."""
        seen = snapshot.read(self.settings.snapshot)
        assert seen is not None
        return seen

    def status(self, component: str) -> ComponentStatus:
        """How a component is: its process, its state, how often it was restarted."""
        (status,) = [status for status in self.seen().components if status.name == component]
        return status

    def kill(self, component: str) -> None:
        """Kill a component at once; its supervisor starts it again. Not on the shared stack: others use it."""
        kill_component(self.settings, component)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The stack that all tests of a run share."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")
    with ExitStack() as held:
        with pytest.MonkeyPatch.context() as told:
            told.setenv("MONITOR_WEBHOOK_ALLOW", RECEIVERS)
            told.setenv("ROLLOUT_WEBHOOK_ALLOW", RECEIVERS)
            told.setenv("REGISTRY_WEBHOOK_ALLOW", RECEIVERS)
            told.setenv("SCORER_WEBHOOK_ALLOW", RECEIVERS)
            told.setenv("REGISTRY_S3_PUBLIC_ENDPOINT", S3_OUTSIDE)
            # Tests beside each other send more than is recorded of one installation; what samples is tested elsewhere.
            told.setenv("ROUTER_DATA_RECORD_BYTES_PER_S", str(64 * 1024 * 1024))
            settings = held.enter_context(held_stack(home_for_tests(f"stack-{run[:12]}")))
        yield RunningStack(settings)


@pytest.fixture
def own_stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """A stack of this test alone, for tests that kill and restart things. Starting it takes some seconds."""
    name = "".join(character if character.isalnum() else "-" for character in request.node.name)[:24]
    with held_stack(home_for_tests(f"own-{name}-{os.getpid()}"), ends_unwell=False) as settings:
        yield RunningStack(settings)


@pytest.fixture(scope="session")
def replicated_stack() -> Iterator[RunningStack]:
    """Two of everything that scales, to take some of it away and give it back; of this test process alone."""
    with held_stack(
        home_for_tests(f"replicated-{worker_name()}"),
        replicas=TWO_OF_EACH,
        data_plane=DataPlane.SERVICE,
        # What a test freezes stays so until the test lets it go on.
        ends_unwell=False,
    ) as settings:
        yield RunningStack(settings)


@pytest.fixture(scope="session", autouse=True)
def no_homes_of_earlier_runs() -> None:
    remove_abandoned(home_for_tests(""))
