"""What is public: there once, documented, and its examples are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import mpicomp

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(mpicomp.__path__, "mpicomp.")
    if not found.name.endswith("__main__")  # it would run
)


def test_each_public_name_is_exported_once() -> None:
    names = list(mpicomp.__all__)
    assert len(set(names)) == len(names)
    objects = [getattr(mpicomp, name) for name in names]
    assert len({id(it) for it in objects}) == len(objects), "one thing under two names"


def test_nothing_else_looks_public() -> None:
    seen = {name for name in dir(mpicomp) if not name.startswith("_")}
    modules = {name for name in seen if isinstance(getattr(mpicomp, name), ModuleType)}
    assert seen - modules - {"annotations", "TYPE_CHECKING"} == {
        name for name in mpicomp.__all__ if not name.startswith("_")
    }


@pytest.mark.parametrize("name", [n for n in mpicomp.__all__ if not n.startswith("_")])
def test_each_public_name_is_documented_with_an_example(name: str) -> None:
    text = getattr(mpicomp, name).__doc__ or ""
    assert "\n    Examples\n    --------\n" in text or "\nExamples\n--------\n" in text
    assert ">>> " in text


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    failed = doctest.testmod(importlib.import_module(name)).failed
    assert not failed, capsys.readouterr().out
