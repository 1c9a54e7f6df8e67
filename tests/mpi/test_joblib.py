"""joblib's backend: what `Parallel` gives by itself, it gives on the ranks."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp.futures import MPIExecutor
from tests.mpi.laws import still_works, together
from tests.mpi.test_executor import fails, square

WORLD = MPI.COMM_WORLD
joblib: Any = import_module("joblib")  # it has no types
delayed = joblib.delayed


def squares() -> Any:
    return [joblib.Parallel()(delayed(square)(x) for x in range(300)),
            joblib.Parallel(n_jobs=2, batch_size=7)(delayed(square)(x) for x in range(30)),
            joblib.Parallel()([])]  # fmt: skip


def lambdas() -> Any:
    return joblib.Parallel()(delayed(lambda x, y: x - y)(x, y=1) for x in range(20))


def generators() -> Any:
    ordered = joblib.Parallel(return_as="generator")(delayed(square)(x) for x in range(40))
    any_order = joblib.Parallel(return_as="generator_unordered")
    return [*ordered], sorted(any_order(delayed(square)(x) for x in range(40)))


def inner(n: int) -> int:
    return sum(joblib.Parallel(n_jobs=2)(delayed(square)(x) for x in range(n)))


def nested() -> Any:
    return joblib.Parallel()(delayed(inner)(n) for n in range(8))


def error() -> Any:
    joblib.Parallel()(delayed(fails)("item", x) for x in range(1))


def grid_search() -> Any:
    choice: Any = import_module("sklearn.model_selection")
    machine: Any = import_module("sklearn.svm").SVC()
    flowers = import_module("sklearn.datasets").load_iris(return_X_y=True)
    search = choice.GridSearchCV(machine, {"C": [0.1, 1, 10], "gamma": [0.1, 1]}, n_jobs=-1)
    search.fit(*flowers)
    return search.best_params_, search.cv_results_["mean_test_score"].tolist()


def outcome(program: Callable[[], Any]) -> Any:
    try:
        return program()
    except Exception as exc:
        return type(exc), exc.args


@pytest.mark.parametrize("program", [squares, lambdas, generators, nested, error, grid_search],
                         ids=lambda program: str(program.__name__))  # fmt: skip
def test_parallel_gives_the_same(program: Callable[[], Any]) -> None:
    if program is grid_search and WORLD.size > 2:
        return  # scikit-learn is dear to import, on every rank
    mpicomp.register_joblib()
    told = ""
    with MPIExecutor() as executor:
        if executor is not None:
            with joblib.parallel_config("sequential"):
                expected = outcome(program)
            with joblib.parallel_config("mpicomp"):
                got = outcome(program)
            if got != expected:
                told = f"expected {expected!r:.1000}\ngot {got!r:.1000}"
    together(not told, told)
    still_works()


def test_without_ranks_that_serve_it_says_what_to_write() -> None:
    mpicomp.register_joblib()
    with joblib.parallel_config("mpicomp"):
        if WORLD.size > 1:
            with pytest.raises(RuntimeError, match="with MPIExecutor"):
                joblib.Parallel()(delayed(square)(x) for x in range(3))
        else:
            assert joblib.Parallel()(delayed(square)(x) for x in range(3)) == [0, 1, 4]
    still_works()
