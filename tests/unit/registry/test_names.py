"""Resource names are taken apart strictly: what is let through here becomes a path in a batcher's folder."""

import pytest
from headrace_registry.decisions import names
from headrace_registry.decisions.models import VersionRef
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


def test_a_version_name_is_taken_apart_and_put_together():
    ref = names.version_ref("models/digits/versions/v1-2", "name")
    assert ref == VersionRef("digits", "v1-2")
    assert names.version_name(ref) == "models/digits/versions/v1-2"


@each(
    "model",
    [
        pytest.param("", id="empty"),
        pytest.param("Digits", id="upper case"),
        pytest.param("-digits", id="hyphen first"),
        pytest.param("digits-", id="hyphen last"),
        pytest.param("di--gits", id="double hyphen, which joins model and version in Triton"),
        pytest.param("di_gits", id="underscore"),
        pytest.param("digits\n", id="newline at the end"),
        pytest.param("..", id="dots"),
        pytest.param("d" * 64, id="too long"),
        pytest.param("dïgits", id="not ASCII"),
        pytest.param("１", id="a digit that is not ASCII"),
    ],
)
def test_a_bad_model_id_is_refused_with_the_name_of_its_field(model):
    with pytest.raises(InvalidArgument) as caught:
        names.model_id(f"models/{model}", "model.name")
    assert caught.value.violations[0].field == "model.name"


@pytest.mark.parametrize(
    "name",
    ["digits", "models", "models/", "models/a/b", "model/a", "models/a/versions", "/models/a"],
)
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(InvalidArgument, match="not of the form"):
        names.version_ref(name, "name")


@pytest.mark.parametrize("alias", ["production", "staging", "archived", "registered"])
def test_the_name_of_a_stage_is_no_alias(alias):
    with pytest.raises(InvalidArgument, match="stage"):
        names.alias_ref(f"models/digits/aliases/{alias}", "name")


def test_an_absurdly_long_name_is_cut_in_the_message():
    with pytest.raises(InvalidArgument) as caught:
        names.model_id("x" * 100_000, "name")
    assert len(str(caught.value)) < 500


@given(st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,6}){0,3}", fullmatch=True))
def test_every_id_of_the_documented_form_is_taken(text):
    assert names.model_id(f"models/{text}", "name") == text


@pytest.mark.parametrize("name", ["model.onnx", "labels_v2.json", "_x", "A-1.parquet"])
def test_file_names_are_taken(name):
    assert names.is_file_name(name)


@each("name", ["", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a b", "a\x00", "a" * 129, "ä.json", "a\n"])
def test_what_could_be_a_path_or_an_option_is_no_file_name(name):
    assert not names.is_file_name(name)
