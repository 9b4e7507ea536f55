"""Convert between messages and idle time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from headrace.router.v1 import usage_pb2
from headrace_servicekit.resource_names import invalid
from headrace_servicekit.times import Span

from headrace_router.control.usage.convert import stamp
from headrace_router.control.usage.decisions.idle import IdlePool
from headrace_router.control.usage.decisions.smaller_forms import SmallerForm, share_left

TARGET = 0.7


def target(request: usage_pb2.GetIdleTimeRequest) -> float:
    """Return the utilisation that is aimed at. Raises InvalidArgument for it or the price."""
    price, asked = request.price_per_hour, request.target_utilisation
    if not (math.isfinite(price) and price >= 0):
        raise invalid("price_per_hour", f"{price:g} is no price: 0 or more")
    if not request.HasField("target_utilisation"):
        return TARGET
    if not 0 < asked <= 1:
        raise invalid("target_utilisation", f"{asked:g} is no share of time: above 0, at most 1")
    return asked


def idle(
    pools: Sequence[IdlePool],
    executed_s: Mapping[str, float],
    forms: Sequence[SmallerForm],
    span: Span,
    aim: float,
    price: float,
) -> usage_pb2.GetIdleTimeResponse:
    """Return the answer of GetIdleTime. executed_s: by pool."""
    answer = usage_pb2.GetIdleTimeResponse(start_time=stamp(span.start), end_time=stamp(span.end))
    for one in sorted(pools, key=lambda one: -one.idle_hours):
        there = [form for form in forms if form.used.pool == one.pool]
        enough, with_forms = one.enough(aim), one.enough(aim, share_left(executed_s.get(one.pool, 0.0), there))
        pool = answer.pools.add(
            pool=one.pool,
            present_hours=one.present_hours,
            busy_hours=one.busy_hours,
            idle_hours=one.idle_hours,
            replicas=one.replicas,
            enough_replicas=enough.replicas,
            spared_hours=enough.spared_hours,
            saved=enough.spared_hours * price,
            advice=one.advice(aim, price),
            enough_replicas_with_forms=with_forms.replicas,
            spared_hours_with_forms=with_forms.spared_hours,
            saved_with_forms=with_forms.spared_hours * price,
        )
        for used, form in there:
            pool.smaller_forms.add(
                model=used.model,
                version=used.version,
                form=form.version,
                made_by=form.made_by,
                speedup=form.speedup,
                on_cpu=form.on_cpu,
                compute_s=used.compute_s,
                spared_s=SmallerForm(used, form).spared_s,
            )
    return answer
