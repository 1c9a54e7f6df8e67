"""docs/bad-input.md is true: each row, on every rank; it has a row for every public argument."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

import mpicomp
from mpicomp.options import _TABLE
from tests.launch import ROOT
from tests.mpi.laws import still_works, together

ROW = re.compile(r"^\| `(?P<argument>[\w.]+)` \| `(?P<call>.+?)` \| `(?P<error>.+)` \|$", re.M)
# what users are given, and never make
GIVEN = {"Distributed", "Outcome", "Part", "Record", "SharedCounter", "World"}


class Row(NamedTuple):
    """One line of the table."""

    argument: str
    call: str
    error: str


ROWS = [Row(*found) for found in ROW.findall((ROOT / "docs" / "bad-input.md").read_text())]


def numbers() -> Iterator[int]:
    yield 1


def started() -> Iterator[int]:
    gen = (x for x in range(3))
    next(gen)
    return gen


async def ticks() -> AsyncIterator[int]:
    yield 1


NAMES: dict[str, Any] = {name: getattr(mpicomp, name) for name in mpicomp.__all__}
NAMES |= {"numbers": numbers, "started": started, "ticks": ticks}


def told(call: str) -> str:
    """The error that *call* raises, as the table has it."""
    try:
        value = eval(call, dict(NAMES))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return f"nothing: it gave {value!r}"


@pytest.mark.parametrize("kind", sorted({row.argument.partition(".")[0] for row in ROWS}))
def test_each_row_is_true_on_every_rank(kind: str) -> None:
    for row in ROWS:
        if row.argument.partition(".")[0] != kind:
            continue
        got = told(row.call)
        wanted = ".*".join(map(re.escape, row.error.split("…")))
        good = re.fullmatch(wanted, got) is not None
        together(good, f"{row.call}\nthe page says {row.error}\nthere was     {got}")
    still_works()


def arguments() -> set[str]:
    """All that a user can give to what is public."""
    found = {f"options.{name}" for name in _TABLE}
    for name in mpicomp.__all__:
        public = getattr(mpicomp, name)
        error = isinstance(public, type) and issubclass(public, BaseException)
        # a front answers as the package it stands in for, which has a documentation of its own
        front = getattr(public, "__module__", "").startswith("mpicomp.fronts")
        if name in GIVEN or error or front or not callable(public):
            continue
        for parameter in inspect.signature(public).parameters.values():
            if parameter.name != "options":  # the same everywhere: see above
                found.add(f"{name}.{parameter.name}")
    return found


def test_every_public_argument_has_a_row() -> None:
    missing = arguments() - {row.argument for row in ROWS}
    assert not missing, f"write rows into docs/bad-input.md for {sorted(missing)}"


def test_no_row_is_of_something_else() -> None:
    unknown = {row.argument for row in ROWS} - arguments() - {"scatter.options"}
    assert not unknown
    lines = (ROOT / "docs" / "bad-input.md").read_text().splitlines()
    assert len(ROWS) == sum(line.startswith("| `") for line in lines)
