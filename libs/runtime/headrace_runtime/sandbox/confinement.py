"""Confines a process for good before it runs untrusted code. Standard library only; Linux.

Always limited: system calls (`syscalls.py`), memory, written files, cores, privileges. Where the kernel allows it:
network, visible files, a separate user (`place.py`), files to read (Landlock).
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct

import place  # pyright: ignore[reportMissingImports] - beside this file
import syscalls  # pyright: ignore[reportMissingImports] - the same

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 1, 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _GET_VERSION = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1, 4, 8
# Rights on files that each version of Landlock knows; from 4 on also TCP, from 6 on signals and abstract sockets.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP, _SCOPES = 0b11, 0b11
_STEP = 5
_OPEN_FILES = 64


class Unconfinable(Exception):
    """The kernel does not confine this process."""


def confine(memory_bytes, readable, root, user):
    """Confine this process, which has one thread; return the optional restrictions that the kernel granted.

    memory_bytes: that it may use beyond the present. readable: paths that it may read, recursively. root: an empty
    folder that becomes its root; user: its new user id; both where the kernel allows that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    _limit(memory_bytes)
    granted = place.take(libc, root, readable, user)
    # After the namespaces and the user, each of which takes it away.
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent or parent == 1:
        raise Unconfinable("its parent is gone")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise Unconfinable("the kernel lets no process give up privileges")
    if _restrict_files(libc, readable):
        granted.append("own files only")
    _filter_calls(libc)
    return granted


def _limit(memory_bytes):
    most = _status_bytes("VmSize") + memory_bytes
    for limit, value in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError):
        os.nice(_STEP)
    # One core: a library's extra threads cost neighbours no more than one execution does.
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
    # Writing a file beyond the limit is an error of the code, not its end.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _restrict_files(libc, readable):
    """Let this process read these paths and write none; return whether the kernel does that."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    fields = [rights]
    if version >= 4:
        fields.append(_TCP)
    if version >= 6:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    for path in readable:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = _EXECUTE | _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
        rule = struct.pack("=Qi", allowed, opened)
        done = libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
        os.close(opened)
        if done != 0:
            raise Unconfinable(f"the kernel takes no rule for {path}")
    done = libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return done == 0


def _filter_calls(libc):
    machine = os.uname().machine
    if not syscalls.supported(machine):
        raise Unconfinable(f"there is no filter of system calls for {machine}")
    code = syscalls.program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, whole, 0, 0) != 0:
        raise Unconfinable(f"the kernel takes no filter of system calls: {os.strerror(ctypes.get_errno())}")


def _status_bytes(name):
    with open("/proc/self/status") as opened:
        line = next(line for line in opened if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
