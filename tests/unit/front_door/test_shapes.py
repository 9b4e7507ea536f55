import re

import pytest
from front_door.shapes import anything_but, exact, lua_value, seconds
from hypothesis import example, given
from hypothesis import strategies as st

TEXTS = st.text(alphabet="ab-", max_size=5)


@given(words=st.sets(TEXTS, max_size=4), text=TEXTS)
@example(words=set(), text="")
@example(words={""}, text="")
@example(words={"a", "ab"}, text="a")
def test_one_expression_matches_every_text_but_the_words(words: set[str], text: str):
    assert bool(re.fullmatch(anything_but(words), text)) == (text not in words)


def test_durations_have_no_digits_that_say_nothing():
    assert [seconds(value) for value in (0.25, 1.0, 10, 1e-9)] == ["0.25s", "1s", "10s", "0.000000001s"]


def test_a_matcher_names_the_whole_text():
    assert exact("/metrics") == {"exact": "/metrics"}


def test_values_are_the_source_of_the_same_values_in_lua():
    lupa = pytest.importorskip("lupa")
    text = "".join(map(chr, range(256)))
    script = lua_value({"text": text, "list": ["a", 7, "b"], "none": []})
    told = lupa.LuaRuntime(encoding="utf-8").execute(f"return {script}")
    assert (told["text"], list(told["list"].values()), len(told["none"])) == (text, ["a", 7, "b"], 0)
    assert lua_value('a "b" \\ c~') == r'"a \034b\034 \092 c~"'
    with pytest.raises(TypeError, match="float"):
        lua_value(0.5)
