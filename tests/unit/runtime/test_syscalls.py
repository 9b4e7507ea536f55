"""The filter of system calls, run as the kernel runs it, for both architectures."""

import struct

import pytest
from headrace_runtime.sandbox import syscalls

from tests.kit.rows import each

PID = 4711
ALLOW, END, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(ARCH)
# Calls that change what is not a process's own, by their numbers on both.
REFUSED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "personality": (135, 92), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "ioprio_set": (251, 30), "inotify_init": (253, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262), "setpgid": (109, 154), "setsid": (112, 157), "rename": (82, None),
    "renameat2": (316, 276), "unlink": (87, None), "unlinkat": (263, 35), "mkdirat": (258, 34), "linkat": (265, 37),
    "symlinkat": (266, 36), "mknodat": (259, 33), "truncate": (76, 45), "ftruncate": (77, 46), "fallocate": (285, 47),
    "socket": (41, 198), "fork": (57, None), "execve": (59, 221), "kill": (62, 129), "tkill": (200, 130),
    "ptrace": (101, 117), "setpriority": (141, 140), "capset": (126, 91), "sched_setaffinity": (203, 122),
    "setuid": (105, 146), "setresuid": (117, 147), "unshare": (272, 97), "mount": (165, 40), "seccomp": (317, 277),
    "memfd_create": (319, 279), "sendmsg": (46, 211),
}  # fmt: skip
RECENT = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "pidfd_open": 434, "clone3": 435, "openat2": 437,
    "pidfd_getfd": 438, "mount_setattr": 442, "landlock_create_ruleset": 444, "fchmodat2": 452, "setxattrat": 463,
    "file_setattr": 469,
}  # fmt: skip
# Calls of which an argument decides: numbers, what passes, and what does not.
CHECKED = {
    "tgkill": ((234, 131), [(PID,)], [(1,), (0xFFFFFFFF,)]),
    "prlimit64": ((302, 261), [(0,)], [(PID,), (1,)]),
    "clone": ((56, 220), [(0x3D0F00,)], [(17,), (0x4111,)]),
    "fcntl": ((72, 25), [(0, 1), (0, 3), (0, 6), (0, 1030)], [(0, 8), (0, 10), (0, 15), (0, 1024), (0, 1026)]),
    "ioctl": ((16, 29), [(0, 0x5401)], [(0, 0x8901), (0, 0x40086602), (0, 0x5412)]),
    "prctl": ((157, 167), [(15,), (0x53564D41,)], [(1,), (4,), (8,), (22,), (36,), (38,)]),
    "openat": ((257, 56), [(0, 0, 0x80000), (0, 0, 0x10000)], [(0, 0, 1), (0, 0, 2), (0, 0, 0x40), (0, 0, 0x410000)]),
}


def answer(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Return what the filter answers to a call."""
    given = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *given)
    code = list(struct.iter_unpack("=HBBI", syscalls.program(machine, PID)))
    at = value = 0
    while True:
        kind, when, otherwise, constant = code[at]
        at += 1
        if kind == 0x06:
            return constant
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
            continue
        passed = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[kind]
        at += when if passed else otherwise


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_on_the_list_passes_and_every_other_call_is_refused(machine: str) -> None:
    column = MACHINES.index(machine)
    listed = {numbers[column] for numbers in syscalls.ALLOWED.values()} - {None}
    decided = {numbers[column] for numbers, _, _ in CHECKED.values()} | ({2} if machine == "x86_64" else set())
    for number in range(600):
        if number in listed:
            assert answer(machine, number) == ALLOW, number
        elif number not in decided:
            assert answer(machine, number) == (ENOSYS if number >= 424 else EPERM), number


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_change_what_is_not_its_own_are_refused(machine: str) -> None:
    column = MACHINES.index(machine)
    told = {name: answer(machine, numbers[column]) for name, numbers in REFUSED.items() if numbers[column] is not None}
    assert told == dict.fromkeys(told, EPERM)
    assert {name: answer(machine, number) for name, number in RECENT.items()} == dict.fromkeys(RECENT, ENOSYS)


@each("machine", MACHINES)
@each("name", CHECKED)
def test_of_some_calls_an_argument_decides(machine: str, name: str) -> None:
    numbers, passing, refused = CHECKED[name]
    number = numbers[MACHINES.index(machine)]
    assert [answer(machine, number, *one) for one in passing] == [ALLOW] * len(passing)
    assert [answer(machine, number, *one) for one in refused] == [EPERM] * len(refused)


def test_calls_of_another_architecture_end_the_process_and_numbers_of_x32_are_refused() -> None:
    assert answer("x86_64", 0, arch=0x40000003) == END
    assert answer("aarch64", 63, arch=ARCH["x86_64"]) == END
    assert answer("x86_64", 0x40000000) == EPERM
    assert [answer("x86_64", 2, 0, flags) for flags in (0, 1, 0x242)] == [ALLOW, EPERM, EPERM]
