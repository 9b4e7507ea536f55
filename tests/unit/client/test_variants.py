"""Variants of a route, as an application writes them."""

from typing import Any

import pytest
from headrace_client.operations.routes import Alias, Production, Variant, Version


def test_a_variant_serves_a_version_an_alias_or_what_is_in_production():
    assert Variant("new", Version("v2"), 10).to_proto().version == "v2"
    assert Variant("new", Alias("best"), 10).to_proto().follow_alias == "best"
    assert Variant("new", Production(), 10).to_proto().follow_production


@pytest.mark.parametrize("serves", ["v2", None, Version])
def test_what_names_no_version_does_not_serve_what_is_in_production_in_silence(serves: Any):
    with pytest.raises(TypeError, match=r"serves: .* is not one of"):
        Variant("new", serves, 10).to_proto()
