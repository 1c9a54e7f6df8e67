"""What a rank keeps of a call while it computes: so that another one can go on where it stopped.

Rules of this file: a piece counts once it is whole.  Its values are in the collector of the call
and its items among the *spans* of this rank, or neither is.

Recovery in a word: unite the spans of all ranks that are left (`Keeper.miss`), and compute the
call again; each schedule then runs over what is missing, and the collectors go on.
"""

from __future__ import annotations

from mpicomp.engine.gather import own
from mpicomp.plan.gaps import Gaps, Narrowed, union

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpicomp.engine.call import Call
    from mpicomp.engine.collect import Collector
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.gaps import Span


class Keeper:
    """One rank's finished pieces of one call.

    Attributes
    ----------
    spans : list of (int, int)
        Items whose values are in this rank's collector.
    done : list of (int, int)
        Items that were done, by any rank, when the computing began.
    gaps : Gaps or None
        The others; None while nothing was done.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.done: list[Span] = []
        self.gaps: Gaps | None = None

    def miss(self, done: Iterable[Span], n: int | None) -> None:
        """From now on only what is not in *done* is missing, of *n* items (None: of a stream).

        Every rank of the world calls, with the same arguments.
        """
        self.done = union(done)
        self.gaps = Gaps(self.done, n) if self.done else None

    def keep(self, call: Call, piece: range, part: Collector) -> None:
        """*piece* is done; its values are in *part*."""
        call.collector.absorb(own(call._replace(collector=part), in_order=False))
        self.note(piece.start, piece.stop)

    def note(self, start: int, stop: int) -> None:
        """The values of ``range(start, stop)`` are in the collector."""
        spans = self.spans
        if spans and spans[-1][1] == start:
            spans[-1] = spans[-1][0], stop
        else:
            spans.append((start, stop))


def gaps_of(call: Call) -> Gaps | None:
    """Which items are missing; None: all."""
    return None if call.keeper is None else call.keeper.gaps


def missing(call: Call, n: int | None) -> int | None:
    """How many of *n* items are missing; of a stream nobody knows."""
    gaps = gaps_of(call)
    return n if gaps is None else gaps.count


def spread(call: Call, runs: Iterable[range]) -> Iterable[range]:
    """*runs* of places among the missing items, as runs of items."""
    gaps = gaps_of(call)
    if gaps is None:
        return runs
    return (part for run in runs for part in gaps.spread(run))


def within(call: Call, piece: range) -> Iterable[range]:
    """What is missing of the items *piece*."""
    gaps = gaps_of(call)
    if gaps is None:
        return (piece,)
    return gaps.spread(range(gaps.place(piece.start), gaps.place(piece.stop)))


def narrowed(call: Call, plan: PlanLike) -> PlanLike:
    """A plan for all items as one for those that are missing."""
    gaps = gaps_of(call)
    return plan if gaps is None else Narrowed(plan, gaps)
