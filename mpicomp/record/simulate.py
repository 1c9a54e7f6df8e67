"""What a schedule would cost: the plans of the engines, on ranks that are not there.

Rules of this file: a simulation gives timelines, as a measurement does; what happens in it, and
when, is `mpicomp.record.clock`.

Not simulated: that ranks of several nodes claim from several counters, that items and results
have to travel (on account of which ``auto`` may leave all to the root), and that a master who
computes may answer late.
"""

from __future__ import annotations

from math import inf

from mpicomp.errors import OptionError
from mpicomp.plan.schedule import Schedule, parse
from mpicomp.plan.value import whole
from mpicomp.record import clock
from mpicomp.record.costs import cost_of, measured
from mpicomp.record.recording import Record
from mpicomp.record.summary import Summary
from mpicomp.record.timeline import Timeline, event_table
from mpicomp.record.units import counted, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypedDict, Unpack

    from numpy.typing import ArrayLike

    from mpicomp.plan.chunks import PlanLike
    from mpicomp.record.costs import Cost
    from mpicomp.record.timeline import Events

    Asked = str | Schedule | PlanLike

    class Assumed(TypedDict, total=False):
        """What `simulate` accepts beside the costs, the schedule and the ranks."""

        dispatch: str | None
        speeds: Sequence[float] | None
        claim: float
        message: float
        service: float
        h: float  # from here on: of the schedule
        sigma: float
        swr: float
        stages: int
        weights: Sequence[float]


_WAYS = {
    "static": ("static", "counter", "master"),
    "table": ("counter", "master"),
    "adaptive": ("master",),
    "auto": ("counter", "master"),
}
"""The dispatches of each kind of schedule, the usual one first."""


class Outcome(Summary):
    """What simulated calls have cost: a `mpicomp.record.summary.Summary`, and their timelines.

    Attributes
    ----------
    record : Record
        The simulated calls, to draw, save or replay as measured ones.

    Examples
    --------
    >>> outcome = simulate([3.0, 1.0, 1.0, 1.0], "dynamic", 2, claim=0.0)
    >>> outcome
    <Outcome: dynamic (counter) on 2 ranks: 3 s, efficiency 1.000, imbalance 0.000>
    >>> print(outcome.record.text(width=12))
    simulate of 4 items, "dynamic" (counter), 2 ranks
    0 |████████████| 100 %
    1 |████████████| 100 %
       0 to 3 s
    """

    def __init__(self, record: Record) -> None:
        super().__init__(record.calls)
        self.record = record

    def _who(self) -> str:
        calls = self.record.calls
        ways = sorted({f"{call.schedule} ({call.dispatch})" for call in calls})
        times = f"{counted(len(calls), 'call')}, " if len(calls) != 1 else ""
        return f"{times}{' and '.join(ways)} on {counted(self.ranks, 'rank')}"


def simulate(
    costs: ArrayLike | Cost,
    schedule: Asked,
    ranks: int,
    *,
    n: int | None = None,
    dispatch: str | None = None,
    speeds: Sequence[float] | None = None,
    claim: float = 1e-6,
    message: float = 1e-5,
    service: float = 1e-5,
    **parameters: Any,
) -> Outcome:
    """What *schedule* would cost on *ranks* ranks.

    Parameters
    ----------
    costs : array_like, float, shape (n,), seconds; or callable
        Of each item on a rank of speed 1; or (start, stop) -> seconds of all of them.
    schedule : str, Schedule or PlanLike
    ranks : int
    n : int, optional
        Number of items, for a callable.
    dispatch : {"static", "counter", "master"}, optional
        As the engines choose when left out: a single rank computes serially, without chunks.
    speeds : sequence of float, optional
        Of each rank: one of speed 2 takes half as long for an item.
    claim : float, seconds
        For one claim from the counter.
    message, service : float, seconds
        For one message on its way, and for the master to answer one; it answers one after the
        other.  Rank 0 is the master: it computes as well, and needs no message to ask itself.
    **parameters
        Of the schedule: see `mpicomp.plan.cutting.cut_of`.

    Returns
    -------
    Outcome

    Raises
    ------
    OptionError
        Costs, speeds or seconds that are none; a dispatch that the schedule does not have.
    ScheduleError
        A schedule that cannot be read or cut.

    Examples
    --------
    >>> costs = [0.001 * i for i in range(1000)]
    >>> for schedule in ("static", "guided", "factoring", "auto"):
    ...     simulate(costs, schedule, 16)
    <Outcome: static (static) on 16 ranks: 60 s, efficiency 0.520, imbalance 0.923>
    <Outcome: guided (counter) on 16 ranks: 31.7 s, efficiency 0.985, imbalance 0.015>
    <Outcome: factoring (counter) on 16 ranks: 31.5 s, efficiency 0.990, imbalance 0.010>
    <Outcome: auto (counter) on 16 ranks: 31.7 s, efficiency 0.985, imbalance 0.015>
    >>> simulate(lambda start, stop: 0.001 * (stop - start), "awf-c", 2, n=900, speeds=[1, 2]).items
    array([300, 600])
    """
    cost, n = cost_of(costs, n)
    ranks = whole("ranks", ranks, 1)
    plan = parse(schedule) if isinstance(schedule, (str, Schedule)) else schedule
    way = _way(plan, ranks, dispatch)
    seconds = {"claim": claim, "message": message, "service": service}
    machine = clock.Machine(n, cost, _speeds(speeds, ranks), **_checked(seconds))
    events = event_table(clock.events(machine, plan, way, parameters))
    return Outcome(Record([_timeline(machine, str(plan), way, events)]))


def replay(
    calls: Iterable[Timeline],
    schedule: Asked | None = None,
    ranks: int | None = None,
    **assumed: Unpack[Assumed],
) -> Outcome:
    """What *calls* would have cost; see `mpicomp.record.recording.Record.replay`.

    Examples
    --------
    >>> first = simulate([4.0, 1.0, 1.0, 1.0, 1.0], "dynamic", 2)
    >>> replay(first.record.calls, "static").busy
    array([6., 2.])
    """
    record = Record()
    for call in calls:
        plan = call.schedule if schedule is None else schedule
        on = call.ranks if ranks is None else ranks
        record.calls += simulate(measured(call), plan, on, n=call.n, **assumed).record.calls
    return Outcome(record)


def _way(plan: Schedule | PlanLike, ranks: int, dispatch: str | None) -> str:
    ways = _WAYS[clock.kind_of(plan)]
    if dispatch is None:
        return ways[0] if ranks > 1 else "serial"
    if dispatch not in ways:
        cure = " or ".join(f'dispatch="{way}"' for way in ways)
        raise OptionError(f"{plan} has no dispatch={dispatch!r}; write {cure}, or leave it out")
    return dispatch


def _speeds(speeds: Sequence[float] | None, ranks: int) -> Sequence[float]:
    given = [1.0] * ranks if speeds is None else [float(speed) for speed in speeds]
    if len(given) != ranks or not all(0 < speed < inf for speed in given):
        raise OptionError(
            f"speeds must be one number > 0 for each of {counted(ranks, 'rank')}, got {speeds!r}; "
            "write 1.0 for a rank that takes as long as costs say"
        )
    return given


def _checked(seconds: dict[str, float]) -> dict[str, float]:
    for name, value in seconds.items():
        if not isinstance(value, (int, float)) or not 0 <= value < inf:
            raise OptionError(f"{name} must be seconds, 0 or more, got {value!r}; write {name}=0.0")
    return seconds


def _timeline(machine: clock.Machine, schedule: str, way: str, events: Events) -> Timeline:
    assumed = {
        "counter": f", {duration(machine.claim)} a claim",
        "master": f", {duration(machine.message)} a message, {duration(machine.service)} an answer",
    }
    nowhere = [""] * machine.ranks
    over = float(events["end"].max(initial=0.0))
    return Timeline(
        "simulate", schedule, way, f"simulated{assumed.get(way, '')}", machine.n,
        hosts=nowhere, paths=nowhere, began=0.0, ended=over, events=events,
    )  # fmt: skip
