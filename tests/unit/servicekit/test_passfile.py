"""Which line of a `.pgpass` counts."""

from pathlib import Path

import pytest
from headrace_servicekit.postgres.passfile import password_for

URL = "postgresql://headrace@db.example:6432/registry"


@pytest.mark.parametrize(
    ("lines", "password"),
    [
        pytest.param("db.example:6432:registry:headrace:one", "one", id="exact"),
        pytest.param("*:*:*:*:any", "any", id="stars"),
        pytest.param("*:*:router:headrace:no\n*:*:registry:headrace:yes", "yes", id="the first that fits"),
        pytest.param("# *:*:*:*:no\n\n*:*:*:headrace:yes", "yes", id="comments and empty lines"),
        pytest.param(r"*:*:*:headrace:a\:b\\c", r"a:b\c", id="escapes"),
        pytest.param(r"*:*:*:headrace:a:b", "a:b", id="a colon in the last field"),
        pytest.param("*:5432:*:headrace:no", None, id="another port"),
        pytest.param("*:*:*:somebody:no", None, id="another user"),
        pytest.param("headrace:no", None, id="another format"),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_password_of_the_first_line_that_fits(tmp_path: Path, lines: str, password: str | None):
    passfile = tmp_path / "pgpass"
    passfile.write_text(lines)
    assert password_for(URL, passfile) == password


def test_the_port_of_postgresql_when_the_url_has_none(tmp_path: Path):
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:5432:*:*:usual\n")
    assert password_for("postgresql://headrace@db.example/registry", passfile) == "usual"


def test_a_file_that_a_group_may_read_is_read(tmp_path: Path):
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:mounted\n")
    passfile.chmod(0o440)
    assert password_for(URL, passfile) == "mounted"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        password_for(URL, tmp_path / "absent")
