"""Laws of a schedule of the user's own: it is asked for what a plan has, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp import plist
from mpicomp.errors import OptionError, ScheduleError
from mpicomp.options import Options
from mpicomp.plan.chunks import table
from mpicomp.plan.own import OwnPlan


class Backwards:
    """The chunks of another plan from the last to the first."""

    def __init__(self, name: str, n: int, p: int) -> None:
        self.n, self.p, self._plan = n, p, table(name, n, p)

    @property
    def nchunks(self) -> int:
        return self._plan.nchunks

    def span(self, k: int) -> tuple[int, int]:
        return self._plan.span(self.nchunks - 1 - k)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.span, range(self.nchunks))


names = st.sampled_from(["static", "dynamic,3", "guided", "trapezoid"])


@given(names, names, st.integers(0, 60), st.integers(1, 5))
def test_two_are_told_apart_by_their_chunks_and_by_nothing_else(
    one: str, other: str, n: int, p: int
) -> None:
    first, second = OwnPlan(Backwards(one, n, p)), OwnPlan(Backwards(other, n, p))
    assert str(first) == str(OwnPlan(Backwards(one, n, p)))  # no address, which ranks differ in
    assert "0x" not in str(first)
    assert (first.chunks == second.chunks) == (list(first.plan) == list(second.plan))


def test_of_a_million_chunks_the_first_are_compared() -> None:
    plan = OwnPlan(table("dynamic,1", 10**6, 2))
    assert plan.chunks == repr([(k, k + 1) for k in range(1000)])


@given(names, st.integers(0, 60), st.integers(1, 5), st.integers(0, 60), st.integers(1, 5))
def test_it_serves_the_call_that_it_was_made_for(
    name: str, n: int, p: int, items: int, ranks: int
) -> None:
    plan = Backwards(name, n, p)
    own = OwnPlan(plan)
    assert own.plan_for(n, p) is plan
    if (n, p) != (items, ranks):
        letter = f"a plan of {n} items on {p} ranks, and there are {items} items and {ranks} ranks"
        with pytest.raises(OptionError, match=letter):
            own.plan_for(items, ranks)


def test_it_says_nothing_beforehand() -> None:
    own = OwnPlan(Backwards("static", 10, 2))
    assert (own.kind, own.chunk) == ("table", None)
    with pytest.raises(ScheduleError, match=r'Backwards: 10 items in 2 chunks .*write "static"'):
        own.decomposition(10, 2)


def test_an_object_with_chunks_is_a_schedule_and_other_options_hear_of_it() -> None:
    plan: Any = Backwards("guided", 7, 1)
    assert plist((x * x for x in range(7)), schedule=plan) == [x * x for x in range(7)]
    chosen = Options({"schedule": plan})
    assert isinstance(chosen.schedule, OwnPlan)
    assert chosen.schedule.plan is plan
    with pytest.raises(OptionError, match=r"cost= says which items come first, and so does .*Back"):
        Options({"schedule": plan, "cost": [1.0] * 7})
