"""Model files of other formats: what they are, and a conversion that takes nobody with it."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import socket
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from click import UsageError
from headrace_client.cli.output import Output
from headrace_client.cli.sources import Conversion, source_of
from headrace_client.errors import InvalidArgument
from headrace_client.recognition import Kind, recognise
from headrace_forge.conversion import process, sandbox
from headrace_servicekit.testing import eventually, patience

from tests.kit.models import onnx_models


class Runs:
    """A pickle that runs code when it is read."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self):
        return exec, (self.code,)


def archive(*names: str) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as written:
        for name in names:
            written.writestr(name, b"{}")
    return made.getvalue()


PACKED = {"gzip": gzip.compress, "zlib": zlib.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.fixture
def hostile(tmp_path: Path):
    def write(code: str) -> Path:
        path = tmp_path / "model.pkl"
        path.write_bytes(pickle.dumps(Runs(code)))
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(onnx_models.linear().content, Kind.ONNX, id="ONNX"),
        pytest.param(b'{"learner":{"objective":{}}}', Kind.XGBOOST, id="JSON of XGBoost"),
        pytest.param(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", Kind.XGBOOST, id="UBJSON of XGBoost"),
        pytest.param(b"tree\nversion=v4\n", Kind.LIGHTGBM, id="text of LightGBM"),
        pytest.param(pickle.dumps({}), Kind.PICKLE, id="pickle"),
        pytest.param(archive("140339689945424.npy", "schema.json"), Kind.SKOPS, id="skops"),
        pytest.param(b"csklearn.linear_model\nLogisticRegression\n", Kind.PICKLE, id="pickle of protocol 0"),
        *(
            pytest.param(packed(pickle.dumps({})), Kind.PICKLE, id=f"pickle by {name}")
            for name, packed in PACKED.items()
        ),
        pytest.param(b"CBM1\0", Kind.CATBOOST, id="CatBoost"),
        pytest.param(b'{\n"features_info":\n{}}', Kind.CATBOOST, id="JSON of CatBoost"),
        pytest.param(onnx_models.linear().content + b"ZipMap", Kind.ZIPMAP, id="ONNX with dictionaries"),
        pytest.param(b"{ is no JSON", Kind.ONNX, id="what the registry will refuse"),
    ],
)
def test_a_file_is_recognised_by_its_content(tmp_path: Path, content: bytes, kind: Kind) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    assert recognise(path) is kind


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"PK\x03\x04rest", "torch.onnx.export", id="ZIP"),
        pytest.param(archive("sd/data.pkl", "sd/version"), "weights and no code.*torch.export.save", id="state_dict"),
        pytest.param(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j", "torch.export.save", id="state_dict of an old torch"),
        pytest.param(archive("config.json", "model.weights.h5", "metadata.json"), r"model\.export", id="Keras"),
        pytest.param(archive("a.npy", "b.npy"), "no model", id="arrays of NumPy"),
        pytest.param(archive("readme.txt", "out/model.onnx"), "unpack it", id="ZIP of a model"),
        pytest.param(b"\x89HDF\r\n", r"model\.export", id="HDF5"),
        pytest.param(b"\x1f\x8bx", "unpack it", id="gzip"),
        *(pytest.param(packed(b"a\n1\n"), "unpack it", id=f"table by {name}") for name, packed in PACKED.items()),
        pytest.param(b"\x1c\0\0\0TFL3", "tf2onnx", id="TensorFlow Lite"),
        pytest.param(b"GGUF\3", "llama", id="GGUF"),
        pytest.param((80).to_bytes(8, "little") + b'{"weight":{}}', "torch.export.save", id="safetensors"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", id="pointer of Git LFS"),
        pytest.param(b"<!DOCTYPE html>", "web page", id="web page"),
        pytest.param(b"\x93NUMPY\1\0", "no model", id="array of NumPy"),
        pytest.param(b"PAR1\0", "no model", id="Parquet"),
        pytest.param(b"model.onnx" + bytes(247) + b"ustar\0", "unpack it", id="tar"),
        pytest.param(b"[{}]", "Booster.save_model", id="dump of XGBoost"),
        pytest.param(b'{"a": 1}', "no XGBoost model", id="other JSON"),
        pytest.param(b'{"a": ' + b"[" * 200_000, "no XGBoost model", id="nested JSON"),
    ],
)
def test_what_is_not_converted_says_what_to_do_instead(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=words):
        recognise(path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param((), "no MLmodel, saved_model.pb or model.py", id="empty"),
        pytest.param(("model.onnx", "labels.txt"), r"name the file, .*model\.onnx", id="with a file"),
        pytest.param(("config.json", "model.safetensors"), "optimum-cli export onnx", id="of Hugging Face"),
        pytest.param(("config.pbtxt",), "headrace models import triton", id="of Triton"),
    ],
)
def test_a_folder_that_is_no_model_says_what_to_name(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InvalidArgument, match=words):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("c__main__\nscale\n.", "script or notebook had.*scale.*--as-code --artifact", id="of a notebook"),
        pytest.param(
            "cno_such_module_of_ours\nModel\n.", "needs the module 'no_such_module_of_ours'", id="of a module"
        ),
        pytest.param("cbuiltins\nlen\n.", r"holds a builtins\.builtin.*save the model alone", id="a function"),
    ],
)
def test_a_pickle_of_something_else_says_what_to_do(tmp_path: Path, folder: Path, code: str, words: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_text(code)
    assert recognise(path) is Kind.PICKLE
    with pytest.raises(InvalidArgument, match=words):
        process.convert(Kind.PICKLE, path, folder, python=sys.executable)


@pytest.mark.parametrize(
    ("at", "bytes_there"), [pytest.param(6, b"\x63\0", id="version"), pytest.param(8, b"\0\x08", id="name")]
)
def test_an_archive_that_no_library_reads_is_an_error_of_the_file(tmp_path: Path, at: int, bytes_there: bytes) -> None:
    content = bytearray(archive("models/a"))
    entry = content.index(b"PK\x01\x02")
    content[entry + at : entry + at + 2] = bytes_there
    content[content.index(b"models/a", entry)] = 0xFF  # a name that is not what the flag of the second says
    (path := tmp_path / "model.pt2").write_bytes(content)
    with pytest.raises(InvalidArgument, match="is not a ZIP archive"):
        recognise(path)


def test_a_pickle_is_not_read_without_trust(hostile) -> None:
    path = hostile("raise SystemExit")
    source = source_of(Output(as_json=False), path, {}, Conversion(trust=False, python=None, max_difference=1e-4))
    with pytest.raises(UsageError, match="runs the code in it: --trust"), source:
        pass


@pytest.mark.parametrize(
    ("kind", "packages"),
    [
        (Kind.LIGHTGBM, "lightgbm onnxmltools"),
        (Kind.EXPORTED, "torch onnxscript"),
        (Kind.TORCHSCRIPT, "torch onnx"),
        (Kind.SAVEDMODEL, "tensorflow-cpu tf2onnx"),
    ],
)
def test_a_python_without_the_framework_says_what_to_install(
    tmp_path: Path, folder: Path, kind: Kind, packages: str
) -> None:
    path = tmp_path / "model.txt"
    path.write_bytes(b"tree\n")
    with pytest.raises(InvalidArgument, match=f"pip install {packages}"):
        process.convert(kind, path, folder, python=sys.executable)


def test_a_pickle_sees_no_secrets_and_reaches_nobody(hostile, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_TOKEN", "abracadabra")
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = hostile(
            "import json, os, socket\n"
            "try:\n"
            f"    socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)\n"
            "    reached = True\n"
            "except OSError:\n"
            "    reached = False\n"
            "open('seen.json', 'w').write(json.dumps([dict(os.environ), reached]))"
        )
        with pytest.raises(InvalidArgument, match=r"holds a builtins\.NoneType"):
            process.convert(Kind.PICKLE, path, folder, python=sys.executable)
    variables, reached = json.loads((folder / "seen.json").read_text())
    assert "abracadabra" not in json.dumps(variables)
    assert reached is False


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("import os; os._exit(3)", "ended with code 3", id="ends"),
        pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "more of a processor", id="crashes"),
        pytest.param(
            "import os\nfor name in ('model.onnx', 'validation.json'): open(name, 'w').close()\n"
            "os.write(1, b'{\"columns\": 5}\\n'); os._exit(0)",
            "answers nonsense",
            id="answers itself",
        ),
        pytest.param("raise ValueError('broken')", "ValueError: broken", id="raises"),
        pytest.param(
            "import os; os.remove('said'); os.mkfifo('said')", r"holds a builtins\.NoneType", id="replaces its answer"
        ),
        pytest.param(
            "import os; os.mkfifo('model.onnx'); os.write(1, b'{}\\n'); os._exit(0)",
            r"left no file model\.onnx",
            id="leaves a pipe",
        ),
        pytest.param(
            "import os; os.symlink('/etc/hosts', 'model.onnx'); os.write(1, b'{}\\n'); os._exit(0)",
            r"left no file model\.onnx",
            id="leaves a link",
        ),
    ],
)
def test_a_pickle_that_misbehaves_is_an_error_of_the_file(hostile, folder: Path, code: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        process.convert(Kind.PICKLE, hostile(code), folder, python=sys.executable)


ESCAPES = """
import ctypes, os, time
def tried(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return
child = os.fork()
if child == 0:
    tried(os.setsid)
    tried(os.setpgid, 0, 0)
    ctypes.CDLL(None).setsid()
    if os.fork() == 0:
        tried(os.setsid)
        tried(os.kill, os.getppid(), 9)
        with open('left', 'w') as opened:
            opened.write(f'{os.getpid()} {os.getpgid(0)}')
        os.rename('left', 'grandchild')
        os.execv('/bin/sleep', ('sleep', '600'))
    os._exit(0)
os.waitpid(child, 0)
"""


def running(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("end", ["time.sleep(600)", "os._exit(0)"])
async def test_nothing_of_a_conversion_outlives_it_whatever_group_it_asks_for(
    hostile, folder: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(process, "TIMEOUT_S", patience(3.0))
    wait = "while not os.path.exists('grandchild'): time.sleep(0.01)\n"
    with pytest.raises(InvalidArgument, match="is not converted"):
        process.convert(Kind.PICKLE, hostile(f"{ESCAPES}{wait}{end}"), folder, python=sys.executable)
    pid, _ = (folder / "grandchild").read_text().split()
    await eventually(lambda: not running(pid))


def test_a_conversion_ends_nobody_else_and_asks_no_program_of_this_machine(hostile, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address := folder / "daemon"))
        server.listen()
        path = hostile(
            "import ctypes, json, os, resource, signal, socket\n"
            "def refused(call, *arguments):\n"
            "    try:\n"
            "        call(*arguments)\n"
            "    except PermissionError:\n"
            "        return True\n"
            "    return False\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            f"ask = lambda kind=socket: kind.socket(kind.AF_UNIX).connect({str(address)!r})\n"
            "parent = os.getppid()\n"
            "open('seen.json', 'w').write(json.dumps([\n"
            "    refused(os.kill, parent, 0), refused(os.kill, -1, 0), refused(os.killpg, os.getpgid(parent), 0),\n"
            "    refused(resource.prlimit, parent, resource.RLIMIT_CPU), refused(ask),\n"
            "    refused(signal.pidfd_send_signal, os.pidfd_open(parent), 0),\n"
            "    libc.ptrace(16, parent, 0, 0) == -1,\n"
            "]))"
        )
        with pytest.raises(InvalidArgument, match=r"holds a builtins\.NoneType"):
            process.convert(Kind.PICKLE, path, folder, python=sys.executable)
    assert json.loads((folder / "seen.json").read_text()) == [True] * 7


OTHERS = {
    "environment of the parent": "open(f'/proc/{parent}/environ', 'rb').read()",
    "memory of the parent, to write": "open(f'/proc/{parent}/mem', 'r+b')",
    "memory of the parent": "open(f'/proc/{parent}/mem', 'rb')",
    "files of the parent": "open(f'/proc/{parent}/fd/0')",
    "environment of who started the parent": "open(f'/proc/{above}/environ', 'rb').read()",
    "memory of who started the parent, to write": "open(f'/proc/{above}/mem', 'r+b')",
    "memory by a call": "call(libc.process_vm_readv, parent, None, 0, None, 0, 0)",
    "processors": "os.sched_setaffinity(parent, {0})",
    "priority": "os.setpriority(os.PRIO_PROCESS, parent, 5)",
    "priority of the user": "os.setpriority(os.PRIO_USER, 0, 5)",
    "scheduling": "os.sched_setscheduler(parent, os.SCHED_BATCH, os.sched_param(0))",
    "priority of disks": "call(libc.syscall, 30 if os.uname().machine == 'aarch64' else 251, 1, parent, 7 | 3 << 13)",
    "limits": "resource.prlimit(parent, resource.RLIMIT_CPU)",
    "signal": "os.kill(parent, 0)",
    "signal to a thread": "call(libc.tgkill, parent, parent, 0)",
    "signal by a descriptor": "signal.pidfd_send_signal(os.pidfd_open(parent), 0)",
    "outlive the parent": "call(libc.prctl, 1, 0, 0, 0, 0)",
    "adopt": "call(libc.prctl, 36, 1, 0, 0, 0)",
    "keys": "call(libc.syscall, 219 if os.uname().machine == 'aarch64' else 250, 0, -3, 0)",
}
OWN = (
    "os.sched_setaffinity(0, os.sched_getaffinity(0))",
    "os.sched_setaffinity(os.getpid(), os.sched_getaffinity(0))",
    "os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))",
    "os.kill(os.getpid(), 0)",
    "call(libc.prctl, 15, b'name', 0, 0, 0)",
)
TRIES = """
import ctypes, json, os, resource, signal
libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()
above = next(int(line.split()[1]) for line in open(f'/proc/{{parent}}/status') if line.startswith('PPid'))
def call(function, *arguments):
    if function(*arguments) == -1:
        raise PermissionError(ctypes.get_errno(), function.__name__)
def refused(line):
    try:
        exec(line, globals())
    except PermissionError:
        return True
    return False
globals().update(locals())
open('seen.json', 'w').write(json.dumps([refused(line) for line in {lines!r}]))
"""


def tried(hostile, folder: Path, *lines: str) -> list[bool]:
    """Return which lines were refused to a pickle."""
    with pytest.raises(InvalidArgument, match=r"holds a builtins\.NoneType"):
        process.convert(Kind.PICKLE, hostile(TRIES.format(lines=lines)), folder, python=sys.executable)
    return json.loads((folder / "seen.json").read_text())


def test_a_conversion_reads_and_changes_no_other_process(hostile, folder: Path) -> None:
    refused = tried(hostile, folder, *OTHERS.values())
    assert [name for name, one in zip(OTHERS, refused, strict=True) if not one] == []


def test_a_conversion_may_do_to_itself_what_it_may_not_do_to_others(hostile, folder: Path) -> None:
    assert tried(hostile, folder, *OWN) == [False] * len(OWN)


WITHOUT_NAMESPACES = """
import ctypes, runpy, sys
confinement = runpy.run_path(sys.argv[1])
confinement["confine"].__globals__["_NEW_USERS"] = 1  # no such flag: as where there are no namespaces
confinement["confine"](60)
exec(sys.argv[2])
"""


def test_without_namespaces_landlock_keeps_it_out_of_other_processes(tmp_path: Path) -> None:
    code = TRIES.format(lines=tuple(OTHERS.values()))
    program = str(Path(sandbox.__file__).with_name("confinement.py"))
    subprocess.run((sys.executable, "-c", WITHOUT_NAMESPACES, program, code), cwd=tmp_path, check=True, timeout=60)
    refused = json.loads((tmp_path / "seen.json").read_text())
    assert [name for name, one in zip(OTHERS, refused, strict=True) if not one] == []


SECRETIVE = """
import ctypes, os
from pathlib import Path
from headrace_forge.conversion.secrecy import hidden
def shown():
    dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
    try:
        given = Path("/proc/self/environ").read_bytes()
    except PermissionError:  # it belongs to root meanwhile
        given = b"AFTER=it"
    print(b"abracadabra" in given, b"AFTER=it" in given, os.environ.get("HEADRACE_TOKEN"), dumpable)
shown()
with hidden():
    with hidden():
        shown()
    shown()
shown()
"""


def test_who_converts_holds_no_token_meanwhile_and_lets_nobody_look_into_it() -> None:
    done = subprocess.run(
        (sys.executable, "-c", SECRETIVE),
        env={"BEFORE": "x", "HEADRACE_TOKEN": "abracadabra", "AFTER": "it"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    before, *within, after = done.stdout.splitlines()
    assert before == "True True abracadabra 1"
    assert within == ["False True None 0"] * 2
    assert after == "False True abracadabra 1"


def test_a_conversion_has_the_kernel_send_nothing_to_others_either(hostile, folder: Path) -> None:
    path = hostile(
        "import array, ctypes, fcntl, json, os, socket\n"
        "def refused(call, *arguments):\n"
        "    try:\n"
        "        call(*arguments)\n"
        "    except PermissionError:\n"
        "        return True\n"
        "    return False\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "parent = array.array('i', [os.getppid()])\n"
        "one, other = socket.socketpair()\n"
        "one.sendall(b'x')\n"
        "open('seen.json', 'w').write(json.dumps([\n"
        "    refused(fcntl.fcntl, one, fcntl.F_SETOWN, parent[0]),\n"
        "    refused(fcntl.fcntl, one, 15, array.array('i', [1, parent[0]]).tobytes()),\n"
        "    refused(fcntl.ioctl, one, 0x8901, parent), refused(fcntl.ioctl, one, 0x8902, parent),\n"
        "    refused(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM),\n"
        "    refused(socket.socketpair, socket.AF_UNIX, socket.SOCK_SEQPACKET),\n"
        "    libc.syscall(425, 1, ctypes.create_string_buffer(120)) == -1,\n"
        "    other.recv(1) == b'x', os.get_blocking(other.fileno()),\n"
        "]))"
    )
    with pytest.raises(InvalidArgument, match=r"holds a builtins\.NoneType"):
        process.convert(Kind.PICKLE, path, folder, python=sys.executable)
    assert json.loads((folder / "seen.json").read_text()) == [True] * 9


def test_the_python_of_the_active_environment_converts(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.symlink_to(sys.executable)
    assert sandbox.frameworks_python({"VIRTUAL_ENV": str(tmp_path)}) == str(python)
    assert sandbox.frameworks_python({}) == sys.executable
