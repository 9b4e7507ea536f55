"""What the protos declare about callers."""

import pytest
from headrace_servicekit.access import Access, ModelCheck, access_of, reader
from headrace_servicekit.errors import NotFound
from headrace_servicekit.identity import Identity

from tests.kit.servicekit.toy import SERVICE, Note


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (f"/{SERVICE}/Answer", Access(model_field=("model",))),
        (f"/{SERVICE}/Nested", Access(model_field=("inner", "model"))),
        (f"/{SERVICE}/Within", Access(internal=True)),
        (f"/{SERVICE}/Nothing", Access()),
        ("/nobody.v1.Nobody/Nothing", Access()),
    ],
)
def test_the_option_of_a_method_is_found_by_its_name(method, expected):
    assert access_of(method) == expected


def test_a_nested_field_is_read_also_when_its_message_is_unset():
    assert reader(("inner", "model"))(Note()) == ""
    assert reader(("inner", "model"))(Note(inner=Note(model="x"))) == "x"


@pytest.mark.parametrize("model", ["b", "models/b", "models/b/versions/1", "routes/b", "models/-/versions"])
def test_a_model_outside_the_patterns_is_not_found(model):
    with pytest.raises(NotFound, match="not found"):
        ModelCheck(("model",)).check(Note(model=model), Identity("alice", ("a*",)))


@pytest.mark.parametrize("model", ["", "a", "models/a-1/versions/2"])
def test_a_model_inside_the_patterns_or_none_at_all_passes(model):
    ModelCheck(("model",)).check(Note(model=model), Identity("alice", ("a*",)))
