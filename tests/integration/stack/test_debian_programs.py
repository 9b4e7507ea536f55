"""Programs are taken out of Debian packages by a real apt, from a repository of the test's own, and never installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from headrace_stack import debian_programs
from headrace_stack.debian_programs import BROWSER, PROGRAMS

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt here")
# Where apt and what it runs are, without the programs that this machine may have.
SYSTEM = ("apt-get", "dpkg-deb", "dpkg", "tar", "sh")


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a machine that has no program of those but apt's; return the folder where its programs are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SYSTEM:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A flat repository that apt is told of, which it has never read."""
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.fixture
def apt(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources, configuration, lists = tmp_path / "sources.list", tmp_path / "apt.conf", tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    installed = tmp_path / "status"
    installed.touch()
    sources.write_text(f"deb [trusted=yes] copy:{repository} ./\n")
    told = {
        "Etc::sourcelist": sources,
        "Etc::sourceparts": "/dev/null",
        "State::lists": lists,
        "State::status": installed,
    }
    configuration.write_text("".join(f'Dir::{name} "{value}";\n' for name, value in told.items()))
    monkeypatch.setenv("APT_CONFIG", str(configuration))


@needs_apt
@pytest.mark.usefixtures("apt", "no_programs")
def test_each_program_comes_from_the_first_package_that_has_it(tmp_path: Path, repository: Path):
    # As in Debian 12: promtool is in the package of Prometheus, and there is no kustomize.
    publish(repository, {"prometheus": ("prometheus", "promtool")})
    assert debian_programs.build(tmp_path) == ["kustomize", BROWSER]
    laid_out = debian_programs.find(tmp_path, "promtool")
    assert laid_out is not None
    assert subprocess.check_output([laid_out], text=True) == "promtool of prometheus\n"
    assert not (tmp_path / ".headrace" / "debian" / "headrace-ready").exists()

    publish(repository, {"prometheus": ("prometheus",), "kustomize": ("kustomize",)}, browser=True)
    assert debian_programs.build(tmp_path) == []
    assert (tmp_path / ".headrace" / "debian" / "headrace-ready").exists()
    names = {path.name for path in (tmp_path / ".headrace" / "debian").iterdir()}
    assert names == {*PROGRAMS, BROWSER, f"{BROWSER}-root", "headrace-ready"}


@needs_apt
@pytest.mark.usefixtures("apt", "no_programs")
def test_the_browser_comes_with_the_libraries_that_the_machine_lacks(tmp_path: Path, repository: Path):
    publish(repository, {}, browser=True)
    debian_programs.build(tmp_path)
    laid_out = debian_programs.find_browser(tmp_path)
    assert laid_out is not None
    told = subprocess.check_output([laid_out, "--version"], text=True).splitlines()
    root = laid_out.with_name(f"{BROWSER}-root")
    assert told == [f"{root}/usr/lib/test", f"{root}/fonts.conf", "--version"]


@pytest.mark.usefixtures("apt")
def test_what_the_machine_has_is_taken_as_it_is(tmp_path: Path, no_programs: Path):
    for program in (*PROGRAMS, "google-chrome"):
        (no_programs / program).write_text("#!/bin/sh\n")
        (no_programs / program).chmod(0o755)
    assert debian_programs.build(tmp_path) == []
    assert debian_programs.find(tmp_path, "kustomize") == no_programs / "kustomize"


def test_without_apt_it_says_what_is_not_checked_and_fails_nobody(
    tmp_path: Path, no_programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for path in no_programs.iterdir():
        path.unlink()
    monkeypatch.chdir(tmp_path)
    debian_programs.main()
    assert f"NOT CHECKED: {', '.join((*PROGRAMS, BROWSER))}." in capsys.readouterr().err
    assert debian_programs.find(tmp_path, "promtool") is None


def publish(repository: Path, packages: dict[str, tuple[str, ...]], *, browser: bool = False) -> None:
    """Make packages with these programs, and the list of them. browser: also one with a library in another package."""
    files = {
        package: {f"usr/bin/{program}": f"#!/bin/sh\necho {program} of {package}\n" for program in programs}
        for package, programs in packages.items()
    }
    depends = {}
    if browser:
        tells = '#!/bin/sh\nfor told in "$LD_LIBRARY_PATH" "$FONTCONFIG_FILE" "$1"; do echo "$told"; done\n'
        files |= {BROWSER: {f"usr/lib/{BROWSER}/{BROWSER}": tells}, "libtest1": {"usr/lib/test/libtest.so.1": ""}}
        depends = {BROWSER: "Depends: libtest1\n"}
    entries = [package_of(repository, name, content, depends.get(name, "")) for name, content in files.items()]
    (repository / "Packages").write_text("\n".join(entries))


def package_of(repository: Path, package: str, files: dict[str, str], depends: str) -> str:
    """Make a package of these files; return its entry in the list."""
    root = repository / f"{package}-root"
    shutil.rmtree(root, ignore_errors=True)
    (root / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {package}\nVersion: 1\nArchitecture: all\n{depends}Maintainer: tests\nDescription: for a test\n"
    )
    (root / "DEBIAN" / "control").write_text(control)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    archive = repository / f"{package}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, archive], check=True, capture_output=True)
    content = archive.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return f"{control}Filename: ./{archive.name}\nSize: {len(content)}\nSHA256: {digest}\n"
