"""What was `headrace_client`'s and is the part's now."""

import headrace_client
import headrace_observe
import pytest


def test_what_a_part_has_now_is_found_where_it_was():
    with pytest.warns(DeprecationWarning, match="`headrace_client.Outcome` is `headrace_observe.Outcome`"):
        assert headrace_client.Outcome is headrace_observe.Outcome
