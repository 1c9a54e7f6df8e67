"""What a recorded call leaves: every item once, on the root alone, whatever the dispatch."""

from __future__ import annotations

from typing import Any

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import plist
from tests.mpi.laws import holds, together

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
