"""The image's Valkey keeps what the stack's does: both lists of options say the same."""

from pathlib import Path

from headrace_stack.components import valkey
from headrace_stack.ports import Ports
from headrace_stack.settings import StackSettings, checkout_of_this_file

CHECKOUT = checkout_of_this_file()
# Where it listens and writes, and what only an installation has.
OWN = {"bind", "port", "dir", "daemonize", "include"}


def test_the_image_and_the_stack_start_valkey_with_the_same_options(tmp_path: Path):
    lines = (CHECKOUT / "deploy/stores/valkey.conf").read_text().splitlines()
    image = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    words = valkey.component(StackSettings(CHECKOUT, tmp_path, Ports(8080))).command[1:]
    stack = {name.removeprefix("--"): value or '""' for name, value in zip(words[::2], words[1::2], strict=True)}
    assert {name: value for name, value in image.items() if name not in OWN} == {
        name: value for name, value in stack.items() if name not in OWN
    }
