"""A version as the control plane wants it and as this process holds it: the values that decisions are made from."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headrace_runtime.contract import Contract
from headrace_runtime.formats import Format

from headrace_batcher.decisions.compute import Choice
from headrace_batcher.decisions.padded_sizes import Padding
from headrace_batcher.decisions.policy import Limits

# What only a rollback would need is loaded again when there is this share of the limit for it, so that it does not come
# and go.
REVERT_SHARE = 0.9


class Phase(enum.Enum):
    """Where a version is in its life. FAILED and WAITING are loaded when their time comes and the backend is up.

    EVICTED: unloaded for want of memory, and loaded again when a request comes; EVICTING: about to be.
    """

    WAITING = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()
    FAILED = enum.auto()
    DRAINING = enum.auto()
    EVICTING = enum.auto()
    EVICTED = enum.auto()


class Need(enum.IntEnum):
    """Why a version is wanted, the most urgent first: it serves, a change waits for it, it is leased, a rollback would
    need it.
    """

    ACTIVE = 1
    PENDING = 2
    LEASED = 3
    REVERT = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version that the control plane wants here.

    sha256, size_bytes: of the file of its model. device: CPU, GPU or empty. problem: why it can never be loaded, empty
    when it can. validation: SHA-256 of the file with expected outputs, empty without one. change: that waits for it,
    empty without one; a different one retries a failed version. kept_as: the format that it runs as here; model_file:
    the name of that file; others: further files that it needs, name and SHA-256. serving_revision: number of the
    settings that its limits are of. pinned: it is never evicted. padding: of rows of different sizes. signature: the
    SHA-256 of its signature, empty without one; files: all others that it has, name and SHA-256.
    """

    model: str
    version: str
    digest: str
    sha256: str
    contract: Contract
    limits: Limits
    device: str = ""
    problem: str = ""
    need: Need = Need.ACTIVE
    size_bytes: int = 0
    validation: str = ""
    change: str = ""
    serving_revision: int = 1
    kept_as: Format = Format.ONNX
    model_file: str = "model.onnx"
    others: tuple[tuple[str, str], ...] = ()
    pinned: bool = False
    padding: Padding | None = None
    signature: str = ""
    files: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Return the version's name on the backend."""
        return f"{self.model}--{self.version}"

    @property
    def all_sha256(self) -> tuple[str, ...]:
        """Return what all of its files are known by."""
        return (self.sha256, *(sha256 for _, sha256 in self.others), *filter(None, (self.signature,)))


@dataclass(frozen=True, slots=True)
class Opened:
    """Configuration with which a backend loaded a version."""

    max_rows: int
    instances: int
    device: str

    @classmethod
    def of(cls, wanted: Wanted, present_rows: int = 0) -> Opened:
        """Return the present configuration. present_rows: of the largest batches that are formed until it is loaded."""
        return cls(max(wanted.limits.max_rows, present_rows), wanted.limits.instances, wanted.device)

    def suits(self, wanted: Wanted) -> bool:
        """Return whether the backend need not load the version again: its configuration allows at least these
        batches."""
        now = Opened.of(wanted)
        return (self.instances, self.device) == (now.instances, now.device) and self.max_rows >= now.max_rows


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version at one moment. wanted_rank: place in the demand, None when it is not wanted any more.

    short: the last time there was no memory for it. failures: to load, in a row. used_s: what its attempts took since
    it was loaded last. wanted_since: when it was first wanted. loading_since: when its attempt began; opening_since:
    when its file was there. suspected: the backend went away while it was loaded. pinned: it is never evicted. busy:
    requests for it wait or execute, or have asked for it since it was evicted. answered_at: when it last answered one.
    loaded_at: when it last became ready. on_gpu: whether it may take memory of a GPU. settling: its serving settings
    are being changed, and it is not unloaded meanwhile.
    """

    digest: str
    name: str
    phase: Phase
    wanted_rank: int | None
    unwanted_since: float = 0.0
    retry_at: float = 0.0
    need: Need = Need.ACTIVE
    size_bytes: int = 0
    short: bool = False
    failures: int = 0
    used_s: float = 0.0
    wanted_since: float = 0.0
    loading_since: float = 0.0
    opening_since: float = math.inf
    suspected: bool = False
    pinned: bool = False
    busy: bool = False
    answered_at: float = -math.inf
    loaded_at: float = -math.inf
    on_gpu: bool = True
    settling: bool = False


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version as the control plane hears of it.

    wanted: whether it is in the demand. rows, wait_s: those that wait or execute, and the predicted wait of a new one.
    queued: of the rows, those that wait. answered, shed, compute_s: since it is here. load_s: how long it took to make
    it ready the last time, None before the first. serving_revision: of the settings in force here, 0 before the first.
    variation: of what executions of the same size take, their standard deviation over their mean. compute: where it is
    executed, None while that is not known.
    """

    digest: str
    phase: Phase
    reason: str = ""
    wanted: bool = True
    rows: int = 0
    wait_s: float = 0.0
    load_s: float | None = None
    queued: int = 0
    answered: int = 0
    shed: int = 0
    compute_s: float = 0.0
    serving_revision: int = 0
    variation: float = 0.0
    compute: Choice | None = None


class End(enum.Enum):
    """Why an attempt to load is ended."""

    UNWANTED = enum.auto()
    OVERDUE = enum.auto()
    GIVES_WAY = enum.auto()


@dataclass(frozen=True, slots=True)
class Memory:
    """What the backend and the batcher hold, and may hold, in bytes: main memory, and that of GPUs."""

    used: int
    limit: float
    gpu_used: int = 0
    gpu_limit: float = math.inf

    @property
    def main_is_short(self) -> bool:
        """Return whether more main memory is used than may be."""
        return self.used > self.limit

    @property
    def gpu_is_short(self) -> bool:
        """Return whether more memory of GPUs is used than may be."""
        return self.gpu_used > self.gpu_limit

    @property
    def is_short(self) -> bool:
        """Return whether something has to go."""
        return self.main_is_short or self.gpu_is_short

    def has_room(self, one: VersionState) -> bool:
        """Return whether a version may be loaded, going by what it took last, or by the size of its file."""
        on_gpu = self.gpu_used + one.size_bytes <= self.gpu_limit * _share_for(one) or not one.on_gpu
        return on_gpu and self.has_main_room(one)

    def has_main_room(self, one: VersionState) -> bool:
        """Return the same of main memory alone."""
        return self.used + one.size_bytes <= self.limit * _share_for(one)


def _share_for(one: VersionState) -> float:
    return REVERT_SHARE if one.need is Need.REVERT else 1.0


# Data planes look for a batcher that is away twice a second; by then all of them have found it.
KNOWN_AFTER_S = 1.0


def lacking(demand: Sequence[Wanted] | None, tried: Collection[str], listening_s: float) -> str | None:
    """Return what is still missing, or None.

    demand: None before the control plane has sent it. tried: digests of what was loaded or failed; a version that does
    not load must not hold up the others for ever. listening_s: for how long data planes could connect.
    """
    if demand is None:
        return "what is wanted here is not known yet"
    untried = [one for one in demand if one.need is Need.ACTIVE and one.digest not in tried]
    if untried:
        return f"{len(untried)} versions that serve are not loaded yet, such as {untried[0].name}"
    if listening_s < KNOWN_AFTER_S:
        return "data planes may not have come back yet"
    return None
