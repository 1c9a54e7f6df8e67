"""What a recorded call leaves: every item once, on the root alone, whatever the dispatch."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

import mpicomp
from mpicomp import piter, plist, psum
from mpicomp.record.timeline import Timeline
from tests.mpi.laws import holds, raised, still_works, together
from tests.mpi.test_piter import SHAPES, SOURCES, gives

WORLD = MPI.COMM_WORLD
WAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "counter"),
    ({"schedule": "static"}, "static"),
    ({"schedule": "static,3"}, "static"),
    ({"schedule": "guided"}, "counter"),
    ({"schedule": "auto"}, "counter"),
    ({"schedule": "dynamic", "dispatch": "master"}, "master"),
    ({"schedule": "dynamic", "dispatch": "master-only"}, "master"),
    ({"schedule": "awf-c"}, "master"),
]


@pytest.mark.parametrize(("way", "dispatch"), WAYS)
def test_every_item_is_in_it_once(way: dict[str, Any], dispatch: str) -> None:
    root = WORLD.size - 1
    with mpicomp.record() as rec:
        got = plist((x * x for x in range(100)), root=root, **way)
        holds(got, [x * x for x in range(100)], root)
    together(len(rec.calls) == (WORLD.rank == root), f"{rec.calls}")
    for call in rec.calls:
        assert (call.verb, call.n, len(call.hosts)) == ("plist", 100, WORLD.size)
        assert call.dispatch == (dispatch if WORLD.size > 1 else "serial")
        events = call.events
        items = [i for e in events for i in range(e["start"], e["stop"], e["step"])]
        assert sorted(items) == list(range(100))
        assert all(0 <= e["begin"] <= e["end"] for e in events if e["rank"] == root)
        assert str(rec.summary())


def test_what_was_chosen_is_said_with_the_reason() -> None:
    def reason(**way: Any) -> str:
        with mpicomp.record() as rec:
            plist((x * x for x in range(500)), **way)
        told = [call.reason for call in rec.calls]
        together(all(f": {text}" in str(rec.summary()) for text in told), f"{told}")
        return str(WORLD.bcast(told[0] if told else None))

    if WORLD.size == 1:
        assert reason() == "one rank"
        return
    known, *chosen = reason().split("; ")
    assert known == "the number of items is known"
    assert chosen[0].startswith(("an item takes ", "the other ranks had taken all"))
    assert reason(schedule="static") == "the schedule says beforehand who takes what"
    assert reason(schedule="af") == "the schedule adapts to measured times"
    assert reason(dispatch="master") == "as asked for"
    assert reason(dispatch="master-only") == "as asked for: the root only hands out"
    assert "; cost= was given: " in reason(cost=range(500))


def test_a_root_that_only_hands_out_computes_nothing() -> None:
    with mpicomp.record() as rec:
        got = plist((x for x in range(50)), schedule="dynamic", dispatch="master-only")
        holds(got, list(range(50)))
    who = {int(rank) for call in rec.calls for rank in call.events["rank"]}
    together(WORLD.size == 1 or 0 not in who, f"{who}")


def test_a_stream_is_recorded_too() -> None:
    with mpicomp.record() as rec:
        holds(plist(x for x in (x for x in range(50))), list(range(50)))
    way = ("master", "the source is a stream") if WORLD.size > 1 else ("serial", "one rank")
    told = [(call.n, call.dispatch, call.reason) for call in rec.calls]
    together(told in ([], [(50, *way)]), f"{told}")


def test_nothing_is_kept_outside() -> None:
    with mpicomp.record() as rec:
        pass
    holds(plist(x for x in range(9)), list(range(9)))
    assert not rec.calls


def items_of(call: Timeline) -> list[int]:
    return sorted(i for e in call.events for i in range(e["start"], e["stop"], e["step"]))


@settings(max_examples=25)
@given(
    source=st.sampled_from(sorted(SOURCES)),
    shape=st.sampled_from(sorted(SHAPES)),
    n=st.integers(0, 60),
    schedule=st.sampled_from(["auto", "dynamic,3", "guided", "af"]),
    dispatch=st.sampled_from([None, "master", "master-only"]),
    ordered=st.booleans(),
    own_errors=st.booleans(),
)
def test_an_iterator_is_recorded_when_it_is_over(
    source: str,
    shape: str,
    n: int,
    schedule: str,
    dispatch: str | None,
    ordered: bool,
    own_errors: bool,
) -> None:
    root = WORLD.size - 1
    way: dict[str, Any] = {"schedule": schedule, "dispatch": dispatch}
    if own_errors:
        way["errors"] = "return"
    with mpicomp.record() as rec:
        values = sorted(piter(SHAPES[shape](SOURCES[source](n)), ordered=ordered, root=root, **way))
    gives(values, sorted(SHAPES[shape](SOURCES[source](n))), root)
    together(len(rec.calls) == (WORLD.rank == root), f"{rec.calls}")
    for call in rec.calls:
        assert (call.verb, len(call.hosts)) == ("piter", WORLD.size)
        assert call.dispatch == ("master" if WORLD.size > 1 else "serial")
        assert items_of(call) == [*range(call.n)]
        # what a filter drops before it comes to a rank is no item
        assert call.n == n or (source == "filter" and call.n <= n)
        assert all(0 <= e["begin"] <= e["end"] for e in call.events if e["rank"] == root)
        if dispatch == "master-only" and WORLD.size > 1:
            assert root not in call.events["rank"]
        assert str(rec.summary())


def test_an_iterator_that_is_left_is_recorded_as_far_as_it_came() -> None:
    with mpicomp.record() as rec:
        for value in piter(x * x for x in itertools.count()):
            if value == 400:
                break
        still_works()
    first, *_ = [*rec.calls, None]
    together((first is None) == (WORLD.rank > 0), f"{rec.calls}")
    if first is not None:
        items = items_of(first)
        assert items[:21] == [*range(21)]
        assert len({*items}) == len(items)
        assert items[-1] < first.n


def test_an_iterator_that_fails_leaves_no_record() -> None:
    def fail(x: int) -> float:
        return 1 / (x - 7)

    with mpicomp.record() as rec:
        raised(lambda: [*piter(fail(x) for x in range(20))], ZeroDivisionError)
    together([call.verb for call in rec.calls] in ([], ["plist"]), f"{rec.calls}")


def test_one_that_is_over_after_the_block_leaves_none() -> None:
    with mpicomp.record() as rec:
        values = piter(x for x in range(20))
    gives([*values], [*range(20)])
    assert not rec.calls


def test_what_items_call_is_their_own() -> None:
    def total(x: int) -> int | None:
        found: int | None = psum(min(y, 1) for y in range(x))
        return found

    due = [max(0, x - 1) for x in range(30)]
    with mpicomp.record() as rec:
        holds(plist(total(x) for x in range(30)), due)
        gives([*piter(total(x) for x in range(30))], due)
        gives([*piter((total(x) for x in range(30)), setup=dict)], due)
    verbs = [call.verb for call in rec.calls]
    together(verbs == ["plist", "piter", "piter"] * (WORLD.rank == 0), f"{verbs}")
