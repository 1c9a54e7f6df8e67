"""Folders are layers: imports go down only, and only the wire knows MPI."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.launch import ROOT

# lowest first; a module may import from its own layer and from those before it
LAYERS = (
    {"_version", "errors"},
    {"plan"},
    {"journal"},
    {"options", "checks"},
    {"record"},
    {"wire"},
    {"engine"},
    {"calling", "supervise"},
    {"verbs", "reductions", "mapreduce", "loop", "parts", "common", "iterating"},
    {"fronts", "installed", "launch", "program", "bench", "doctor", "info", "slurm"},
    {"futures"},
    {"notebook"},
    {"__init__"},
    {"cli", "__main__"},
)

# these would make a decision hang on more than its arguments
IMPURE = {"mpi4py", "time", "threading", "random", "socket", "subprocess", "asyncio"}

PACKAGE = ROOT / "mpicomp"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))

each_module = pytest.mark.parametrize("path", MODULES, ids=str)


class Import(NamedTuple):
    """One imported module, or name in one."""

    name: str
    line: int
    runs: bool  # False: under ``if TYPE_CHECKING``, for annotations only


def imports(node: ast.AST, path: Path, runs: bool = True) -> Iterator[Import]:
    """All imports in *node*, those inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, runs)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{path}:{child.lineno}: write the import in full"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, runs)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from imports(ast.Module([statement], []), path, runs=False)
            for statement in child.orelse:
                yield from imports(ast.Module([statement], []), path, runs)
        else:
            yield from imports(child, path, runs)


def imports_of(path: Path) -> list[Import]:
    return list(imports(ast.parse((ROOT / path).read_text()), path))


def layer(module: str) -> int:
    """Place in LAYERS of ``mpicomp``, ``mpicomp.plan.schedule``, ..."""
    part = [*module.split("."), "__init__"][1]
    for place, names in enumerate(LAYERS):
        if part in names:
            return place
    # ``from mpicomp import plist``: a public name
    if part in public_names():
        return layer("mpicomp")
    raise AssertionError(f"{module} stands in no layer; write {part!r} into LAYERS")


def public_names() -> list[str]:
    import mpicomp

    return list(mpicomp.__all__)


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


@each_module
def test_imports_go_down(path: Path) -> None:
    mine = layer(module_name(path))
    upward = [
        f"{path}:{found.line} imports {found.name}"
        for found in imports_of(path)
        if found.name.split(".")[0] == "mpicomp" and layer(found.name) > mine
    ]
    assert not upward


@each_module
def test_only_the_wire_imports_mpi(path: Path) -> None:
    mpi = [found for found in imports_of(path) if found.name.split(".")[0] == "mpi4py"]
    if path.parts[1] != "wire":
        assert not [f"{path}:{found.line}" for found in mpi if found.runs]


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[1] == "plan"], ids=str)
def test_plans_depend_on_their_arguments_alone(path: Path) -> None:
    used = [found for found in imports_of(path) if found.name.split(".")[0] in IMPURE]
    assert not [f"{path}:{found.line} imports {found.name}" for found in used]
