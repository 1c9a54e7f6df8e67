"""One call of a verb: what it was asked to do, and the header by which ranks agree on it.

Rules of this file: a header is `HEADER` bytes and equal on all ranks that came with the same
call over the same ranges; so the usual case is settled by one comparison of bytes.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple, NoReturn

from mpicomp.errors import CollectiveMismatch
from mpicomp.plan.comprehension import digest_of
from mpicomp.plan.source import Range
from mpicomp.wire.world import HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.collect import Collector
    from mpicomp.engine.keeping import Keeper
    from mpicomp.engine.metering import Meter
    from mpicomp.engine.shuffled import Sampler
    from mpicomp.options import Options
    from mpicomp.plan.comprehension import Comprehension
    from mpicomp.wire.world import World

_LAYOUT = Struct("<9q")
_LAST = 64  # where the last field stands in a header
SENT, RANGE, MADE = range(3)
"""The source is sent by the root; is this range; is made of ranges alike on every rank."""


class Header(NamedTuple):
    """What a rank says in an exchange; the meaning of the fields depends on the *phase*."""

    phase: int
    failed: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    g: int = 0

    def pack(self) -> bytes:
        return _LAYOUT.pack(*self)


BEGIN, ROUND, END, CLOSE, LEAVE_PHASE, MEET = range(6)
LEAVE = Header(LEAVE_PHASE).pack()
STAND_BY = Header(LEAVE_PHASE, a=1)
"""Of a rank that makes no calls of its own, but serves executors until the root leaves."""


def with_ahead(header: bytes, said: int) -> bytes:
    """The header that begins a call, and says what the root has done ahead."""
    return header[:_LAST] + said.to_bytes(8, "little", signed=True)


def take_ahead(headers: bytearray, root: int) -> int:
    """What the root's says; taken out, so that the headers of one call are equal again."""
    place = root * HEADER + _LAST
    said = int.from_bytes(headers[place : place + 8], "little", signed=True)
    headers[place : place + 8] = bytes(8)
    return said


def unpack(headers: bytearray) -> list[Header]:
    """All ranks' headers, in rank order."""
    return [Header(*fields) for fields in _LAYOUT.iter_unpack(headers)]


class Call(NamedTuple):
    """A verb, what it runs, how it collects, and its options."""

    verb: str
    comprehension: Comprehension
    collector: Collector
    options: Options
    detail: str = ""
    events: list[tuple[int, int, int, float, float]] | None = None  # (start, stop, step, from, to)
    also: tuple[object, ...] = ()  # functions of the user's that combine values
    sampler: Sampler | None = None  # what is run again: `mpicomp.engine.shuffled`
    keeper: Keeper | None = None  # where finished pieces are told apart and kept
    meter: Meter | None = None  # who is told how many items are done

    @property
    def functions(self) -> list[object]:
        """The functions of the user's that run on the ranks."""
        comprehension = self.comprehension
        inside = [f for f in comprehension.source.functions() if f is not comprehension.function]
        return [comprehension.function, *inside, *self.also]

    def streamed(self) -> Call:
        """The same call for what the root reads from a stream."""
        return self._replace(comprehension=self.comprehension.streamed())

    def way(self, n: int | None) -> tuple[str, str]:
        """Who decides which rank takes what ("static", "counter" or "master"), and why."""
        kind, asked = self.options.schedule.kind, self.options.dispatch
        if asked == "master-only":
            return "master", "as asked for: the root only hands out"
        if asked is not None:
            return asked, "as asked for"
        if n is None:
            return ("static" if kind == "static" else "master"), "the source is a stream"
        if kind == "static":
            return "static", "the schedule says beforehand who takes what"
        if kind == "adaptive":
            return "master", "the schedule adapts to measured times"
        return "counter", "the number of items is known"

    @property
    def plain(self) -> bool:
        """Whether all that is asked for is the value: nothing to be kept, told or tried again."""
        return self.options.plain and self.events is None and self.meter is None

    @property
    def strided(self) -> bool:
        """Whether a run may skip over other ranks' items: each gives one value, wanted as it is."""
        comprehension = self.comprehension
        if comprehension.whole_runs or self.collector.contiguous or self.keeper is not None:
            return False
        return comprehension.one_to_one

    @property
    def can_go_on(self) -> bool:
        """Whether computing needs no other rank: nothing to be sent, claimed or set up."""
        return (
            self.comprehension.source.known
            and self.options.schedule.kind == "static"
            and self.options.dispatch is None
            and self.options.cost is None
            and self.options.ranks_per_item == 1
            and not self.options.progress
            and not self.collector.sets_up
            and self.keeper is None
        )

    def begin(self) -> bytes:
        """The header of this call."""
        comprehension, options = self.comprehension, self.options
        about = _about(
            self.verb,
            str(options.schedule),
            options.dispatch,
            options.root,
            options.stays,
            options.errors,
            options.retries,
            options.setup is not None,
            options.ranks_per_item,
            options.timeout,
            options.patience,
            options.reissue,
            options.check,
            self.detail,
            self.events is not None,
            options.cost is not None,
            options.progress,
            getattr(options.schedule, "chunks", None),
            self.keeper is not None and self.keeper.about,
        )
        source = comprehension.source
        kind = SENT
        shape = (0, 0, 0)
        if type(source) is Range:
            kind = RANGE
            shape = (source.items.start, source.items.stop, source.items.step)
            if not all(-(2**63) <= bound < 2**63 for bound in shape):
                kind, shape = MADE, (digest_of(repr(source.items)), 0, 0)
        elif source.known:
            kind, shape = MADE, (digest_of(repr(source.outline())), 0, 0)
        return _LAYOUT.pack(BEGIN, 0, about, comprehension.digest, kind, *shape, 0)

    def describe(self) -> str:
        """For people: who called what."""
        source = self.comprehension.source
        options = self.options
        return (
            f"{self.verb}{self.comprehension.at} over {source!r}, "
            f"schedule={options.schedule}, root={'stay' if options.stays else options.root}, "
            f"errors={options.errors!r}"
            f"{self.detail and ', ' + self.detail}"
        )


@lru_cache(maxsize=1000)
def _about(*words: object) -> int:
    return digest_of(repr(words))


def disagree(world: World, headers: list[Header], mine: str) -> NoReturn:
    """Raise on every rank that not all came with the same call.

    Collective: every rank that did not leave; *mine* describes this rank's call.

    Raises
    ------
    CollectiveMismatch
        Names who called what.
    """
    gone = [rank for rank, header in enumerate(headers) if header == Header(LEAVE_PHASE)]
    if gone:
        ranks = ", ".join(map(str, gone))
        raise mismatch(
            world,
            f"rank {ranks} of {world.size} reached the end of its program while this rank "
            f"called {mine}",
        )
    assert world.comm is not None, "a serial world agrees with itself"
    told = world.comm.allgather(mine)
    lines = [f"  rank {rank}: {text}" for rank, text in enumerate(told)]
    if world.size > 8:  # one line for each kind of call
        lines = [f"  {told.count(t)} ranks, the first is {told.index(t)}: {t}" for t in set(told)]
    raise mismatch(
        world, "\n".join(["the ranks did not call the same thing; let all make the same call",
                          *sorted(lines)])
    )  # fmt: skip


def mismatch(world: World, text: str) -> CollectiveMismatch:
    """The error, marked as raised on every rank."""
    error = CollectiveMismatch(text)
    error.__mpicomp_world__ = world  # type: ignore[attr-defined]  # for the guard
    return error
