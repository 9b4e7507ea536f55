"""Batchers as `headrace status` shows them."""

import pytest
from headrace.router.v1 import route_pb2
from headrace_client.cli.status import batcher_state

_Version = route_pb2.BatcherVersion


@pytest.mark.parametrize(
    ("states", "draining", "word"),
    [
        ([], False, "ready"),
        ([_Version.STATE_READY], False, "ready"),
        ([_Version.STATE_READY, _Version.STATE_LOADING], False, "loading"),
        ([_Version.STATE_LOADING, _Version.STATE_FAILED], False, "failed"),
        ([_Version.STATE_READY], True, "draining"),
    ],
)
def test_a_batcher_is_as_well_as_the_worst_of_what_is_wanted_of_it(states, draining, word):
    versions = [_Version(state=one, wanted=True) for one in states]
    versions.append(_Version(state=_Version.STATE_DRAINING))
    assert batcher_state(route_pb2.Batcher(draining=draining, versions=versions)) == word
