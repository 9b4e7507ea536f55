"""Runs a command as an unprivileged user when we are root, because PostgreSQL refuses root; run by its path, with
nothing installed.

    python unprivileged.py DEATH_SIGNAL COMMAND [ARGUMENT …]

That user could not enter a checkout below a directory of mode 0700 (root's home, `mktemp -d`), so the command keeps one
of root's capabilities: CAP_DAC_OVERRIDE, to pass through directories. Everything else of root is gone and does not come
back. The signal that the kernel sends when our parent dies is set here again, since changing the user clears it.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
# Changing the user keeps capabilities, and access(2), by which initdb looks for its programs, counts them.
_SECBIT_NO_SETUID_FIXUP = 4
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

ACCOUNT = "nobody"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become_nobody() -> None:
    """Change to the unprivileged user for good, keeping CAP_DAC_OVERRIDE across exec. Raises OSError when the kernel
    refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    account = pwd.getpwnam(ACCOUNT)
    _check(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = _Header(_LINUX_CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)(_Data(bit, bit, bit), _Data(0, 0, 0))
    _check(libc.capset(ctypes.byref(header), data), "keep CAP_DAC_OVERRIDE")
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0), "pass CAP_DAC_OVERRIDE on")
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "refuse new privileges")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"cannot {what}: {os.strerror(ctypes.get_errno())}")


def main(arguments: list[str]) -> None:
    death_signal, *command = arguments
    parent = os.getppid()
    if os.geteuid() == 0:
        become_nobody()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
