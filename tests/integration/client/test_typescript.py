"""The client that is written for a model in TypeScript is accepted by the compiler, at its strictest."""

import subprocess
from pathlib import Path

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_forge.typed import typescript

from tests.kit.console import npm
from tests.unit.forge.test_typed import IRIS, LOAN, NODE, version

TYPESCRIPT = "5.9.3"
Spec = tensor_pb2.TensorSpec
ODD = version(
    [
        Spec(name="constructor", datatype="BOOL"),
        Spec(name="default", datatype="UINT64", shape=[-1]),
        Spec(name="a*/b`${c}", datatype="BYTES", shape=[2, 3], optional=True),
        Spec(name="été", datatype="FP16"),
    ],
    [Spec(name="__proto__", datatype="FP64", shape=[-1, 2]), Spec(name="new", datatype="BYTES")],
)
STRICT = (
    *("--noEmit", "--strict", "--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns"),
    *("--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--verbatimModuleSyntax", "--erasableSyntaxOnly"),
    *("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"),
)


@pytest.fixture(scope="module")
def compiler() -> str:
    folder = npm.installed("typescript", TYPESCRIPT)
    if not folder:
        pytest.skip("NOT CHECKED: npm is not there, or cannot fetch the compiler of TypeScript")
    return f"{folder}/bin/tsc"


def complaints(compiler: str, *files: Path) -> str:
    """Return what the compiler says, empty when it accepts the files."""
    done = subprocess.run(
        [str(NODE), compiler, *STRICT, *map(str, files)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def test_clients_are_accepted_by_the_compiler(compiler: str, tmp_path: Path) -> None:
    files = []
    for name, told in (("loan", LOAN), ("iris", IRIS), ("odd", ODD)):
        files.append(tmp_path / f"{name}.ts")
        files[-1].write_text(typescript.source(told), encoding="utf-8")
    # Together, as most of the time goes into the compiler's own library.
    assert not complaints(compiler, *files)


def test_the_compiler_finds_a_row_of_a_wrong_type_and_a_field_that_is_not_there(compiler: str, tmp_path: Path) -> None:
    (tmp_path / "client.ts").write_text(typescript.source(IRIS), encoding="utf-8")
    wrong = tmp_path / "wrong.ts"
    wrong.write_text(
        'import { CarLoanClient } from "./client";\n'
        'const client = new CarLoanClient("http://localhost");\n'
        'void client.predict([{ petal_length_cm: "long" }]).then(([first]) => first?.no_such_field);\n'
    )
    told = complaints(compiler, wrong)
    assert "wrong.ts(3" in told
    assert "no_such_field" in told
