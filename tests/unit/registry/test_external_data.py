"""Data in other files is found wherever the format has room for a tensor: the places come from ONNX's descriptors."""

import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from headrace_registry.artifacts import external_data, onnx_check
from headrace_registry.artifacts.refusals import RefusedError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from tests.kit.models import onnx_models

MODEL, TENSOR = onnx.ModelProto.DESCRIPTOR, TensorProto.DESCRIPTOR


def message_fields(kind):
    return [field for field in kind.fields if field.message_type is not None]


def routes_to(kind, goal):
    """Return the fields that lead from a message to another by the shortest way; None where there is no way."""
    routes, todo = {kind: []}, [kind]
    for here in todo:
        for field in message_fields(here):
            if field.message_type not in routes:
                routes[field.message_type] = [*routes[here], field]
                todo.append(field.message_type)
    return routes.get(goal)


def kinds():
    found = [MODEL]
    for kind in found:
        found += [held for held in dict.fromkeys(f.message_type for f in message_fields(kind)) if held not in found]
    return found


# Every field of the schema that can hold a tensor, however deep: from the model to it, and from it to the tensor.
WAYS = [
    [*to, field, *beyond]
    for kind in kinds()
    for field in message_fields(kind)
    if (to := routes_to(MODEL, kind)) is not None and (beyond := routes_to(field.message_type, TENSOR)) is not None
]


def put(message: Message, way) -> tuple[Message, str]:
    """Return the message at the end of a way of fields, which is made, and its place."""
    steps = []
    for field in way:
        inner = getattr(message, field.name)
        if field.is_repeated:
            steps.append(f"{field.name}[{len(inner)}]")
            message = inner.add()
        else:
            steps.append(field.name)
            inner.SetInParent()
            message = inner
    return message, ".".join(steps)


def elsewhere(tensor, name="hidden"):
    tensor.name = name
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def dotted(way):
    return ".".join(field.name for field in way)


def test_the_schema_has_the_places_that_were_missed():
    assert {
        "onnx.FunctionProto.attribute_proto",
        "onnx.TrainingInfoProto.initialization",
        "onnx.TrainingInfoProto.algorithm",
        "onnx.SparseTensorProto.indices",
        "onnx.AttributeProto.sparse_tensors",
    } <= {field.full_name for way in WAYS for field in way}


@pytest.mark.parametrize("way", {dotted(way): way for way in WAYS}.values(), ids=dotted)
def test_external_data_is_refused_in_every_field_that_can_hold_a_tensor(tmp_path, way):
    model = onnx.load_from_string(onnx_models.linear().content)
    tensor, place = put(model, way)
    elsewhere(tensor)
    path = tmp_path / "model"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RefusedError) as refused:
        onnx_check.read(str(path))
    assert "hidden" in str(refused.value)
    assert place in str(refused.value)


@st.composite
def long_ways(draw):
    """Return a way of up to 60 fields that ends at a tensor."""
    way, kind = [], MODEL
    for _ in range(draw(st.integers(0, 40))):
        choices = [f for f in message_fields(kind) if routes_to(f.message_type, TENSOR)]
        if not choices:
            break
        field = draw(st.sampled_from(choices))
        way.append(field)
        kind = field.message_type
    return [*way, *(routes_to(kind, TENSOR) or [])]


@given(way=long_ways(), only_location=st.booleans())
def test_external_data_is_found_however_messages_are_nested(way, only_location):
    model = onnx.load_from_string(onnx_models.linear().content)
    tensor, place = put(model, way)
    assert external_data.first(model) is None
    elsewhere(tensor)
    if only_location:
        tensor.ClearField("external_data")
    assert external_data.first(model) == (place, "hidden")


def test_a_message_that_a_later_version_adds_is_searched_too():
    file = descriptor_pb2.FileDescriptorProto(name="later.proto", package="later", syntax="proto3")
    packed = file.message_type.add(name="PackedWeights")
    packed.field.add(name="external_data", number=1, type=9, label=3)
    new = file.message_type.add(name="NewPlace")
    entry = new.nested_type.add(name="ByNameEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, label=1, type_name=".later.PackedWeights")
    new.field.add(name="by_name", number=1, type=11, label=3, type_name=".later.NewPlace.ByNameEntry")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    model = message_factory.GetMessageClass(pool.FindMessageTypeByName("later.NewPlace"))()
    getattr(model, "by_name")["w"].external_data.append("x")  # noqa: B009
    assert external_data.first(model) == ("by_name['w']", "")


def test_a_model_of_more_messages_than_are_searched_is_refused(monkeypatch):
    monkeypatch.setattr(external_data, "MAX_MESSAGES", 3)
    model = onnx.ModelProto()
    for _ in range(5):
        model.graph.node.add()
    with pytest.raises(external_data.TooLargeError, match="more than 3"):
        external_data.first(model)


def test_a_model_that_is_nested_deeper_than_parsers_go_is_refused():
    model = onnx.ModelProto()
    graph = model.graph
    for _ in range(external_data.MAX_DEPTH):
        graph = graph.node.add().attribute.add().g
        graph.SetInParent()
    with pytest.raises(external_data.TooLargeError, match="within each other"):
        external_data.first(model)
