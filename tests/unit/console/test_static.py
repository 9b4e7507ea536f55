"""The files that pages bring."""

import hashlib
import re
from pathlib import Path

from headrace_console.pages.markup import STATIC, asset

LISTED = dict(
    re.findall(r"^\| `([\w.-]+\.js)` \|.*\| `([0-9a-f]{64})` \|$", (STATIC / "VENDORED.md").read_text(), re.M)
)


def test_scripts_of_others_are_as_they_were_taken_from_npm():
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in LISTED} == LISTED
    assert {path.name for path in STATIC.glob("*.js")} - LISTED.keys() == {"console.js"}


def test_another_content_has_another_address():
    assert re.fullmatch(r"/console/static/console\.css\?[0-9a-f]{12}", asset("console.css"))


def test_no_template_has_a_script_or_a_style_of_its_own():
    templates = Path(STATIC).parent / "templates"
    for path in templates.glob("*.html"):
        # Our own sheet, in pages that are saved.
        text = path.read_text(encoding="utf-8").replace("<style>{{ stylesheet() }}</style>", "")
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|\|\s*safe|javascript:", text), path.name
