"""System calls that code of strangers may make, as a seccomp filter; every other is refused. Standard library only.

What an interpreter, numpy and ONNX Runtime were seen to need (`strace -f`), and what else changes this process alone:
reading files, memory, threads, time, signals to itself. Not among them: whatever changes a file or what the system
says of one, watches one, makes a process or another program, leaves the process group, or touches another process.
"""

import struct

# By name: x86_64, aarch64; None where an architecture has no such call. Frequent ones first: they are compared in turn.
ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "futex": (202, 98),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mprotect": (10, 226),
    "brk": (12, 214),
    "mremap": (25, 216),
    "select": (23, None),
    "pselect6": (270, 72),
    "poll": (7, None),
    "ppoll": (271, 73),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "getrandom": (318, 278),
    # Files that can be opened, and what there is of others.
    "close": (3, 57),
    "close_range": (436, 436),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "stat": (4, None),
    "lstat": (6, None),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fadvise64": (221, 223),
    "readahead": (187, 213),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    # Libraries of data files lock what they read.
    "flock": (73, 32),
    # What threads wake each other with.
    "pipe": (22, None),
    "pipe2": (293, 59),
    "eventfd2": (290, 19),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87),
    # Memory.
    "msync": (26, 227),
    "mincore": (27, 232),
    "mlock": (149, 228),
    "mlock2": (325, 284),
    "munlock": (150, 229),
    "membarrier": (324, 283),
    "get_mempolicy": (239, 236),
    "set_mempolicy": (238, 237),
    "mbind": (237, 235),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
    "pkey_mprotect": (329, 288),
    # Threads, and the end.
    "futex_waitv": (449, 449),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "set_tid_address": (218, 96),
    "gettid": (186, 178),
    "arch_prctl": (158, None),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "restart_syscall": (219, 128),
    # Facts of this process and of the machine.
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "capget": (125, 90),
    "getpriority": (140, 141),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "sched_rr_get_interval": (148, 127),
    "getcpu": (309, 168),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "setrlimit": (160, 164),
    "umask": (95, 166),
    # Time.
    "gettimeofday": (96, 169),
    "time": (201, None),
    "clock_getres": (229, 114),
    "nanosleep": (35, 101),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "timer_create": (222, 107),
    "timer_settime": (223, 110),
    "timer_gettime": (224, 108),
    "timer_getoverrun": (225, 109),
    "timer_delete": (226, 111),
    # Signals that reach this process.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
# Calls that kernels have had since 5.1, with one number everywhere. Libraries have another way where they do not exist.
_RECENT = 424
# clone3 is one of them: a filter cannot see its flags, and the C library then takes clone, whose flags it can.
_CLONE_THREAD = 0x10000
# To be written, made, emptied, or without a name.
_WRITING = 0x1 | 0x2 | 0x40 | 0x200 | 0x400000
# Duplicates, flags, read locks, pipe sizes. Not leases, notifications, nor a file's signal owner.
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 1030, 1032)
# Whether it is a terminal, how much can be read, whether it blocks and stays open. Not the attributes of files.
_IOCTL = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
# Names of threads and of memory. Not what becomes of this process when its parent ends, nor who may look into it.
_PRCTL = (15, 16, 0x53564D41)

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def supported(machine):
    """Return whether there is a filter for a machine, as `os.uname().machine` names it."""
    return machine in _COLUMN


def program(machine, pid):
    """Return the filter of a process as BPF. What is refused answers EPERM, or that the kernel has no such call."""
    column = _COLUMN[machine]
    code = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":  # the same calls by other numbers
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _EPERM)]
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers, argument, values in (
        ((234, 131), 0, (pid,)),  # tgkill: a signal to a thread of this process
        ((302, 261), 0, (0,)),  # prlimit64: of this process
        ((72, 25), 1, _FCNTL),
        ((16, 29), 1, _IOCTL),
        ((157, 167), 0, _PRCTL),
    ):
        code += _only(numbers[column], argument, [(_EQUAL, value) for value in values])
    code += _only((56, 220)[column], 0, [(_ANY_BIT, _CLONE_THREAD)])
    for numbers, argument in (((257, 56), 2), ((2, None), 1)):  # openat, open
        if (number := numbers[column]) is not None:
            code += _unless(number, argument, (_ANY_BIT, _WRITING))
    code += [(_AT_LEAST, 0, 1, _RECENT), (_RETURN, 0, 0, _ENOSYS), (_RETURN, 0, 0, _EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _only(number, argument, tests):
    """Return instructions that let one call pass where an argument passes one of the tests."""
    return [
        (_EQUAL, 0, len(tests) + 3, number),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
        *((test, len(tests) - at, 0, value) for at, (test, value) in enumerate(tests)),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _unless(number, argument, test):
    """Return instructions that let one call pass where an argument does not pass a test."""
    kind, value = test
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument),
        (kind, 0, 1, value),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
