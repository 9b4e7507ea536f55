"""Lays out programs of Debian packages in `.headrace/debian`: they are no part of the stack, the tests start them.

They have no wheel. Most need nothing beside them but libc; Chromium has the libraries that this machine lacks in a root
of its own. apt fetches and verifies the packages; nothing is installed, no script of a package runs, and root is not
needed. Where apt cannot fetch them that is said, and tests of them are skipped.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from headrace_stack.locks import exclusive

# By program, the packages that may hold it: Debian 12 has promtool in the package of Prometheus.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool", "prometheus"),
    "kustomize": ("kustomize",),
}
BROWSER = "chromium"
_BROWSERS = (BROWSER, "chromium-browser", "google-chrome")
_READY = "headrace-ready"
# apt tries each address that a mirror has; a machine without a network is to notice soon.
_APT = ("-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15")
_APT_S = 180
_LIBRARY = re.compile(r"\.so(\.|$)")
_LAUNCHER = """#!/bin/sh
LD_LIBRARY_PATH={libraries} FONTCONFIG_FILE={root}/fonts.conf exec {root}/usr/lib/chromium/chromium "$@"
"""
_FONTS = """<?xml version="1.0"?>
<fontconfig><dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{root}/fonts-cache</cachedir></fontconfig>
"""


def find(checkout: Path, program: str) -> Path | None:
    """Return where a program is: of this machine, or as laid out before; None when it is in neither place."""
    if installed := shutil.which(program):
        return Path(installed)
    laid_out = _folder(checkout) / program
    return laid_out if laid_out.exists() else None


def find_browser(checkout: Path) -> Path | None:
    """Return where a Chromium is, under whatever name; None when there is none."""
    return next((found for name in _BROWSERS if (found := find(checkout, name))), None)


def build(checkout: Path) -> list[str]:
    """Lay out what this machine has not; return the programs that are still missing, for a later try to get."""
    folder = _folder(checkout)
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_suffix(".lock")):
        if _missing(checkout) and shutil.which("apt-get") and shutil.which("dpkg-deb"):
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                _fetch_into(folder, checkout, Path(scratch))
        missing = _missing(checkout)
        if not missing:
            (folder / _READY).touch()
        return missing


def _missing(checkout: Path) -> list[str]:
    missing = [program for program in PROGRAMS if find(checkout, program) is None]
    return missing if find_browser(checkout) else [*missing, BROWSER]


def _fetch_into(folder: Path, checkout: Path, scratch: Path) -> None:
    """Fetch with the lists that the machine has, which may be none or old ones; what is left, with new lists."""
    for program in _missing(checkout):
        _fetch(folder, program, scratch, (), complaints=subprocess.DEVNULL)
    if still := _missing(checkout):
        lists = _own_lists(scratch)
        _apt(scratch, *lists, "update")
        for program in still:
            _fetch(folder, program, scratch, lists)


def _fetch(folder: Path, program: str, scratch: Path, lists: Sequence[str], *, complaints: int | None = None) -> None:
    """Take a program out of the first package that has it: a release may lack a package, or have it without."""
    if program == BROWSER:
        _fetch_browser(folder, scratch, lists, complaints=complaints)
        return
    for package in PROGRAMS[program]:
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            _apt(Path(place), *lists, "download", package, complaints=complaints)
            for archive in Path(place).glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", str(archive), place], check=True)
            unpacked = Path(place, "usr", "bin", program)
            if unpacked.exists():
                unpacked.rename(folder / program)
                return


def _fetch_browser(folder: Path, scratch: Path, lists: Sequence[str], *, complaints: int | None = None) -> None:
    """Unpack Chromium and the packages that it needs and this machine has not, and write what starts it."""
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        archives = Path(place, "archives")
        (archives / "partial").mkdir(parents=True)
        own = ("-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=true")
        asked = ("install", "--download-only", "--yes", "--no-install-recommends", BROWSER)
        _apt(Path(place), *lists, *own, *asked, complaints=complaints)
        root = folder / f"{BROWSER}-root"
        shutil.rmtree(root, ignore_errors=True)
        for archive in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(root)], check=True)
    if (root / "usr" / "lib" / BROWSER / BROWSER).exists():
        (root / "fonts.conf").write_text(_FONTS.format(root=root))
        launcher = folder / f"{BROWSER}.new"
        folders = {str(path.parent) for path in root.rglob("*") if _LIBRARY.search(path.name)}
        libraries = ":".join(sorted(folders))
        launcher.write_text(_LAUNCHER.format(root=shlex.quote(str(root)), libraries=shlex.quote(libraries)))
        launcher.chmod(0o755)
        launcher.rename(folder / BROWSER)


def _own_lists(scratch: Path) -> tuple[str, ...]:
    """Return options by which apt keeps its lists there: it needs no rights, and changes nothing of the machine."""
    lists, cache = scratch / "lists", scratch / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}")


def _apt(where: Path, *arguments: str, complaints: int | None = None) -> None:
    """Run apt-get there. What came of it is seen by who looks for the programs."""
    # Root's downloads go through a user of apt's own, who cannot write here.
    sandbox = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
    command = ["apt-get", *_APT, *sandbox, *arguments]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, cwd=where, timeout=_APT_S, check=False, stderr=complaints)


def _folder(checkout: Path) -> Path:
    return checkout / ".headrace" / "debian"


def main() -> None:
    if missing := build(Path.cwd()):
        names = ", ".join(missing)
        sys.stderr.write(
            f"\n*** NOT CHECKED: {names}. Debian has it, and apt cannot fetch it: tests that need it are SKIPPED.\n"
            "*** Install it, or run this again with a network.\n\n"
        )


if __name__ == "__main__":
    main()
