"""No public method is without an end-to-end test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from headrace.access.v1 import access_pb2

from tests.kit.clients.called_methods import called
from tests.kit.clients.methods import METHODS

DESCRIPTORS = Path(__file__).parents[3] / "libs/stubs/headrace/descriptors.binpb"
E2E = sorted((Path(__file__).parents[2] / "e2e").glob("test_*.py"))


def public() -> set[str]:
    """Return every public method of the protos, without former names."""
    described = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    access: Any = access_pb2.access
    return {
        method.name
        for file in described.file
        if file.package.startswith("headrace.")
        for service in file.service
        for method in service.method
        if method.options.HasExtension(access)
        and not (method.options.deprecated or method.options.Extensions[access].internal)
    }


def test_every_public_method_is_called_through_the_front_door_by_a_test():
    assert public() - called(E2E, public()) == set(), "call them in tests/e2e"


def test_what_is_asked_of_every_method_is_asked_of_each_that_is_public():
    assert public() == METHODS.keys()


def test_what_a_test_only_defines_or_speaks_of_is_not_called(tmp_path: Path):
    test = tmp_path / "test_some.py"
    test.write_text('"""GetModel is not called here."""\n\n\ndef GetModel(): ...\n')
    assert called([test], METHODS) == set()


def test_stubs_clients_and_commands_are_read(tmp_path: Path):
    test = tmp_path / "test_some.py"
    test.write_text(
        "stub.GetModel(request)\n"
        "client.routes.get(model)\n"
        'headrace("rollouts", "pause", model)\n'
        'headrace("rollouts")\n'
        'headrace.run(*("schedules", "list", "--model", model))\n'
        "await client.routes.split(model, variants)\n"
    )
    found = called([test], METHODS)
    assert found >= {"GetModel", "GetRoute", "PauseRollout", "ListScoringSchedules", "UpdateRoute"}
    assert not found & {"ResumeRollout", "DeleteModel"}
