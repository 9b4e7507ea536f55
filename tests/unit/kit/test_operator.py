"""Plans of operations: in random order, and each of them possible when its turn comes."""

from random import Random

from tests.kit.rows import each
from tests.kit.stack.operator import plan

VERSIONS = ["v1", "v2", "v3"]


@each("seed", range(20))
def test_a_plan_goes_back_only_to_where_it_was_and_never_promotes_what_serves(seed: int):
    history = ["v1"]
    for planned in plan(50, VERSIONS, Random(seed)):
        if planned.kind == "promote":
            assert planned.version != history[-1]
            history.append(planned.version)
        elif planned.kind == "rollback":
            history.pop()
            assert history
        else:
            versions = [version for version, _ in planned.arms]
            assert versions[0] == ""  # whatever is in production
            assert len(set(versions)) == len(versions)
            assert all(weight > 0 for _, weight in planned.arms)


def test_a_plan_repeats_itself_from_its_seed_and_has_every_kind():
    first, again, other = (plan(50, VERSIONS, Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert {planned.kind for planned in first} == {"promote", "rollback", "split"}
