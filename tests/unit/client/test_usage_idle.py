"""What `headrace usage idle` says of smaller forms of versions."""

from headrace.router.v1 import usage_pb2
from headrace_client.cli.usage.report import smaller_forms

FORM = usage_pb2.GetIdleTimeResponse.SmallerForm(
    model="fraud",
    version="v1",
    form="v1-int8-dynamic",
    made_by="int8-dynamic",
    speedup=2.5,
    compute_s=9000,
    spared_s=5400,
)


def pool(*forms, enough: int, with_forms: int) -> usage_pb2.GetIdleTimeResponse.IdlePool:
    return usage_pb2.GetIdleTimeResponse.IdlePool(
        pool="gpu",
        enough_replicas=enough,
        smaller_forms=forms,
        enough_replicas_with_forms=with_forms,
        spared_hours_with_forms=336,
        saved_with_forms=1008,
    )


def test_each_form_is_told_and_then_how_many_replicas_would_have_been_enough():
    assert list(smaller_forms(pool(FORM, enough=3, with_forms=2), 3.0)) == [
        "fraud: [bold]v1-int8-dynamic[/] in the place of v1 (int8-dynamic, 2.50 x as fast): 5,400 of 9,000 s less",
        "with them 2 would have been enough, not 3: 336 hours less than there were, 1,008.00 saved",
    ]


def test_forms_that_spare_no_replica_say_nothing_of_replicas():
    on_cpu = usage_pb2.GetIdleTimeResponse.SmallerForm()
    on_cpu.MergeFrom(FORM)
    on_cpu.on_cpu = True
    (line,) = smaller_forms(pool(on_cpu, enough=1, with_forms=1), 0.0)
    assert "(int8-dynamic, on a CPU, 2.50 x as fast)" in line
    assert list(smaller_forms(pool(enough=1, with_forms=1), 0.0)) == []
