"""No option is silently left out: each verb does what it says, or refuses it with a letter."""

from __future__ import annotations

import itertools
import operator
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import OptionError, SideEffectError, Stopped, item_comm, state
from mpicomp.journal.stores import MemoryStore
from tests.mpi.laws import still_works, together

WORLD = MPI.COMM_WORLD
N = 12
Item = Callable[[int], int]


def of_pairs(verb: Callable[..., Any], item: Item, **said: Any) -> Any:
    return verb(((x % 3, item(x)) for x in range(N)), **said)


def of_values(verb: Callable[..., Any], item: Item, **said: Any) -> Any:
    return verb((item(x) for x in range(N)), **said)


def of_tests(verb: Callable[..., Any], item: Item, **said: Any) -> Any:
    return verb(((item(x) < 0) is not (verb is mpicomp.pall) for x in range(N)), **said)


def iterated(gen: Any, **said: Any) -> list[Any]:
    return [*mpicomp.piter(gen, **said)]


VERBS: dict[str, Callable[..., Any]] = {
    **{name: partial(of_values, getattr(mpicomp, name))
       for name in ("plist", "pset", "psum", "parray", "pmin", "pmax", "pfor", "pcount")},
    **{name: partial(of_pairs, getattr(mpicomp, name)) for name in ("pdict", "pgroup")},
    **{name: partial(of_tests, getattr(mpicomp, name)) for name in ("pany", "pall")},
    "preduce_by_key": partial(of_pairs, partial(mpicomp.preduce_by_key, operator.add)),
    "preduce": partial(of_values, partial(mpicomp.preduce, operator.add)),
    "pmap": lambda item, **said: mpicomp.pmap(item, range(N), **said),
    "piter": partial(of_values, iterated),
}  # fmt: skip


def same(x: int) -> int:
    return x


def late(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x


def noted(sees: Callable[[], Any]) -> tuple[Item, list[Any]]:
    """An item, and what its calls on this rank have seen."""
    seen: list[Any] = []

    def item(x: int) -> int:
        seen.append(sees())
        return x

    return item, seen


def everyones(seen: list[Any]) -> list[Any]:
    return [each for part in WORLD.allgather(seen) for each in part]


def setup(call: Callable[..., Any]) -> bool:
    item, seen = noted(state)
    call(item, setup=lambda: "made", effects="ignore")
    return {*everyones(seen)} == {"made"}


def ranks_per_item(call: Callable[..., Any]) -> bool:
    item, seen = noted(lambda: item_comm().size)
    call(item, ranks_per_item=WORLD.size, effects="ignore")
    return {*everyones(seen)} == {WORLD.size}


def schedule(call: Callable[..., Any]) -> bool:
    seen: list[int] = []

    def item(x: int) -> int:
        seen.append(x)
        return x

    call(item, schedule="static,2", effects="ignore")
    return call is VERBS["piter"] or all(x // 2 % WORLD.size == WORLD.rank for x in seen)


def dispatch(call: Callable[..., Any]) -> bool:
    item, seen = noted(time.time)
    call(item, schedule="dynamic", dispatch="master-only", effects="ignore")
    return WORLD.rank > 0 or WORLD.size == 1 or not seen


def errors(call: Callable[..., Any]) -> bool:
    call(lambda x: x // (x - 5), errors="return")
    return True


def retries(call: Callable[..., Any]) -> bool:
    failed: list[int] = []

    def item(x: int) -> int:
        if x == 5 and not failed:
            failed.append(x)
            raise LookupError(x)
        return x

    call(item, retries=1, effects="ignore")
    return everyones(failed) == [5]


def timeout(call: Callable[..., Any]) -> bool:
    with pytest.raises(TimeoutError, match=r"timeout=0\.1"):
        call(lambda x: late(x, 100 * (x == 5)), timeout=0.1)
    return True


def cost(call: Callable[..., Any]) -> bool:
    with pytest.raises(OptionError, match=r"cost"):
        call(same, cost=[1.0] * (N + 1))
    return True


def effects(call: Callable[..., Any]) -> bool:
    item, seen = noted(time.time)
    with pytest.raises(SideEffectError):
        call(item, effects="raise")
    return not seen


def journal(call: Callable[..., Any]) -> bool:
    store = MemoryStore()
    call(same, journal=store)
    return len({*everyones([*store.keys()])}) == 2  # of the call, and which call it is


def check(call: Callable[..., Any]) -> bool:
    numbers = itertools.count()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        call(lambda x: 2 * x + next(numbers) % 2 * (x == 5), check="shuffle")
    return bool(told) == (WORLD.rank == 0)


def deadline(call: Callable[..., Any]) -> bool:
    with pytest.raises(Stopped):
        call(lambda x: late(x, 0.002), deadline=0)
    return True


OPTIONS = (setup, ranks_per_item, schedule, dispatch, errors, retries, timeout, cost, effects,
           journal, check, deadline)  # fmt: skip


@pytest.mark.filterwarnings("ignore::mpicomp.SideEffectWarning")
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.__name__)
def test_an_option_is_heard_or_refused(option: Callable[[Callable[..., Any]], bool]) -> None:
    for verb, call in VERBS.items():
        refused = ""
        try:
            heard = option(call)
        except OptionError as error:
            heard, refused = True, str(error)
        together(heard, f"{verb}: {option.__name__}= was left out")
        told = WORLD.allgather(refused)
        together(len({*told}) == 1, f"{verb}: {told}")
        assert not refused or option.__name__ in refused, refused
    still_works()


def test_progress_is_heard_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, call in VERBS.items():
        refused = False
        try:
            call(same, progress=True)
        except OptionError as error:
            refused = "no progress=" in str(error)
        shown = capsys.readouterr().err.startswith(f"{verb} at")
        together(refused or shown == (WORLD.rank == 0), f"{verb}: progress= was left out")
