"""An answer is given and kept only if its version may give it; the quick look at the usual one misses nothing."""

import struct

import pytest
from headrace.router.v1 import predict_pb2
from headrace_batcher.encoder import Encoder
from headrace_router.data.tables import served as module
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.served import KnownForms
from headrace_runtime.contract import TensorSpec
from hypothesis import given
from hypothesis import strategies as st

SPECS = (Spec("scores", "FP32", (2,)), Spec("label", "INT64", ()), Spec("heat", "FP32", (-1, 3)))
TEXTS = (*SPECS[:2], Spec("names", "BYTES", (2,)))


def contract(*specs: Spec) -> Contract:
    return Contract((Spec("x", "FP32", ()),), specs)


def encoded(specs: tuple[Spec, ...], rows: int, wanted: tuple[int, ...] = (), varies: int = 4) -> bytes:
    """Return an answer as the batcher encodes it."""
    shapes = tuple(tuple(varies if size == -1 else size for size in spec.shape) for spec in specs)
    values = []
    for spec, shape in zip(specs, shapes, strict=True):
        count = rows
        for size in shape:
            count *= size
        texts = [struct.pack("<I", at % 3) + b"abc"[: at % 3] for at in range(count)]
        values.append(
            b"".join(texts) if spec.datatype == "BYTES" else bytes(count * module.ELEMENT_BYTES[spec.datatype])
        )
    encoder = Encoder([TensorSpec(spec.name, spec.datatype, spec.shape) for spec in specs])
    return encoder.encode(wanted, rows, shapes, values)


@pytest.mark.parametrize("specs", [SPECS[:1], SPECS, TEXTS], ids=["one", "several", "texts"])
@pytest.mark.parametrize("wanted", [(), (0,)], ids=["all", "the first"])
def test_what_batchers_encode_keeps_the_contract_the_first_time_and_after(specs, wanted):
    known = KnownForms(contract(*specs))
    for _ in range(2):
        for rows in (1, 2, 200):
            for varies in (0, 1, 50):
                assert known.keep_contract(rows, wanted, encoded(specs, rows, wanted, varies))


@pytest.mark.parametrize("specs", [SPECS, TEXTS], ids=["sized", "texts"])
@given(data=st.data())
def test_a_known_form_says_the_same_as_the_whole_check(specs, data):
    """Also of bytes that were changed: nothing passes by being like what was seen before."""
    rows, known = data.draw(st.integers(1, 3)), KnownForms(contract(*specs))
    right = encoded(specs, rows)
    assert known.keep_contract(rows, (), right)
    flips = data.draw(st.dictionaries(st.integers(0, len(right) - 1), st.integers(1, 255), max_size=3))
    changed = bytes(byte ^ flips.get(at, 0) for at, byte in enumerate(right))
    cut = data.draw(st.integers(0, len(right)))
    for candidate in (changed, right[:cut], right + right[cut:], right):
        assert known.keep_contract(rows, (), candidate) == KnownForms(contract(*specs)).keep_contract(
            rows, (), candidate
        )


def test_what_the_contract_does_not_allow_is_found_after_any_number_of_right_answers():
    known = KnownForms(contract(*SPECS))
    right = encoded(SPECS, 1)
    assert known.keep_contract(1, (), right)
    renamed = (SPECS[0]._replace(name="scorez"), *SPECS[1:])
    retyped = (SPECS[0]._replace(datatype="INT32"), *SPECS[1:])
    reshaped = (SPECS[0]._replace(shape=(1, 2)), *SPECS[1:])
    for wrong in (
        b"",
        right[:-1],
        right + b"\0",
        right + predict_pb2.PredictResponse(model="other").SerializeToString(),
        encoded(SPECS, 2),
        encoded(SPECS, 1, (0,)),
        encoded(renamed, 1),
        encoded(retyped, 1),
        encoded(reshaped, 1),
        encoded(SPECS[::-1], 1),
        encoded(TEXTS, 1),
    ):
        assert not known.keep_contract(1, (), wrong)
    assert known.keep_contract(1, (), right)


def test_what_is_remembered_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_FORMS", 3)
    known = KnownForms(contract(*SPECS))
    for rows in range(1, 9):
        assert known.keep_contract(rows, (), encoded(SPECS, rows))
    assert len(known._forms) == 3
