"""What a rank keeps of a call while it computes: so that another one can go on where it stopped.

Rules of this file: no message.  A piece counts once it is whole: its values are in the collector
of the call and its items among the *spans* of this rank, or neither is.

Recovery in a word: unite the spans of all ranks that are left (`Keeper.miss`), and compute the
call again; each schedule then runs over what is missing, and the collectors go on.
"""

from __future__ import annotations

import pickle
import warnings
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from mpicomp.engine.collect import Listed, Row
from mpicomp.engine.stopping import stopper_for, tell
from mpicomp.errors import JournalError, JournalWarning, Stopped
from mpicomp.journal.frame import framed, unframed
from mpicomp.plan.gaps import Gaps, Narrowed, union
from mpicomp.wire.forms import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mpicomp.engine.call import Call
    from mpicomp.engine.collect import Collector
    from mpicomp.engine.stopping import Stopper
    from mpicomp.journal.journal import Journal
    from mpicomp.options import Options
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.gaps import Span

_SHARE = 20  # keeping may take this part of the time
_AGAIN = 10  # times as long until it is tried again what has failed
_inside: ContextVar[bool] = ContextVar("mpicomp.keeping", default=False)


def keeper_for(options: Options) -> Keeper | None:
    """The keeper of a call that asks for one; within another such call nothing is kept."""
    if (options.journal is None and options.deadline is None) or _inside.get():
        return None
    return Keeper(options.journal, stopper_for(options.deadline, options.journal is not None))



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
    log : Log or None
        Where chunks are kept beyond this process.
    stopper : Stopper or None
        What may stop the call.
    """

    def __init__(self, journal: Journal | None = None, stopper: Stopper | None = None) -> None:
        self.log = None if journal is None else Log(journal)
        self.stopper = stopper
        self._rank = 0
        self.spans: list[Span] = []
        self.done: list[Span] = []
        self.gaps: Gaps | None = None

    @property
    def about(self) -> str:
        """What all ranks have to have alike."""
        kept = "" if self.log is None else f"journal {self.log.journal.name}"
        return f"{kept}, can be stopped" if self.stopper is not None else kept

    def miss(self, done: Iterable[Span], n: int | None) -> None:
        """From now on only what is not in *done* is missing, of *n* items (None: of a stream).

        Every rank of the world calls, with the same arguments.
        """
        self.done = union(done)
        self.gaps = Gaps(self.done, n) if self.done else None

    def keep(self, call: Call, piece: range, part: Collector) -> None:
        """*piece* is done; its values are in *part*."""
        found = part.kept()
        call.collector.absorb(found)
        _note(self.spans, piece.start, piece.stop)
        if self.log is not None:
            self.log.add(call, piece, found)

    def take(self, call: Call, spans: Iterable[Span], part: Any) -> None:
        """What was kept of *spans* is in the collector from now on."""
        call.collector.absorb(part)
        for start, stop in spans:
            _note(self.spans, start, stop)

    def finish(self, call: Call) -> BaseException | None:
        """Keep what is not yet kept; what went wrong, if it is to be raised."""
        if self.log is None:
            return None
        try:
            self.log.flush(call)
        except BaseException as exc:
            return exc
        return None

    def at(self, rank: int) -> Keeper:
        """The context of the call, on *rank*."""
        self._rank = rank
        return self

    def __enter__(self) -> Keeper:
        self._token = _inside.set(True)
        if self.stopper is not None:
            self.stopper.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: object
    ) -> None:
        _inside.reset(self._token)
        if self.stopper is not None:
            self.stopper.__exit__()
        if self.log is not None and kind is not None:
            self.log.release()
        if isinstance(exc, Stopped):
            tell(exc, self.log.journal.name if self.log is not None else "", self._rank)


def _note(spans: list[Span], start: int, stop: int) -> None:
    if spans and spans[-1][1] == start:
        spans[-1] = spans[-1][0], stop
    else:
        spans.append((start, stop))


class Log:
    """The chunks of one call, on one rank, on their way to a journal.

    Finished pieces are gathered for about a second; then they are a chunk.

    Attributes
    ----------
    journal : Journal
    key : str
        Of the call's chunks; empty until the ranks have agreed on it.
    claimed : bool
        This rank has claimed it.
    told : bool
        It was said that the journal cannot be written.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.key = ""
        self.claimed = False
        self.told = False
        self._chunk: Collector | None = None
        self._spans: list[Span] = []
        self._next = perf_counter() + journal.every

    def add(self, call: Call, piece: range, part: Any) -> None:
        """*piece* is done, and has given *part*."""
        if self._chunk is None:
            self._chunk = call.collector.fresh()
        self._chunk.absorb(part)
        _note(self._spans, piece.start, piece.stop)
        if perf_counter() >= self._next:
            self.flush(call)

    def begin(self, key: str) -> None:
        """This rank has claimed *key*: put down which call it is.

        Raises
        ------
        JournalError
            It cannot be kept, and that is to be raised.
        """
        self.key, self.claimed = key, True
        try:
            self.journal.pay()
        except Exception as exc:
            self._tell(exc)

    def flush(self, call: Call) -> None:
        """Keep what was gathered.

        Raises
        ------
        JournalError
            It cannot be kept, and that is to be raised.
        """
        if self._chunk is None:
            return
        began = perf_counter()
        try:
            self.journal.pay()
            self.journal.store.put(self.key, self._spans, _packed(self._chunk))
        except Exception as exc:
            self._next = perf_counter() + _AGAIN * self.journal.every
            self._tell(exc)
            return
        self._chunk, self._spans = None, []
        now = perf_counter()
        self._next = now + max(self.journal.every, _SHARE * (now - began))

    def _tell(self, exc: Exception) -> None:
        told = JournalError(f"the journal {self.journal.name} cannot be written: {exc}")
        if self.journal.on_error == "raise":
            raise told from exc
        if self.told:
            return
        self.told = True
        warnings.warn(f"{told}; the computing goes on", JournalWarning, stacklevel=2)

    def chunks(self, call: Call) -> list[tuple[Sequence[Span], Any]]:
        """What is kept of the call: spans, and what a collector takes in."""
        found = []
        for spans, data in self.journal.store.chunks(self.key):
            whole = unframed(data)
            if whole is not None:  # else it was torn
                form, blobs = whole
                if isinstance(call.collector, Listed):
                    rows = [Row(*row) for row in pickle.loads(blobs.pop())]
                    part: Any = (decode(form, blobs), rows)
                else:
                    part = decode(form, blobs)
                found.append((spans, part))
        return found

    def release(self) -> None:
        """The call has not come to its end."""
        if self.claimed:
            self.claimed = False
            self.journal.release(self.key)
        self.journal.store.close()


def _packed(chunk: Collector) -> bytes:
    """What *chunk* has: numbers as numbers, everything else pickled."""
    if not isinstance(chunk, Listed):
        payload = encode(chunk.kept(), chunk.has_exceptions)
        return framed(payload.form, payload.blobs)
    payload = encode(chunk.values, chunk.has_exceptions)
    return framed(payload.form, [*payload.blobs, pickle.dumps([*map(tuple, chunk.rows)])])


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
