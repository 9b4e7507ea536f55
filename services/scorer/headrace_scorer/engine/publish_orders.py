"""Orders to the process that checks and publishes answers, and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from headrace_scorer.decisions.comparisons import Drifted, Parity
from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.messages import Checked, Work


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the router's data plane and control plane are, and the certificates that they ask for."""

    data: str
    control: str
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The results of a job as what they are published from. computed: as of when. kept: file of entities that an
    earlier generation had, if there is one.
    """

    job: int
    bucket: str
    entity: str
    results: tuple[Done, ...]
    computed: datetime
    kept: Location | None = None


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """Compare a sample of results with online answers, and all of them with those of the job before.

    before: what the answers of the job before were frozen as, None without one.
    """

    work: Work
    checked: Checked
    answered: Answered
    model: str
    version: str
    spec: PublishSpec
    peers: Peers
    before: str | None = None


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What a check found. unanswered: why no row could be compared. frozen: these answers, for the job after. failure:
    why there was no check. transient: trying again may help.
    """

    parity: Parity | None = None
    unanswered: str = ""
    drift: tuple[Drifted, ...] = ()
    frozen: str = ""
    failure: str = ""
    reason: str = ""
    transient: bool = False


@dataclass(frozen=True, slots=True)
class UploadOrder:
    """Order to publish results as one generation. request_id: of the publish, the same after a restart. before: answers
    of the generation in force, whose missing entities are carried over for the spec's `keep_for`.
    """

    work: Work
    answered: Answered
    model: str
    version: str
    version_digest: str
    manifest_digest: str
    spec: PublishSpec
    request_id: str
    run: str
    peers: Peers
    folder: str
    before: Answered | None = None


@dataclass(frozen=True, slots=True)
class UploadAnswer:
    """One line of a publish: its progress, its success or its failure.

    publish: resource name; done: it is in force. rows: acknowledged rows of `total`. entities, kept: set when done.
    closed: the router dropped the publish, and a new one has to be started.
    """

    publish: str = ""
    rows: int = 0
    total: int = 0
    done: bool = False
    entities: int = 0
    kept: int = 0
    kept_file: Location | None = None
    closed: bool = False
    failure: str = ""
    reason: str = ""
    transient: bool = False
