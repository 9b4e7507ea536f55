"""The limits of a process that reads files of strangers. Workers run it; it imports nothing of Headrace."""

import ctypes
import resource

MEMORY_BYTES = 16 * 1024**3
FILE_BYTES = 2 * 1024**3

_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000


def confine(cpu_s):
    """Limit this process, and cut it off the network where the kernel lets it."""
    for limit, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEW_NETWORK) != 0:
        libc.unshare(_NEW_USERS | _NEW_NETWORK)
