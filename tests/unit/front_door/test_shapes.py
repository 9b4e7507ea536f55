import re

from front_door.shapes import anything_but
from hypothesis import example, given
from hypothesis import strategies as st

TEXTS = st.text(alphabet="ab-", max_size=5)


@given(words=st.sets(TEXTS, max_size=4), text=TEXTS)
@example(words=set(), text="")
@example(words={""}, text="")
@example(words={"a", "ab"}, text="a")
def test_one_expression_matches_every_text_but_the_words(words: set[str], text: str):
    assert bool(re.fullmatch(anything_but(words), text)) == (text not in words)
