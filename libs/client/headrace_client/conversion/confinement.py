"""The limits of a process that reads files of strangers. Workers run it; it imports nothing of Headrace.

Whoever started it ends its process group: so nothing in it may leave that group, or touch a process outside it. A
filter of system calls holds what the process starts to the same.
"""

import ctypes
import os
import resource
import struct

MEMORY_BYTES = 16 * 1024**3
FILE_BYTES = 2 * 1024**3

_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 1, 38, 22, 2
_SIGKILL = 9

# By architecture: its column below, and its number in the kernel.
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_REFUSED = {
    # Leaving the group.
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # Programs that run what anybody asks them for: they listen where no namespace of networks ends.
    "socket": (41, 198),
    # Other processes, among them the one that is to end this one.
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "setns": (308, 268),
    # The kernel then makes calls, of sockets among them, that no filter sees.
    "io_uring_setup": (425, 425),
}
# Allowed for one value of the first argument: signals to this process, limits of the caller.
_KILL, _TGKILL, _PRLIMIT = (62, 129), (234, 131), (302, 261)
# Refused for some values of the second: the kernel sends a signal, of whatever number, to whoever owns a file.
_FCNTL, _SET_OWNER = (72, 25), (8, 15)
_IOCTL, _SET_OWNER_OF_SOCKET = (16, 29), (0x8901, 0x8902)
# Pairs of streams are pipes; another kind of socket sends to whoever listens.
_SOCKETPAIR, _NO_STREAM = (53, 199), 0x0E
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_ALLOW, _END, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001


class Unconfinable(Exception):
    """The kernel does not confine this process; the message says why."""


def confine(cpu_s):
    """Limit this process for good, and cut it off the network. Raises Unconfinable."""
    machine = os.uname().machine
    if os.uname().sysname != "Linux" or machine not in _ARCHITECTURES:
        raise Unconfinable(f"files of strangers are read on Linux on {' or '.join(_ARCHITECTURES)} only")
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK) != 0:
        libc.unshare(_NEW_USERS | _NEW_NETWORK)
    # After the namespace, which takes it away.
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    code = _filter(*_ARCHITECTURES[machine], os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, whole, 0, 0):
        raise Unconfinable(f"the kernel takes no filter of system calls: {os.strerror(ctypes.get_errno())}")


def _filter(column, architecture, pid):
    """Return the filter as BPF: what is refused answers EPERM; calls of another architecture end the process."""
    code = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _END)]
    code.append((_LOAD, 0, 0, _NUMBER_AT))
    if column == 0:  # the same calls by other numbers
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _EPERM)]
    for numbers in _REFUSED.values():
        code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    for numbers, only in ((_KILL, pid), (_TGKILL, pid), (_PRLIMIT, 0)):
        code += [
            (_EQUAL, 0, 4, numbers[column]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUAL, 1, 0, only),
            (_RETURN, 0, 0, _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    owners = [(_FCNTL, value) for value in _SET_OWNER] + [(_IOCTL, value) for value in _SET_OWNER_OF_SOCKET]
    for numbers, test, value in (*((one, _EQUAL, value) for one, value in owners), (_SOCKETPAIR, _ANY_BIT, _NO_STREAM)):
        code += [
            (_EQUAL, 0, 4, numbers[column]),
            (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
            (test, 0, 1, value),
            (_RETURN, 0, 0, _EPERM),
            (_LOAD, 0, 0, _NUMBER_AT),
        ]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
