"""What people paste from a page reaches their stack, wherever its front door listens."""

import re
import subprocess

import pytest

from tests.kit.deployment.topology import CHECKOUT
from tests.kit.rows import each

FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
CALLING = [CHECKOUT / "README.md", CHECKOUT / "docs" / "calling-models.md"]


@each("page", PAGES)
def test_no_block_to_paste_has_the_default_port_written_out(page):
    blocks = FENCED.findall(page.read_text(encoding="utf-8"))
    assert [block for block in blocks if re.search(r"(127\.0\.0\.1|localhost):8080", block)] == []


@pytest.mark.parametrize("page", CALLING, ids=lambda page: page.name)
@pytest.mark.parametrize(("given", "port"), [({}, "8080"), ({"HEADRACE_BASE_PORT": "9080"}, "9080")])
def test_the_address_is_set_once_and_follows_the_base_port(page, given, port):
    (line,) = re.findall(r"^export .*HEADRACE_ADDRESS=.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    told = subprocess.run(
        ["bash", "-c", f'{line}; echo "$HEADRACE_ADDRESS"'], env=given, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"127.0.0.1:{port}\n"
