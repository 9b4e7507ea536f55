"""Rows that training data lack, on which conversions are known to differ. `worker.py` runs it.

Each case is the first row with one value replaced: texts by those of other scripts, empty and long ones; numbers by
zero and by values far outside of what they were; categories by one that is not known; NaN where rows have it.
"""

import itertools

MOST_CASES = 64
_MOST_COLUMNS = 16
# Further than any value, by as much as the answers of linear models stay exact in float32.
_BEYOND = 10.0
TEXTS = (
    *("", " ", "a", "a b", "I can't say", "Ein schöner Film, Öl", "naïve CAFÉ", "ÅNGSTRÖM straße"),
    *("Σίσυφος 日本 слово", "🎉 ok", "snake_case x-1 3.5", "word\tword\nword", "?!...", "word " * 400),
)


def cases(inputs, unknown):
    """Yield a description and inputs of one row each. unknown: by input, places of categories and a value of none."""
    import numpy as np

    base = {name: rows[:1] for name, rows in inputs.items()}
    found = []
    for name, rows in inputs.items():
        if rows.dtype.kind == "O":
            first = str(rows.ravel()[0])
            texts = (*TEXTS, first.upper(), f"{first} {first}", *_words(first))
            found.append([(f"{name} {text[:40]!r}", _with(base, name, (), text)) for text in texts])
        elif rows.dtype.kind == "f":
            found.append(_of_numbers(name, rows, base, unknown.get(name, {})))
    zeros = {name: np.zeros_like(one) if one.dtype.kind == "f" else one for name, one in base.items()}
    in_turn = (one for group in itertools.zip_longest(*found) for one in group if one is not None)
    yield from itertools.islice(itertools.chain([("zeros", zeros)], in_turn), MOST_CASES)


def _words(text):
    """Return words of a text, and all of it, with what some tokenizers split off."""
    words = text.split() or [text]
    chosen = dict.fromkeys((words[-1], max(words, key=len)))
    forms = ("{}é", "é{}", "{}'s", "{}_x", "日本{}", "{}-{}", "({}.)")
    whole = [" ".join(form.format(word, word) for word in words[:50]) for form in forms]
    return [*whole, *(form.format(word, word) for word in chosen for form in forms)]


def _of_numbers(name, rows, base, unknown):
    import numpy as np

    by_column = rows.ndim == 2
    places = [(slice(None), at) for at in range(min(rows.shape[1], _MOST_COLUMNS))] if by_column else [()]
    found = []
    for place in places:
        values, at = rows[place] if place else rows, place[1] if place else None
        label = f"{name}[{at}]" if place and rows.shape[1] > 1 else name
        if at in unknown:
            chosen = (unknown[at],)
        else:
            largest = float(np.abs(np.nan_to_num(values, posinf=0, neginf=0)).max(initial=0.0))
            chosen = (0.0, _BEYOND * largest + 1, -_BEYOND * largest - 1)
        chosen += (np.nan,) if np.isnan(values).any() else ()
        found += [(f"{label} {value:g}", _with(base, name, place, value)) for value in chosen]
    return found


def _with(base, name, place, value):
    changed = base[name].copy()
    changed[place or ...] = value
    return {**base, name: changed}
