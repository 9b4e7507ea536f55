"""Which public methods the end-to-end tests call by name, as their code says it: without running anything.

A method counts as called where a test, or what it imports of the kit, names it (`stub.GetModel`, `"GetModel"`), calls
an operation of the SDK that uses it (`client.models.get(…)`), or runs a command that does (`headrace("jobs", "list")`).
Tests that send every method the same bad input name none.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import click
from headrace_client import client as sdk
from headrace_client.callers import Method
from headrace_client.cli import main
from headrace_client.installed import group_of, groups

ROOT = Path(__file__).parents[3]
_CLIENT_CALL = re.compile(r"\b[Cc]lient\.(\w+(?:\.\w+)?)")


def called(files: Iterable[Path], names: Iterable[str]) -> set[str]:
    """Return which of the methods are called by the code of files, and of what they import of the kit."""
    wanted, found = set(names), set[str]()
    for file in _with_imports(files):
        for word in _words(file):
            found |= {word} & wanted
            found |= _of_operation(word) & wanted
        for words in _runs(file):
            found |= _of_command(words) & wanted
    return found


def _with_imports(files: Iterable[Path]) -> set[Path]:
    """Return files, and what of the kit they import, and so on."""
    waiting, seen = list(files), set[Path]()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += _imported(file)
    return {file for file in seen if file.name != Path(__file__).name and file.parent.name != "hostile"}


def _imported(file: Path) -> list[Path]:
    """Return the modules of the kit that a file imports."""
    found: list[Path] = []
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.kit."):
            module = ROOT / (node.module or "").replace(".", "/")
            found += [module.with_suffix(".py"), *(module / f"{one.name}.py" for one in node.names)]
    return [one for one in found if one.exists()]


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _words(file: Path) -> Iterator[str]:
    """Yield the attributes that a file looks up, and its texts: definitions are no calls."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Attribute):
            yield node.attr
            if isinstance(node.value, ast.Attribute):
                yield f"{node.value.attr}.{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rpartition("/")[2]


def _runs(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the words of what may be commands: texts that follow each other in a call, a tuple or a list."""
    for node in ast.walk(_tree(file)):
        parts = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple | ast.List) else []
        words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        yield tuple(word for text in words for word in text.split())


@cache
def _of_operation(name: str) -> frozenset[str]:
    """Return the methods that an operation of the SDK uses, such as `predict` or `models.get`; none for other words."""
    group, _, method = name.rpartition(".")
    holder = sdk.Client if not group else group_of(group) if group in groups() else object
    operation = getattr(holder, method, None)
    return _methods_in(operation.operation) if isinstance(operation, Method) else frozenset()


@cache
def _of_command(words: tuple[str, ...]) -> frozenset[str]:
    """Return the methods that a command uses; none for words that are none."""
    command: click.Command | None = main
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    if command is None or isinstance(command, click.Group) or command.callback is None:
        return frozenset()
    source = inspect.getsource(inspect.unwrap(command.callback))
    module = inspect.getmodule(inspect.unwrap(command.callback))
    own = [one for name, one in vars(module).items() if inspect.isfunction(one) and re.search(rf"\b{name}\(", source)]
    source += "".join(inspect.getsource(one) for one in own)
    names = [*_CLIENT_CALL.findall(source), *_lent(inspect.unwrap(command.callback), source)]
    return frozenset(method for name in names for method in _of_operation(name))


def _lent(callback: Callable[..., object], source: str) -> Iterator[str]:
    """Yield the operations that a command was made with: `kind.methods(client).put_webhook(…)`."""
    for name, value in inspect.getclosurevars(callback).nonlocals.items():
        for method in re.findall(rf"\b{name}\.methods\(client\)\.(\w+)\(", source):
            yield f"{value.group}.{method}"


def _methods_in(operation: object, depth: int = 3) -> frozenset[str]:
    """Return the methods that a function uses, itself or through others of the operations."""
    source, module = inspect.getsource(operation), inspect.getmodule(operation)  # type: ignore[arg-type]
    found = set(re.findall(r"\b\w+\.(\w+)Response\b", source))
    if depth > 0:
        for name in set(re.findall(r"\b(?:\w+\.)?(\w+)\(", source)):
            inner = getattr(module, name, None)
            if inspect.isfunction(inner) and ".operations." in inner.__module__ and inner is not operation:
                found |= _methods_in(inner, depth - 1)
    return frozenset(found)
