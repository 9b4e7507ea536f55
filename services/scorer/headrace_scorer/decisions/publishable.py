"""Whether the output of a job can be published. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from headrace_scorer.decisions.columns import Mismatch
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.specs import Spec


def unpublishable(spec: Spec, publish: PublishSpec, outputs: Sequence[str], field: str) -> list[Mismatch]:
    """Return why the output of a job cannot be published. outputs: of the version. field: of the request."""
    written = [*spec.keep, *([one.column for one in spec.outputs] or outputs)]
    wrong = []
    if publish.entity not in written:
        message = f"the output has no column '{publish.entity}': keep it. It has {', '.join(written)}"
        wrong.append(Mismatch(f"{field}.entity_column", message))
    missing = [name for name in outputs if name not in written]
    if missing:
        message = f"the output has no '{missing[0]}' of the version: requests are answered with all of them"
        wrong.append(Mismatch(field, message))
    return wrong
