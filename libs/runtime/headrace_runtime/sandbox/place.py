"""Isolates a process: no network, a root with only the readable files, a user id of which it is the only process.

As root it creates the namespaces and changes the user; otherwise it uses a user namespace. A kernel or a container may
refuse each step: then the system call filter and Landlock confine it alone. Standard library only; Linux.
"""

import ctypes
import os
import struct

_NEW_MOUNTS, _NEW_IPC, _NEW_USERS, _NEW_NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x40000000
_NO_SUID, _NO_DEVICES, _BIND, _RECURSIVE, _PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_DETACH = 2
_MOUNT_SETATTR, _EVERYTHING_BELOW, _READ_ONLY_NO_SUID = 442, 0x8000, 0x3
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_KEEPCAPS = 8
_CAPABILITIES_3 = 0x20080522
# To read other users' files (mounted read-only); the others let the parent process change the child's user, measure its
# memory and end it.
_DAC_READ_SEARCH = 2
_KILL, _SETGID, _SETUID, _SYS_PTRACE, _SYS_ADMIN = 5, 6, 7, 19, 21
_LINKS = 40


def take(libc, root, readable, user):
    """Isolate this process, which has one thread; return what was granted. It has no capabilities afterwards.

    root: an empty folder. readable: paths, recursively. user: its new user id.
    """
    granted = []
    privileged = all(_capabilities() >> one & 1 for one in (_KILL, _SETGID, _SETUID, _SYS_PTRACE, _SYS_ADMIN))
    if privileged and libc.unshare(_NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC) == 0:
        granted.append("no network")
    else:
        privileged = False
        ids = os.geteuid(), os.getegid()
        if libc.unshare(_NEW_USERS | _NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC) == 0:
            granted.append("no network")
            _stay_who_we_are(*ids)
    kept = 0
    if granted and _made(libc, root, readable):
        granted.append("own root")
        # Only here: elsewhere another user could not read what lies in folders of this one.
        if privileged and _became(libc, user):
            granted.append("own user")
            kept = 1 << _DAC_READ_SEARCH
    _keep_capabilities(libc, kept)
    return granted


def _capabilities():
    with open("/proc/self/status") as opened:
        return int(next(line for line in opened if line.startswith("CapEff:")).split()[1], 16)


def _stay_who_we_are(user, group):
    """Give the namespace its one user: who has none makes no files, those that folders are bound to among them."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as opened:
                opened.write(content)
        except OSError:
            return


def _made(libc, root, readable):
    """Make a root that has only these paths, and go there; return whether it is done."""
    try:
        binds, links = _layout(readable)
        _mount(libc, None, "/", None, _RECURSIVE | _PRIVATE)
        _mount(libc, "tmpfs", root, "tmpfs", _NO_SUID | _NO_DEVICES)
        for path in binds:
            target = root + path
            if os.path.isdir(path):
                os.makedirs(target, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
            _mount(libc, path, target, None, _BIND | _RECURSIVE)
        for path, target in links.items():
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.symlink(target, root + path)
        os.chdir(root)
        _done(libc, libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."))
        _done(libc, libc.umount2(b".", _DETACH))
        os.chdir("/")
    except (OSError, KeyError):
        return False
    # Nothing can be written there as it is: this is one more reason.
    attributes = struct.pack("=4Q", _READ_ONLY_NO_SUID, 0, 0, 0)
    libc.syscall(_MOUNT_SETATTR, -1, b"/", _EVERYTHING_BELOW, attributes, len(attributes))
    return True


def _layout(readable):
    """Return the paths to bind, none below another, and the links by which they are reached."""
    reals, links = set(), {}
    for path in readable:
        if os.path.exists(path):
            reals.add(_followed(os.path.abspath(path), links))
    binds = [path for path in sorted(reals) if not _below(path, reals)]
    return binds, {path: target for path, target in links.items() if not _below(path, reals)}


def _below(path, folders):
    parts = path.split("/")
    return any("/".join(parts[:size]) in folders for size in range(2, len(parts)))


def _followed(path, links):
    """Return where a path leads, and note the links on the way."""
    at, rest, seen = "", path.split("/")[1:], 0
    while rest:
        part = rest.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            at = os.path.dirname(at).rstrip("/")
            continue
        here = f"{at}/{part}"
        if not os.path.islink(here):
            at = here
            continue
        seen += 1
        if seen > _LINKS:
            raise OSError(f"{path}: too many links")
        links[here] = target = os.readlink(here)
        rest = target.split("/") + rest
        if target.startswith("/"):
            at = ""
    return at or "/"


def _became(libc, user):
    try:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:  # no such user in the namespace that this one is in
        return False
    return True


def _keep_capabilities(libc, kept):
    header = struct.pack("=Ii", _CAPABILITIES_3, 0)
    libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _mount(libc, source, target, kind, flags):
    encoded = [None if one is None else os.fsencode(one) for one in (source, target, kind)]
    _done(libc, libc.mount(*encoded, ctypes.c_ulong(flags), None))


def _done(libc, answer):
    if answer != 0:
        raise OSError(ctypes.get_errno(), "mount")
