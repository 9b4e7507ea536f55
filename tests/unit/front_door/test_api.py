import pytest
from front_door.api import ApiError, FileSet, parse_api, read_api, transcoder_files
from front_door.envoy_settings import committed_descriptors
from google.protobuf import descriptor_pb2

DESCRIPTORS = committed_descriptors()


def test_the_committed_api_has_public_and_internal_methods():
    api = read_api(DESCRIPTORS)
    public = {method.path for method in api.public}
    assert "/headrace.router.v1.RouterService/Predict" in public
    assert "/headrace.registry.v1.RegistryService/UploadArtifact" in public
    assert not any("ControlService" in path or "BatcherService" in path for path in public)
    assert {method.path for method in api.methods} > public


def test_streaming_methods_are_known_as_such():
    methods = {method.path.rpartition("/")[2]: method for method in read_api(DESCRIPTORS).methods}
    assert methods["UploadArtifact"].client_streaming
    assert methods["WatchModels"].server_streaming
    assert not methods["GetModel"].streaming


def test_an_rpc_that_says_nothing_of_its_callers_is_refused():
    files = FileSet()
    file = files.file.add(name="a.proto", package="a")
    file.service.add(name="S").method.add(name="M", input_type=".a.R", output_type=".a.R")
    with pytest.raises(ApiError, match=r"/a\.S/M"):
        parse_api(files)


def test_the_transcoder_knows_the_details_that_errors_carry_and_no_comments():
    files = FileSet.FromString(transcoder_files(read_api(DESCRIPTORS).files))
    names = [file.name for file in files.file]
    assert {"google/rpc/error_details.proto", "google/rpc/status.proto", "google/protobuf/any.proto"} <= set(names)
    assert len(names) == len(set(names))
    assert not any(file.HasField("source_code_info") for file in files.file)


def test_every_file_stands_behind_what_it_imports():
    files = FileSet.FromString(transcoder_files(read_api(DESCRIPTORS).files))
    seen: set[str] = set()
    for file in files.file:
        assert set(file.dependency) <= seen, file.name
        seen.add(file.name)


def test_descriptors_are_not_changed_by_reading_them():
    raw = DESCRIPTORS.read_bytes()
    api = read_api(DESCRIPTORS)
    transcoder_files(api.files)
    assert api.files == descriptor_pb2.FileDescriptorSet.FromString(raw)
