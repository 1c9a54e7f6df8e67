"""Whether one rank should do it all: what items cost, against what it costs to get their values."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mpicomp.engine import auto
from mpicomp.engine.auto import Chooser, Memory
from mpicomp.engine.call import Call
from mpicomp.engine.claims import span_runs
from mpicomp.engine.collect import Listed
from mpicomp.options import chosen
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.spans import SpanSizer

HARDLY, MUCH = 1e-9, 1e-4  # seconds an item: less and more than a small value takes to be sent
SET_OUT, EACH = 5e-5, 2e-7  # seconds that sending takes at all, and for each small value


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending takes what it takes here on a good day, also where other programs run."""
    monkeypatch.setattr(auto, "_least_seconds", lambda sample: SET_OUT + EACH * len(sample))


def chooser_of(values: list[Any], decides: bool = True, root: Any = 0) -> Chooser:
    """That of a call which has computed *values*."""
    made = take_apart(eval("(x for x in range(10**6))"), "plist")  # new code: nothing is remembered
    call = Call("plist", made, Listed(), chosen({"root": root}))
    chooser = Chooser(call, decides, Memory(call))
    call.collector.take(range(len(values)), iter(values))
    return chooser


def sizer_of(items: int, cost: float) -> SpanSizer:
    sizer = SpanSizer(2)
    sizer.learn(items, items * cost)
    return sizer


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("many", [1, 2, 64, 1000])
def test_items_that_take_more_than_their_values_are_shared(many: int) -> None:
    chooser = chooser_of([*range(many)])
    assert not chooser.whole(sizer_of(many, MUCH), left=10**6)


@pytest.mark.usefixtures("steady")
def test_items_that_take_less_are_left_to_the_root() -> None:
    values = [*range(1000)]
    assert chooser_of(values).whole(sizer_of(1000, HARDLY), left=10**6)
    assert chooser_of(values, decides=False).rests(sizer_of(1000, HARDLY))
    assert not chooser_of(values, decides=False).whole(sizer_of(1000, HARDLY), left=10**6)
    assert not chooser_of(values).rests(sizer_of(1000, HARDLY))


@pytest.mark.usefixtures("steady")
def test_of_a_few_values_nobody_can_tell() -> None:
    """To send one takes mostly our own work: it would be taken for dear."""
    assert not chooser_of([1]).whole(sizer_of(1, 2e-7), left=10**6)


def test_large_values_show_it_at_once() -> None:
    assert chooser_of([[*range(10**6)]]).whole(sizer_of(1, MUCH), left=10)


@pytest.mark.usefixtures("steady")
def test_where_few_items_give_a_value_little_is_sent() -> None:
    chooser = chooser_of([*range(1000)])
    assert not chooser.whole(sizer_of(10**6, 5e-9), left=10**6)


def test_what_stays_is_not_sent() -> None:
    assert not chooser_of([*range(1000)], root="stay").whole(sizer_of(1000, HARDLY), left=10**6)


class Queue:
    """A `Counter` of two ranks, of whom the other has claimed *taken* items and does not go on."""

    group, heads, sizes = 0, (0,), (2,)

    def __init__(self, taken: int) -> None:
        self.at = taken

    def claim(self, amount: int) -> int:
        self.at += amount
        return self.at - amount


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("measured", [0, 1000], ids=["by what is remembered", "as measured here"])
def test_who_left_the_items_to_the_root_takes_them_when_it_does_not_go_on(measured: int) -> None:
    """It has met an item that fails, or one that is long; in no case does it take for ever."""
    chooser = chooser_of([*range(1000)], decides=False)
    chooser.rests(sizer_of(1000, HARDLY))  # so it is known what sending takes
    chooser._memory.keep(HARDLY)
    sizer = sizer_of(measured, HARDLY) if measured else SpanSizer(2)
    assert chooser.rests(sizer)
    queue: Any = Queue(taken=1)
    runs = [*span_runs(queue, range(100), sizer, chooser)]
    assert [i for run in runs for i in run] == [*range(1, 100)]


def test_values_that_cannot_be_sent_cost_nothing_here() -> None:
    """It is told when they are sent for good."""
    assert auto._least_seconds([threading.Lock()]) == 0.0
    assert auto._least_seconds([1, 2, 3]) > 0.0
