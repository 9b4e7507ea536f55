"""Which requirements files say exactly what is installed."""

import pytest
from headrace_registry.decisions import requirements
from headrace_registry.decisions.requirements import Requirement, RequirementError
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

A, B = "a" * 64, "b" * 64

LOCKED = f"""\
# by uv pip compile
numpy==2.3.1 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via -r requirements.in
My_Package[fast] == 1!2.0.post1+cu12 ; python_version >= "3.11"  --hash=sha256:{A}  # why
"""


def test_a_locked_file_names_each_package_with_its_version_and_hashes():
    assert requirements.parse(LOCKED) == (
        Requirement("numpy", "2.3.1", (A, B)),
        Requirement("my-package", "1!2.0.post1+cu12", (A,)),
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "  # nothing"])
def test_a_file_without_packages_asks_for_nothing(text):
    assert requirements.parse(text) == ()


@each(
    "line,why",
    [
        ("numpy", "line 2: 'numpy' has no exact version: write numpy==version"),
        ("numpy>=2", "line 2: 'numpy' has no exact version"),
        ("numpy==2.*", "line 2: 'numpy' has no exact version"),
        ("numpy===2.0", "line 2: 'numpy' has no exact version"),
        ("numpy==2.0,!=2.1", "line 2: 'numpy' has no exact version"),
        ("numpy==2.0", "line 2: 'numpy' has no hash"),
        (f"numpy==2.0 --hash=md5:{A}", "line 2: a hash of 'numpy' is not sha256"),
        ("numpy==2.0 --hash=sha256:abc", "line 2: a hash of 'numpy' is not sha256"),
        (f"numpy==${{VERSION}} --hash=sha256:{A}", "line 2: 'numpy' has no exact version"),
        (f"numpy==2.0 --hash=sha256:{A} --global-option=x", "line 2: '--global-option=x' may not stand there"),
        (f"numpy @ https://x.example/numpy.whl --hash=sha256:{A}", "line 2: 'numpy' is asked for by an address"),
        ("git+https://x.example/numpy", "line 2: 'git' has no exact version|line 2: 'git' is asked for by an address"),
        ("./numpy.whl", "line 2: './numpy.whl' is no name of a package"),
        ("/etc/passwd", "line 2: '/etc/passwd' is no name of a package"),
        ("-r other.txt", "line 2: '-r' is an option"),
        ("-e .", "line 2: '-e' is an option"),
        ("--index-url https://x.example/simple", "line 2: '--index-url' is an option"),
        ("--extra-index-url=https://x.example", "line 2: '--extra-index-url=https://x.example' is an option"),
        (f"first==2 --hash=sha256:{A}", "line 2: 'first' is also in line 1"),
        # pip sees the end of a line there, and nothing to install or no hash.
        (f"numpy==2.0 \\ \n --hash=sha256:{A}", "line 2: a backslash continues a line as its last character only"),
        (f"numpy==2.0 --hash=sha256:{A} # x \\", "line 2: a backslash continues a line as its last character only"),
        (f"numpy==2.0 \\\n\t--hash=sha256:{A}", "line 2: 'numpy' has no exact version"),
        (f"numpy==2.0\t--hash=sha256:{A}", "line 2: 'numpy' has no exact version"),
        (f"numpy==2.0; python_version > '3' -e x --hash=sha256:{A}", "line 2: 'numpy' has no exact version"),
        (f"nümpy==2 --hash=sha256:{A}", "line 2: 'nümpy==2' is no name of a package"),
    ],
)
def test_a_line_that_does_not_say_exactly_what_to_install_is_refused_by_its_number(line, why):
    with pytest.raises(RequirementError, match=why.replace("'", ".").replace("$", ".")):
        requirements.parse(f"First==1 --hash=sha256:{A}\n{line}\n")


@given(st.text(max_size=200))
def test_any_text_is_either_understood_or_refused_by_a_line(text):
    problem = ""
    try:
        assert all(one.version and one.hashes for one in requirements.parse(text))
    except RequirementError as error:
        problem = str(error)
    assert problem == "" or problem.startswith("line ")
