"""``check="shuffle"``: some items run again, in another order, on another rank.

Rules of this file: what is run again adds nothing to the result; every rank comes to the same
verdict, after the items and before the values are collected.

Which items: of those that a rank has computed, the `SAMPLE` whose scrambled positions are lowest.
Their values are pickled at once, as they may be changed later.  Items travel with them, as their
rank may be the only one that has them.
"""

from __future__ import annotations

import pickle
import warnings
from heapq import heappush, heapreplace
from itertools import chain
from random import Random
from typing import Any, NamedTuple

from mpicomp.engine.agree import close
from mpicomp.engine.careful import attempt
from mpicomp.errors import SideEffectError, SideEffectWarning
from mpicomp.plan.failure import shortened
from mpicomp.plan.likeness import same
from mpicomp.plan.source import Data, Source, rebuild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.wire.world import World

SAMPLE = 16  # items a rank
_TAG = 12
_TOLD = 5  # items of which the message speaks


class Sampled(NamedTuple):
    """An item that was computed.

    Attributes
    ----------
    scrambled : int
        The negative of what decides whether it is kept.
    place : int
        Of the item, or the chunk's first.
    length : int
        1; of a batched function, the items of the chunk.
    streamed : bool
        It came from a stream.
    item, values : bytes
        Pickled: what its source is made of, and what it gave.
    where : str
        Rank and host.
    """

    scrambled: int
    place: int
    length: int
    streamed: bool
    item: bytes
    values: bytes
    where: str


class Sampler:
    """What one rank keeps of one call."""

    def __init__(self) -> None:
        self.kept: list[Sampled] = []

    def note(
        self, world: World, call: Call, source: Source, item: range, values: list[Any]
    ) -> None:
        """*item* has given *values*."""
        scrambled = -(((item.start + 1) * 0x9E3779B97F4A7C15) % 2**64)
        full = len(self.kept) == SAMPLE
        if full and scrambled < self.kept[0].scrambled:
            return
        cut = source.cut(item)
        try:
            made = _packed(call, cut), pickle.dumps(values)
        except Exception:
            return  # what cannot travel cannot be compared
        streamed = not call.comprehension.bring
        where = f"rank {world.rank}, {world.host}"
        sampled = Sampled(scrambled, item.start, len(item), streamed, *made, where)
        (heapreplace if full else heappush)(self.kept, sampled)


def sampler_for(check: str | None) -> Sampler | None:
    """The sampler of a call that asks for one."""
    return None if check is None else Sampler()


def _packed(call: Call, cut: Source) -> bytes:
    source = call.comprehension.source
    if source.known and source.spread is None:
        return b""
    if isinstance(cut, Data):
        return pickle.dumps((None, cut.items))
    return pickle.dumps((cut.outline(), [leaf.items for leaf in cut.leaves()]))


class _Alone(Source):
    """A source of one item (or chunk), whatever its position."""

    __slots__ = ("_cut",)

    def __init__(self, cut: Source) -> None:
        self.n = cut.n
        self._cut = cut

    def cut(self, _: range) -> Source:
        return self._cut


def _unpacked(call: Call, sampled: Sampled) -> Source:
    source = call.comprehension.source
    if not sampled.item:
        return source.cut(range(sampled.place, sampled.place + sampled.length))
    outline, sent = pickle.loads(sampled.item)
    if outline is None:
        return Data(sent)
    return rebuild(outline, iter([Data(items) for items in sent]), iter(source.functions()))


def recheck(world: World, call: Call) -> None:
    """Run the samples of the rank before this one again, and say what differs.

    Collective: every rank of the world calls; all get the same.

    Raises
    ------
    SideEffectError
        With ``effects="raise"``, on every rank.
    SideEffectWarning
        On the root; where the filters of `warnings` make an error of it, on every rank.
    """
    if call.sampler is None:
        return
    mine = call.sampler.kept
    if world.comm is None or world.size == 1:
        found = sorted(_again(world, call, mine))
    else:
        ahead, behind = (world.rank + 1) % world.size, (world.rank - 1) % world.size
        others = world.comm.sendrecv(mine, ahead, _TAG, source=behind, recvtag=_TAG)
        found = sorted(chain(*world.comm.allgather(_again(world, call, others))))
    if not found:
        return
    text = _told(call, [line for _, line in found])
    if call.options.effects == "raise":
        error = SideEffectError(text)
        error.__mpicomp_world__ = world  # type: ignore[attr-defined]  # for the guard
        raise error
    problem: BaseException | None = None
    if world.rank == (call.options.root or 0):
        try:
            _warn(call, text)
        except SideEffectWarning as warning:
            problem = warning
    if world.size > 1:
        close(world, problem)
    elif problem is not None:
        raise problem


def _again(world: World, call: Call, samples: list[Sampled]) -> list[tuple[int, str]]:
    """Run *samples* again; which differ, and how."""
    order = sorted(samples, key=lambda sampled: sampled.place, reverse=True)
    Random(len(order)).shuffle(order)
    found = [(sampled.place, _differs(world, call, sampled)) for sampled in order]
    return [(index, line) for index, line in found if line]


def _differs(world: World, call: Call, sampled: Sampled) -> str:
    if sampled.streamed:
        call = call.streamed()
    item = range(sampled.place, sampled.place + sampled.length)
    values: list[Any] = []
    try:
        source = _Alone(_unpacked(call, sampled))
        failure, _ = attempt(call, source, item, values, lambda: f"  in item {item.start}")
        again = f"raised {failure!r}"
        before = pickle.loads(sampled.values)
        if failure is None:
            after = pickle.loads(pickle.dumps(values))
            if same(before, after):
                return ""
            again = f"gave {_shown(after)}"
    except Exception as exc:
        before, again = pickle.loads(sampled.values), f"could not be run again: {exc!r}"
    return (
        f"  item {sampled.place} gave {_shown(before)} on {sampled.where}, "
        f"and {again} on rank {world.rank}, {world.host}"
    )


def _shown(values: list[Any]) -> str:
    return shortened(values[0] if len(values) == 1 else values)


def _told(call: Call, lines: list[str]) -> str:
    more = [f"  and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
    items = "an item" if len(lines) == 1 else f"{len(lines)} items"
    return "\n".join([
        f"{items} of {call.verb}{call.comprehension.at} did not give the same when run again in "
        "another order, on another rank:",
        *lines[:_TOLD],
        *more,
        "  they depend on more than themselves: on what ran before, on the rank, on chance or on "
        "the clock; see docs/effects.md",
    ])  # fmt: skip


def _warn(call: Call, text: str) -> None:
    code = call.comprehension.code
    file, line = (code.co_filename, code.co_firstlineno) if code is not None else ("mpicomp", 1)
    warnings.warn_explicit(text, SideEffectWarning, file, line)
