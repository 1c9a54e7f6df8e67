"""What keeps the house readable: short modules and functions, reasons, and a map that is true."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpicomp
from tests.launch import ROOT

PACKAGE = sorted((ROOT / "mpicomp").rglob("*.py"))
ALL = sorted([*PACKAGE, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
DESIGN = (ROOT / "docs" / "design.md").read_text()

LINES = 350
LONGER = {
    "mpicomp/plan/dispatcher.py": 425,  # a third of it is text
}
CODE = 50  # lines of a function, without its docstring
LARGER = {"mpicomp/fronts/joblib.py: _backend"}  # a class that can only be made where joblib is


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in PACKAGE}
    long = {name: n for name, n in lines.items() if n > LONGER.get(name, LINES)}
    assert not long, "does it have two jobs?"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and function.body[1:] else None
    start = function.lineno if first is None else first.lineno
    return (function.end_lineno or start) - start + 1


def test_functions_are_short() -> None:
    lines = {
        f"{name_of(path)}: {each.name}": lines_of_code(each)
        for path in PACKAGE
        for each in functions(ast.parse(path.read_text()))
    }
    long = {name: n for name, n in lines.items() if n > CODE}
    assert long.keys() == LARGER


def comments(path: Path) -> Iterator[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return (token for token in tokens if token.type == tokenize.COMMENT)


def test_each_exception_to_the_checks_has_a_reason() -> None:
    asked, reason = re.compile("# (type: ignore|noqa|pragma: no)"), re.compile(r".+\S  ?# \S")
    bare = [
        f"{name_of(path)}:{comment.start[0]} {comment.string}"
        for path in ALL
        for comment in comments(path)
        if asked.match(comment.string) and not reason.match(comment.string)
    ]
    assert not bare, "write behind it why: # noqa: F401  # ..."


def test_the_map_names_only_what_is_there() -> None:
    named = set(re.findall(r"[\w/]+\.py\b", DESIGN)) - {"script.py", "tests/house/test_layers.py"}
    files = [name_of(path) for path in PACKAGE]
    assert not {name for name in named if not any(f"/{name}" in f"/{file}" for file in files)}


def test_the_map_names_all_rooms() -> None:
    table = DESIGN.partition("| room | job |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([\w/.]+)`", table))
    rooms = {
        path.name if path.is_file() else f"{path.name}/"
        for path in (ROOT / "mpicomp").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert not {room for room in rooms if not room.startswith("_")} - named


MADE = {mpicomp.Distributed, mpicomp.Part, mpicomp.Record, mpicomp.SharedCounter, mpicomp.World,
        mpicomp.Outcome}  # fmt: skip
"""What users are given, and do not make; as errors."""


def documented(text: str, section: str) -> set[str]:
    """Names that a section of a numpydoc text explains."""
    lines = inspect.cleandoc(text).splitlines()
    at = next((i for i, line in enumerate(lines) if line == section), None)
    if at is None:
        return set()
    names: set[str] = set()
    for line, below in zip(lines[at + 2 :], [*lines[at + 3 :], ""], strict=True):
        if re.fullmatch("-+", below):
            break
        if line and not line.startswith(" "):
            names |= {name.strip(" *") for name in line.partition(" : ")[0].split(",")}
    return names


@pytest.mark.parametrize("name", [n for n in mpicomp.__all__ if not n.startswith("_")])
def test_each_parameter_of_a_public_name_is_explained(name: str) -> None:
    public = getattr(mpicomp, name)
    if isinstance(public, type) and (public in MADE or issubclass(public, BaseException)):
        return
    each = inspect.signature(public).parameters.values()
    parameters = {each.name for each in each if each.kind != each.VAR_KEYWORD}
    assert not parameters - documented(public.__doc__ or "", "Parameters")
