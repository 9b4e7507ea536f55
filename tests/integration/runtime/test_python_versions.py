"""Versions that are Python code, in real processes: what they answer, and what they cannot do to anybody else."""

from __future__ import annotations

import asyncio
import hashlib
import os
import textwrap
import time
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace_runtime import shapes
from headrace_runtime.backends import python_process
from headrace_runtime.backends.backend import LoadError, ModelCrashed, ModelError, ModelFiles
from headrace_runtime.backends.python_code import PythonBackend
from headrace_runtime.backends.python_process import CodeLimits, Worker
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.environments import Environments
from headrace_runtime.formats import Format
from headrace_servicekit.testing import eventually, patience

CONTRACT = Contract((TensorSpec("x", "FP32", (2,)),), (TensorSpec("y", "FP32", ()),))
WELL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self._one(request) for request in requests]

    def _one(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x.sum(axis=1))])
"""


class Rig:
    """A backend, and files for it."""

    def __init__(self, backend: PythonBackend, folder: Path) -> None:
        self.backend, self.folder = backend, folder

    async def load(self, source: str, name: str = "m--v1", contract: Contract = CONTRACT, **fields: Any) -> None:
        path = self.folder / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        files = ModelFiles(name, path, contract, 16, kept_as=Format.PYTHON, model_file="model.py", **fields)
        await self.backend.load(files)

    async def run(self, values: list[list[float]], name: str = "m--v1") -> list[float]:
        layout = shapes.layout_of(CONTRACT, shapes.FIXED)
        rows = np.array(values, "<f4")
        (output,) = shapes.outputs_in_order(
            CONTRACT, len(rows), await self.backend.infer(name, layout, len(rows), [rows.tobytes()])
        )
        return np.frombuffer(output.data, "<f4").tolist()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    limits = CodeLimits(memory_bytes=256 * 1024**2, load_cpu_s=1.0)
    environments = Environments(tmp_path / "environments", index=str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    async with PythonBackend(tmp_path / "code", environments, limits=limits, timeout_s=patience(3.0)) as backend:
        yield Rig(backend, tmp_path)


MODULES = """
import os, sys, threading, time, socket, ctypes, signal, resource, fcntl
import numpy as np
import triton_python_backend_utils as pb_utils

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), function.__name__)

def opened(path=__file__):
    return os.open(path, os.O_RDONLY)
"""


def saying(body: str) -> str:
    """Return code whose first column says what becomes of a body: 1 for what was refused."""
    return f"""{MODULES}
class TritonPythonModel:
    def execute(self, requests):
        rows = len(requests[0].inputs()[0].as_numpy())
        try:
{textwrap.indent(textwrap.dedent(body).strip(), " " * 12)}
            refused = 0.0
        except OSError:
            refused = 1.0
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", np.full(rows, refused, np.float32))])]
"""


def saying_of_each(lines: Sequence[str]) -> str:
    """Return code that answers with a row for each line: 1 for what was refused."""
    return f"""{MODULES}
class TritonPythonModel:
    def execute(self, requests):
        told = np.array([self._refused(line) for line in {list(lines)!r}], np.float32)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", told)])]

    def _refused(self, line):
        try:
            exec(line, globals())
        except OSError:
            return 1.0
        return 0.0
"""


async def test_rows_come_back_as_the_code_computes_them(rig: Rig):
    await rig.load(WELL, instances=2)
    assert await rig.run([[1, 2], [3, 4], [5, 6]]) == [3, 7, 11]
    assert await asyncio.gather(*(rig.run([[n, n]]) for n in range(20))) == [[2.0 * n] for n in range(20)]


async def test_who_executes_or_waits_while_a_version_is_loaded_again_is_answered(rig: Rig):
    slow = WELL.replace("return [self", "import time; time.sleep(0.6); return [self")
    await rig.load(slow)
    waiting = [asyncio.create_task(rig.run([[n, n]])) for n in range(3)]
    await rig.load(slow, instances=2)
    assert await asyncio.gather(*waiting) == [[0], [2], [4]]
    assert await rig.run([[1, 2]]) == [3]


async def test_texts_and_what_initialize_is_told_arrive(rig: Rig):
    contract = Contract((TensorSpec("t", "BYTES", ()),), (TensorSpec("u", "BYTES", ()),))
    source = """
    import json
    import numpy as np
    import triton_python_backend_utils as pb_utils

    class TritonPythonModel:
        def initialize(self, args):
            config = json.loads(args["model_config"])
            self.kind = pb_utils.get_output_config_by_name(config, "u")["data_type"]

        def execute(self, requests):
            said = pb_utils.get_input_tensor_by_name(requests[0], "t").as_numpy()
            made = np.array([value + b"!" + self.kind.encode() for value in said.ravel()], dtype=object)
            return [pb_utils.InferenceResponse([pb_utils.Tensor("u", made)])]
    """
    await rig.load(source, contract=contract)
    sent = b"\x02\0\0\0hi" + b"\0\0\0\0"
    (output,) = await rig.backend.infer("m--v1", shapes.layout_of(contract, shapes.FIXED), 2, [sent])
    assert output.data == b"\x0e\0\0\0hi!TYPE_STRING" + b"\x0c\0\0\0!TYPE_STRING"


async def test_an_error_of_the_code_fails_that_request_with_its_place_and_the_next_is_answered(rig: Rig):
    await rig.load(WELL.replace("x.sum", "1 // int(x[0, 0] != 7) * x.sum"))
    with pytest.raises(ModelError, match=r"ZeroDivisionError.*model.py, line \d+"):
        await rig.run([[7, 1]])
    assert await rig.run([[1, 2]]) == [3]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class Other: pass", "no class TritonPythonModel"),
        ("class TritonPythonModel: pass", "no method execute"),
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("import structlog", "ModuleNotFoundError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(3)", "ended: exit code 3"),
        ("while True: pass", "more of a processor"),
        ("x = bytearray(2**40)", "MemoryError"),
        ("import ctypes; ctypes.string_at(0)", "ended: signal 11"),
    ],
)
async def test_code_that_does_not_load_says_why(rig: Rig, source, why):
    with pytest.raises(LoadError, match=why):
        await rig.load(source)


FORBIDDEN = {
    "fork": "os.fork()",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "exec": "os.execv('/bin/true', ['true'])",
    "network": "socket.socket().connect(('127.0.0.1', 80))",
    "kill the parent": "os.kill(os.getppid(), signal.SIGKILL)",
    "kill everybody": "os.kill(-1, signal.SIGKILL)",
    "signals of a file": "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "read a file": "open('/etc/passwd').read()",
    "secrets of the parent": "open(f'/proc/{os.getppid()}/environ').read()",
    "look around": "os.listdir('/')",
    "write a file": "open('/tmp/headrace-left-behind', 'w')",
    "change its own code": "open(__file__, 'a')",
    "priority": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
    "limits of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))",
    "memory without a limit": "os.memfd_create('x')",
    "mode of its own file": "os.chmod(__file__, 0o666)",
    "mode of its own open file": "os.fchmod(opened(), 0o666)",
    "mode by a recent call": "call(libc.syscall, 452, -100, __file__.encode(), 0o666, 0)",
    "mode of another's file": "os.chmod(sys.executable, os.stat(sys.executable).st_mode)",
    "owner": "os.chown(__file__, -1, -1)",
    "owner of a link": "os.lchown(__file__, -1, -1)",
    "owner of an open file": "os.fchown(opened(), -1, -1)",
    "times": "os.utime(__file__, (1, 1))",
    "times of an open file": "os.utime(opened(), (1, 1))",
    "extended attribute": "os.setxattr(__file__, 'user.x', b'1')",
    "extended attribute of an open file": "os.setxattr(opened(), 'user.x', b'1')",
    "no extended attribute": "os.removexattr(__file__, 'user.x')",
    "flags of a file": "fcntl.ioctl(opened(), 0x40086602, bytes(8))",
    "flags of a file, asked": "fcntl.ioctl(opened(), 0x80086601, bytes(8))",
    "lease of a file": "fcntl.fcntl(opened(), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
    "notices of a folder": "fcntl.fcntl(opened(os.path.dirname(__file__)), fcntl.F_NOTIFY, fcntl.DN_MODIFY)",
    "notices of a path": "call(libc.inotify_init1, 0)",
    "notices of a mount": "call(libc.fanotify_init, 0, 0)",
    "name of a file for others": "os.link(__file__, __file__ + '2')",
    "another name": "os.rename(__file__, __file__ + '2')",
    "no file": "os.unlink(__file__)",
    "a folder": "os.mkdir(__file__ + '2')",
    "a pipe with a name": "os.mkfifo(__file__ + '2')",
    "size": "os.truncate(__file__, 10**6)",
    "look at the system's files": "os.stat('/etc/passwd')",
    "look at other processes": "os.stat(f'/proc/{os.getppid()}')",
    "leave the group": "os.setpgid(0, os.getpgid(os.getppid()))",
    "leave the session": "os.setsid()",
    "outlive the parent": "call(libc.prctl, 1, 0, 0, 0, 0)",
    "adopt": "call(libc.prctl, 36, 1, 0, 0, 0)",
    "be looked into": "call(libc.prctl, 4, 1, 0, 0, 0)",
    "no filter any more": "call(libc.prctl, 22, 1, 0, 0, 0)",
    "priority of disks": "call(libc.syscall, 30 if os.uname().machine == 'aarch64' else 251, 1, 0, 7 | 3 << 13)",
    "processors": "os.sched_setaffinity(0, range(os.cpu_count()))",
    "memory of the parent": "call(libc.process_vm_readv, os.getppid(), None, 0, None, 0, 0)",
    "watch the parent": "os.pidfd_open(os.getppid())",
    "calls past the filter": "call(libc.syscall, 425, 1, bytes(120))",
    "another user": "os.setuid(0)",
    "more memory": "call(libc.setrlimit, resource.RLIMIT_AS, b'\\xff' * 16)",
}


async def test_what_code_may_not_do_is_refused_to_it_and_it_goes_on(rig: Rig):
    await rig.load(saying_of_each(list(FORBIDDEN.values())))
    for _ in range(2):
        refused = await rig.run([[0, 0]] * len(FORBIDDEN))
        assert [name for name, one in zip(FORBIDDEN, refused, strict=True) if not one] == []


async def test_where_the_kernel_gives_no_place_of_its_own_the_filter_holds_alone(rig: Rig, monkeypatch):
    monkeypatch.setattr(python_process, "_empty", lambda folder: folder)  # nothing is there to become a root
    await rig.load(saying_of_each(list(FORBIDDEN.values())))
    refused = await rig.run([[0, 0]] * len(FORBIDDEN))
    let = [name for name, one in zip(FORBIDDEN, refused, strict=True) if not one]
    assert let == ["look at the system's files", "look at other processes"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users to give")
async def test_under_root_each_version_is_a_user_of_its_own(rig: Rig):
    whoever = saying("raise ValueError(f'user {os.getuid()} {os.getgid()}, {os.getgroups()}')")
    found = set()
    for name in ("a--v1", "a--v2"):
        await rig.load(whoever, name)
        user = python_process.user_of(name)
        with pytest.raises(ModelError, match=rf"user {user} {user}, \[\]"):
            await rig.run([[0, 0]], name)
        found.add(user)
    assert len(found) == 2


async def test_no_process_is_left_of_versions_that_were_deleted(rig: Rig):
    for attempt in range(3):
        leaving = saying("call(libc.prctl, 1, 0, 0, 0, 0)\nos.setpgid(0, os.getpgid(os.getppid()))\ntime.sleep(60)")
        await rig.load(leaving, f"m--v{attempt}", instances=2)
        assert await rig.run([[0, 0]], f"m--v{attempt}") == [1]
    assert rig.backend.processes == {"running": 6, "left": 0}
    for attempt in range(3):
        await rig.backend.unload(f"m--v{attempt}")
    assert rig.backend.processes == {"running": 0, "left": 0}


async def test_a_version_whose_process_does_not_end_is_not_started_again_before_it_is_gone(rig: Rig, monkeypatch):
    monkeypatch.setattr(python_process, "END_S", 0.2)
    kill = Worker.kill
    await rig.load(saying("time.sleep(3600)"))
    monkeypatch.setattr(Worker, "kill", lambda worker: worker._writer.close())
    asked = asyncio.create_task(rig.run([[0, 0]]))
    await eventually(lambda: rig.backend._loaded["m--v1"].executing)
    rig.backend.end_model("m--v1")
    with pytest.raises(ModelCrashed, match="does not end"):
        await asked
    for _ in range(2):
        with pytest.raises(LoadError, match=r"its process \d+ was killed and has not ended"):
            await rig.load(WELL)
        assert rig.backend.processes == {"running": 0, "left": 1}
    monkeypatch.setattr(Worker, "kill", kill)
    await rig.load(WELL, "other--v1")
    assert await rig.run([[1, 2]], "other--v1") == [3]
    for worker in rig.backend._left["m--v1"]:
        worker.kill()
        assert await worker.gone()
    await rig.load(WELL)
    assert await rig.run([[1, 2]]) == [3]
    assert rig.backend.processes == {"running": 2, "left": 0}


async def test_code_may_have_threads_and_print_which_nobody_sees(rig: Rig, capfd: pytest.CaptureFixture[str]):
    body = """
    print("secret", flush=True); print("secret", file=sys.stderr, flush=True); os.write(1, b"secret")
    thread = threading.Thread(target=time.sleep, args=(0.01,)); thread.start(); thread.join()
    if os.environ.keys() - {"PATH", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LANG", "LC_CTYPE"}: raise OSError
    """
    await rig.load(saying(body))
    assert await rig.run([[0, 0]]) == [0]
    assert "secret" not in "".join(capfd.readouterr())


async def test_code_that_eats_memory_is_told_that_there_is_none(rig: Rig):
    await rig.load(saying("kept = []\nfor _ in range(1000): kept.append(np.ones(2**20))"))
    with pytest.raises(ModelError, match=r"MemoryError|Unable to allocate"):
        await rig.run([[0, 0]])


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("time.sleep(3600)", "took longer than"),
        ("while True: pass", "took longer than"),
        ("os._exit(7)", "exit code 7"),
        ("ctypes.string_at(0)", "signal 11"),
        ("os.write(3, b'x' * 100); os.write(4, b'x' * 100); [os.write(n, b'x' * 100) for n in range(5, 9)]", "ended"),
    ],
)
async def test_a_process_that_does_not_answer_is_ended_and_others_keep_answering(rig: Rig, body, why):
    await rig.load(WELL, "good--v1")
    await rig.load(saying(body), "bad--v1")
    bad = asyncio.create_task(rig.run([[0, 0]], "bad--v1"))
    began = time.monotonic()
    assert await rig.run([[1, 2]], "good--v1") == [3]
    assert time.monotonic() - began < patience(1)
    with pytest.raises((ModelCrashed, ModelError), match=why):
        await bad
    assert await rig.run([[1, 2]], "good--v1") == [3]
    await rig.load(WELL, "bad--v1")
    assert await rig.run([[1, 2]], "bad--v1") == [3]


ANSWER = '{"outputs": [{"name": %s, "datatype": "FP32", "size": 4, "shape": [%s]}]}'


def forged(header: str, body: bytes = b"") -> str:
    """Return code that answers by itself, past what runs it."""
    return f"""
    import struct
    header = ({header}).encode()
    for fd in range(3, 9):
        try:
            os.write(fd, struct.pack("<IQ", len(header), {len(body)}) + header + {body!r})
        except OSError:
            pass
    """


@pytest.mark.parametrize(
    ("header", "error"),
    [
        pytest.param("'[' * 100_000", ModelCrashed, id="nested without end"),
        pytest.param("'{' * 10", ModelCrashed, id="no JSON"),
        pytest.param(f"{ANSWER!r} % ('\"y\"', 'Infinity')", ModelError, id="a shape that is none"),
        pytest.param(f"{ANSWER!r} % ('[]', '1')", ModelError, id="a name that is none"),
    ],
)
async def test_an_answer_that_code_forges_fails_its_own_request_only(rig: Rig, header, error):
    await rig.load(WELL, "good--v1")
    await rig.load(saying(forged(header, b"1234")), "bad--v1")
    with pytest.raises(error, match="is not what was asked"):
        await rig.run([[0, 0]], "bad--v1")
    assert await rig.run([[1, 2]], "good--v1") == [3]


async def test_who_waits_for_a_process_that_ends_is_told_at_once(rig: Rig):
    await rig.load(saying("os._exit(7)"))
    told = await asyncio.gather(*(rig.run([[n, n]]) for n in range(3)), return_exceptions=True)
    assert {(type(one), "ended" in str(one)) for one in told} == {(ModelCrashed, True)}


async def test_a_caller_who_leaves_costs_the_next_one_no_wrong_answer(rig: Rig):
    await rig.load(WELL.replace("x = pb", "import time; time.sleep(0.2); x = pb"))
    left = asyncio.create_task(rig.run([[100, 100]]))
    await asyncio.sleep(0.05)
    left.cancel()
    assert await rig.run([[1, 2]]) == [3]


def wheel(folder: Path, version: str = "1.0") -> str:
    """Write a wheel that has one module; return its SHA-256."""
    path = folder / f"greeting-{version}-py3-none-any.whl"
    info = f"greeting-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greeting.py", f"WORTH = {version}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_requirements_are_installed_once_by_their_hashes(rig: Rig):
    digest = wheel(rig.folder / "wheels")
    requirements = rig.folder / "requirements.txt"
    requirements.write_text(f"greeting==1.0 --hash=sha256:{digest}\n")
    source = WELL.replace("x.sum(axis=1)", "(x.sum(axis=1) + greeting.WORTH).astype('f4')").replace(
        "import triton", "import greeting\nimport triton", 1
    )
    await rig.load(source, "a--v1", others={"requirements.txt": requirements})
    assert await rig.run([[1, 2]], "a--v1") == [4]
    (environment,) = (rig.folder / "environments").iterdir()
    made = os.stat(environment / "greeting.py").st_ino
    for wheels in (rig.folder / "wheels").iterdir():
        wheels.unlink()
    await rig.load(source, "b--v1", others={"requirements.txt": requirements})
    assert await rig.run([[1, 2]], "b--v1") == [4]
    assert os.stat(environment / "greeting.py").st_ino == made


async def test_a_wheel_that_is_not_what_its_hash_says_is_not_installed(rig: Rig):
    wheel(rig.folder / "wheels")
    requirements = rig.folder / "requirements.txt"
    requirements.write_text(f"greeting==1.0 --hash=sha256:{'a' * 64}\n")
    with pytest.raises(LoadError, match=r"cannot be installed: .*(HASH|hash)"):
        await rig.load(WELL, others={"requirements.txt": requirements})
    assert list((rig.folder / "environments").iterdir()) == []
