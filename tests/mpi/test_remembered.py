"""What ranks remember of a call's code (`mpicomp.engine.auto`) may cost time, and nothing else.

The same few comprehensions again and again, while all that was remembered of them turns false: how
many items there are, what they cost, how large their values are, which of them fail.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
from mpi4py import MPI

from mpicomp import pany, parray, pdict, plist, pset, psum
from tests.mpi.laws import exactly, together

WORLD = MPI.COMM_WORLD
CALLS = 60


class Bad(Exception):
    """What some items raise."""


class Mood(NamedTuple):
    """What the items are like in one call.

    Attributes
    ----------
    seconds : float
        What each costs.
    slow : int
        One that costs a hundred times as much, or none (-1).
    bad : frozenset of int
        Those that fail.
    wide : int
        How many numbers a value has.
    """

    seconds: float = 0.0
    slow: int = -1
    bad: frozenset[int] = frozenset()
    wide: int = 1


mood = Mood()


def item(x: int) -> int:
    wanted = mood.seconds * (100 if x == mood.slow else 1)
    until = time.perf_counter() + wanted
    while wanted and time.perf_counter() < until:
        pass
    if x in mood.bad:
        raise Bad(x)
    return 3 * x


VERBS: dict[str, tuple[Callable[..., Any], Callable[[Iterable[int]], Any]]] = {
    "plist": (
        lambda xs, **way: plist((item(x) for x in xs), **way),
        lambda xs: [item(x) for x in xs],
    ),
    "plist of few": (
        lambda xs, **way: plist((item(x) for x in xs if x % 7 == 0), **way),
        lambda xs: [item(x) for x in xs if x % 7 == 0],
    ),
    "plist of lists": (
        lambda xs, **way: plist(([item(x)] * mood.wide for x in xs), **way),
        lambda xs: [[item(x)] * mood.wide for x in xs],
    ),
    "psum": (
        lambda xs, **way: psum((item(x) for x in xs), **way),
        lambda xs: sum(item(x) for x in xs),
    ),
    "pset": (
        lambda xs, **way: pset((item(x) % 5 for x in xs), **way),
        lambda xs: {item(x) % 5 for x in xs},
    ),
    "pdict": (
        lambda xs, **way: pdict(((x % 9, item(x)) for x in xs), **way),
        lambda xs: {x % 9: item(x) for x in xs},
    ),
    "pany": (
        lambda xs, **way: pany((item(x) > 60 for x in xs), **way),
        lambda xs: any(item(x) > 60 for x in xs),
    ),
    "parray": (
        lambda xs, **way: parray((item(x) for x in xs), int, **way),
        lambda xs: [item(x) for x in xs],
    ),
}


def drawn(draw: random.Random) -> tuple[Mood, Sequence[int], dict[str, Any]]:
    """One call: the same on every rank."""
    n = draw.choice([0, 1, 2, 20, 20, 20, 21, draw.randrange(50), draw.randrange(500)])
    bad = draw.sample(range(n), min(n, draw.choice([0, 0, 0, 1, 2])))
    if draw.random() < 0.2:
        bad = [0]
    feels = Mood(
        draw.choice([0.0, 0.0, 0.0, 1e-6, 2e-5]), draw.randrange(-1, n or 1), frozenset(bad),
        draw.choice([1, 1, 100]),
    )  # fmt: skip
    way: dict[str, Any] = {}
    if draw.random() < 0.2:
        way["schedule"] = draw.choice(["static", "dynamic,3", "guided", "af"])
    if draw.random() < 0.2:
        way["root"] = draw.choice([None, WORLD.size - 1])
    return feels, draw.choice([range(n), [*range(n)]]), way


def outcome(call: Callable[[], Any]) -> tuple[bool, Any]:
    """Whether it has raised, and what."""
    try:
        value = call()
    except Bad as error:
        return True, error.args
    return False, exactly(value.tolist() if hasattr(value, "tolist") else value)


@pytest.mark.parametrize("verb", VERBS)
def test_calls_that_are_never_what_is_remembered_of_them(verb: str) -> None:
    global mood
    parallel, serial = VERBS[verb]
    draw = random.Random(verb)
    for _ in range(CALLS):
        feels, xs, way = drawn(draw)
        mood = feels._replace(seconds=0.0)
        due = outcome(partial(serial, xs))
        if not due[0] and way.get("root", 0) not in (None, WORLD.rank):
            due = False, exactly(None)
        mood = feels
        got = outcome(partial(parallel, xs, **way))
        mood = Mood()
        together(got == due, f"{feels} {xs!r:.80} {way}: {got!r:.300}")
