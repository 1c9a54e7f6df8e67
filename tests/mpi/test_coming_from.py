"""docs/coming-from.md is true: what stands on the right runs, and gives what stands on the left."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing.pool import ThreadPool
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import Pool, futures
from tests.launch import ROOT
from tests.mpi.laws import still_works, together

WORLD = MPI.COMM_WORLD
CODE = re.compile(r"`([^`]+)`")
# what the standard library's threads, and joblib's, can run as well
PEERS = re.compile(
    r"pool\.\w*map\w*\(f, (xs|pairs)|pool\.apply|ex\.(submit|map\(f, xs, c)|Parallel\(|CV\("
)
NO_PYTHON = re.compile(r"(pip install|python|mpiexec|srun)\b")
NOT_RUN = {"serve()"}  # it ends with the program: test_executor
joblib: Any = import_module("joblib")  # it has no types


class Line(NamedTuple):
    """One line of a table: the code on its left, and that on its right."""

    there: list[str]
    here: list[str]
    same: bool


def read() -> dict[str, list[Line]]:
    """The tables of the page."""
    found: dict[str, list[Line]] = {}
    for part in (ROOT / "docs" / "coming-from.md").read_text().split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        rows = [row.strip("| ").split(" | ") for row in body.splitlines() if row.startswith("|")]
        found[title] = [
            Line(CODE.findall(there), CODE.findall(here), here.startswith("the same"))
            for there, here in rows[2:]
        ]
    return found


PAGE = read()


def f(x: int, y: int = 2) -> int:
    return int(x**y)


def g(y: int) -> bool:
    return y % 3 == 1


def load() -> int:
    return 2


def start() -> None:
    pass


def names(tmp_path: Path) -> dict[str, Any]:
    """What the code on the page speaks of."""
    given = {
        "f": f, "g": g, "op": add, "load": load, "start": start, "note": lambda _: None,
        "xs": [*range(10)], "tasks": [*range(10)], "pairs": [(2, 3), (3, 2)],
        "items": [("b", 1), ("a", 2), ("b", 3)], "lines": ["to be or", "not to be"],
        "array": np.arange(5.0), "comm": WORLD, "path": tmp_path / "kept", "sys": sys,
        "joblib": joblib, "delayed": joblib.delayed, "Parallel": joblib.Parallel,
    }  # fmt: skip
    return given | {name: getattr(mpicomp, name) for name in mpicomp.__all__} | {
        name: getattr(futures, name) for name in futures.__all__
    }


def learning() -> dict[str, Any]:
    """The same of scikit-learn."""
    flowers, marks = import_module("sklearn.datasets").load_iris(return_X_y=True)
    search = import_module("sklearn.model_selection").GridSearchCV
    model = import_module("sklearn.svm").SVC()
    grid = {"C": [0.1, 1]}
    return {"model": model, "grid": grid, "X": flowers, "y": marks, "GridSearchCV": search}


def runs(code: str, known: dict[str, Any]) -> Any:
    """The value of *code*, or of what it assigns; values that come one by one as a list."""
    if code.endswith(":"):
        exec(f"{code} pass", {**known})
        return None
    try:
        value = eval(code, known)
    except SyntaxError:
        before = {**known}
        exec(code, known)
        new = [name for name in known if known[name] is not before.get(name)]
        return known[new[0]] if len(new) == 1 else None
    if isinstance(value, Iterator):
        value = sorted(value) if "unordered" in code or "ordered=False" in code else [*value]
    if isinstance(value, futures.Future):
        value = value.result()
    return getattr(value, "best_params_", value)


def is_of_master(code: str) -> bool:
    """Whether it is for an open pool or executor, which the root has."""
    words = set(re.findall(r"\w+", code))
    return not code.startswith(("with MPIExecutor", "with Pool")) and bool(
        words & {"pool", "ex", "Parallel", "GridSearchCV", "parallel_config"}
    )


def code_of(title: str) -> Iterator[tuple[str, str | None]]:
    """All that is to be run here of a table, with what it has to equal."""
    for line in PAGE[title]:
        beside = line.there[0] if line.there else None
        for code in [*(line.there if line.same else ()), *line.here]:
            if not NO_PYTHON.match(code) and code not in NOT_RUN and code != "with":
                yield code, code if line.same and code in line.there else beside


TITLES = ["multiprocessing", "concurrent.futures", "joblib", "mpi4py.futures", "mpi4py",
          "schwimmbad", "jug", "dask", "MapReduce"]  # fmt: skip


def test_the_page_has_all_tables() -> None:
    assert list(PAGE) == TITLES


@pytest.mark.filterwarnings("ignore::mpicomp.SideEffectWarning")
@pytest.mark.parametrize("title", TITLES)
def test_what_stands_on_the_right_runs(title: str, tmp_path: Path) -> None:
    known = names(Path(WORLD.bcast(str(tmp_path))))
    if title == "joblib":
        known |= learning()
    told: list[str] = []
    for code, beside in code_of(title):
        if not is_of_master(code):
            got = compared(code, None if WORLD.rank else beside, known)
            together(not got, got)
    if title in ("multiprocessing", "schwimmbad"):
        with Pool() as pool:
            if pool.is_master():
                told = in_master(title, known | {"pool": pool})
            else:
                pool.wait()
    else:
        mpicomp.register_joblib()
        with futures.MPIExecutor() as ex:
            if ex is not None:
                told = in_master(title, known | {"ex": ex})
    together(not told, "\n".join(told))
    still_works()


def in_master(title: str, known: dict[str, Any]) -> list[str]:
    found = []
    for code, beside in code_of(title):
        if not is_of_master(code):
            continue
        if "Parallel(" in code or "GridSearchCV(" in code:
            with joblib.parallel_config("mpicomp"):
                found.append(compared(code, beside, known))
        else:
            found.append(compared(code, beside, known))
    return [text for text in found if text]


def compared(code: str, beside: str | None, known: dict[str, Any]) -> str:
    """Nothing when *code* runs and gives what *beside* does, where the latter can be run."""
    try:
        got = runs(code, known)
    except Exception:
        return f"{code}\n{traceback.format_exc()}"
    if beside is None or not PEERS.search(beside):
        return ""
    threads = joblib.parallel_config("threading")  # processes could not be started by a rank
    with ThreadPool(2) as pool, ThreadPoolExecutor(2) as ex, threads:
        expected = runs(beside, {**known, "pool": pool, "ex": ex})
    return "" if got == expected else f"{code}\ngave {got!r}\nbut {beside} gives {expected!r}"
