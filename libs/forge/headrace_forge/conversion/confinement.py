"""The limits of a process that reads untrusted files. Workers run it; it imports nothing of Headrace.

The parent ends its process group: so no process in it may leave that group, or touch a process outside it. A filter of
system calls binds its child processes too.
"""

import ctypes
import os
import resource
import struct

MEMORY_BYTES = 16 * 1024**3
FILE_BYTES = 2 * 1024**3

_NEW_USERS, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_PR_SET_PDEATHSIG, _PR_SET_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 1, 36, 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _GET_VERSION, _PATH_BENEATH = 444, 445, 446, 1, 1
# Rights of Landlock: devices, which conversions never make, and moving files between folders, which stays allowed.
_MAKE_BLOCK, _REFER, _SCOPES = 1 << 11, 1 << 13, 0b11
# Root's capabilities on other users' files; it has no others.
_FILE_CAPABILITIES, _CAPABILITIES_3 = 0b11111, 0x20080522
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
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "perf_event_open": (298, 241),
    # Keys of the user, which outlive this process.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "setns": (308, 268),
    # The kernel then makes calls, of sockets among them, that no filter sees.
    "io_uring_setup": (425, 425),
}
# Allowed for some values of the first argument: signals to this process, limits and processors of the caller.
_KILL, _TGKILL, _PRLIMIT, _AFFINITY = (62, 129), (234, 131), (302, 261), (203, 122)
# Allowed for one process, the caller.
_PRIORITY, _PRIO_PROCESS = (141, 140), 0
# Refused for some values of the first: what becomes of this process, or of others, when who started them ends.
_PRCTL, _AT_AN_END = (157, 167), (_PR_SET_PDEATHSIG, _PR_SET_SUBREAPER)
# Refused for some values of the second: the kernel sends a signal, of any number, to a file's owner.
_FCNTL, _SET_OWNER = (72, 25), (8, 15)
_IOCTL, _SET_OWNER_OF_SOCKET = (16, 29), (0x8901, 0x8902)
# Pairs of streams are pipes; another kind of socket can send to any listener.
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
    apart = _as_other_users(libc)
    # After the namespace, which takes it away.
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    refused = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
    if not apart:
        _in_a_domain(libc)
    code = _filter(*_ARCHITECTURES[machine], os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    if refused or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, whole, 0, 0):
        raise Unconfinable(f"the kernel takes no filter of system calls: {os.strerror(ctypes.get_errno())}")


def _as_other_users(libc):
    """Enter a user namespace: the kernel then hides the processes outside, of any user.

    Return whether there is one. Without it this process drops root's privileges except reading and writing files.
    """
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_USERS | _NEW_NETWORK | _NEW_IPC) != 0:
        libc.unshare(_NEW_NETWORK)
        libc.capset(
            struct.pack("=Ii", _CAPABILITIES_3, 0),
            struct.pack("=6I", *(2 * (_FILE_CAPABILITIES & _capabilities(),)), 0, 0, 0, 0),
        )
        return False
    for name, told in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as opened:
                opened.write(told)
        except OSError:  # its user is unmapped there, and has the same access to files
            break
    return True


def _capabilities():
    with open("/proc/self/status") as opened:
        return int(next(line for line in opened if line.startswith("CapPrm:")).split()[1], 16)


def _in_a_domain(libc):
    """Take a domain of Landlock, from which no process outside is looked into, and which leaves files as they are."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)
    if version < 1:
        return
    rights = _MAKE_BLOCK | (_REFER if version >= 2 else 0)
    attributes = struct.pack("=3Q", rights, 0, _SCOPES) if version >= 6 else struct.pack("=Q", rights)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if version >= 2:
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", _REFER, root), 0)
        os.close(root)
    libc.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _filter(column, architecture, pid):
    """Return the filter as BPF: what is refused answers EPERM; calls of another architecture end the process."""
    code = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _END)]
    code.append((_LOAD, 0, 0, _NUMBER_AT))
    if column == 0:  # the same calls by other numbers
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _EPERM)]
    for numbers in _REFUSED.values():
        code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _EPERM)]
    for numbers, only in ((_KILL, (pid,)), (_TGKILL, (pid,)), (_PRLIMIT, (0,)), (_AFFINITY, (0, pid))):
        code += [(_EQUAL, 0, len(only) + 3, numbers[column]), *_among(_FIRST_ARGUMENT_AT, only)]
    code += [
        (_EQUAL, 0, 8, _PRIORITY[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_EQUAL, 1, 0, _PRIO_PROCESS),
        (_RETURN, 0, 0, _EPERM),
        *_among(_SECOND_ARGUMENT_AT, (0, pid)),
    ]
    code += [(_EQUAL, 0, 5, _PRCTL[column]), *_among(_FIRST_ARGUMENT_AT, _AT_AN_END, _ALLOW, _EPERM)]
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


def _among(at, values, other=_EPERM, answer=_ALLOW):
    """Return instructions that answer one thing where an argument is among some values, and another where it is not."""
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [(_LOAD, 0, 0, at), *tests, (_RETURN, 0, 0, other), (_RETURN, 0, 0, answer)]
