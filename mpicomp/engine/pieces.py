"""What the ranks do with the items of a comprehension that flows: the trade of `piter`.

Rules of this file: no message is sent here; what it says of an item is as `engine.compute` says it.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from operator import length_hint
from time import perf_counter
from typing import Any

from mpicomp.engine.batch import Batch
from mpicomp.engine.careful import attempt, attempts_note
from mpicomp.engine.compute import item_notes, settled
from mpicomp.engine.shelf import STREAMED, unfolded
from mpicomp.engine.timing import keep
from mpicomp.plan.failure import Failure, tell
from mpicomp.plan.source import Data, Stream, length
from mpicomp.wire.forms import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mpicomp.engine.call import Call
    from mpicomp.plan.source import Source
    from mpicomp.wire.world import World

NOTHING = -1


class Pieces:
    """What the ranks do with a batch of a comprehension's items: a `Trade`."""

    def __init__(self, world: World, call: Call) -> None:
        self._world = world
        self._call = call
        self._streamed = call.streamed()
        self._source: Source = Data([])
        self._probe: object = None

    def open(self, words: Sequence[int], blobs: Sequence[Any]) -> tuple[Batch, Iterator[Any]]:
        number, start, stop, kind, form, one_each, splits = words
        batch = Batch(number, start, stop, bool(one_each), bool(splits))
        return batch, self._received(batch, kind, form, blobs)

    def pass_by(self, words: Sequence[int], blobs: Sequence[Any]) -> None:
        pass  # a letter holds nothing but its batch

    def _received(
        self, batch: Batch, kind: int, form: int, blobs: Sequence[Any]
    ) -> Iterator[Any]:
        self._source, self._probe = Data([]), None
        sent = None if form == NOTHING else decode(form, blobs)
        source = unfolded(self._call, range(batch.start, batch.stop), kind, sent)
        began = perf_counter()
        yield from self.values(batch, source, kind)
        if self._call.events is not None:
            self._call.events.append((batch.start, batch.stop, 1, began, perf_counter()))

    def values(self, batch: Batch, source: Source, kind: int) -> Iterator[Any]:
        """What the items of *source* give, which are those of the batch."""
        call = self._streamed if kind == STREAMED else self._call
        self._source = source
        if call.options.errors == "raise" and not call.options.careful:
            items, self._probe = source.open()
            yield from call.comprehension.make(batch.feed(items))
            return
        while batch.step():
            yield from self._one(call, source, batch.at - 1, batch.at - 1 - batch.start)

    def _one(self, call: Call, source: Source, item: int, place: int) -> Iterator[Any]:
        """One item, tried as often as the options say."""

        def about() -> str:
            return "\n".join(self._notes(item, place))

        found: list[Any] = []
        exc, times = attempt(call, source, range(place, place + 1), found, about)
        yield from found
        if exc is None:
            return
        if call.options.errors == "raise" or not isinstance(exc, Exception):
            tell(exc, attempts_note(times))
            raise exc
        yield settled(exc, self._notes(item, place) + attempts_note(times))

    def failed_at(self, batch: Batch) -> tuple[int, tuple[str, ...]]:
        """Which item is at work, and what to say of it."""
        place = max(0, batch.at - 1 - batch.start)
        if not batch.splits and self._probe is not None:
            n = length(range(batch.start, batch.stop))
            place = max(0, n - length_hint(self._probe) - 1)
        return batch.start + place, self._notes(batch.start + place, place)

    def _notes(self, item: int, place: int) -> tuple[str, ...]:
        return item_notes(self._world, self._call, item, self._source, place)

    def pack(self, found: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        if not found:
            return (NOTHING,), ()
        payload = encode(found, has_exceptions=self._call.options.errors == "return")
        return (payload.form,), payload.blobs

    def fail(self, batch: Batch, exc: BaseException) -> tuple[int, Sequence[Any]]:
        item, notes = self.failed_at(batch)
        return item, (pickle.dumps(Failure(exc, item, notes)),)

    def weight(self, value: Any) -> int:
        return 0


def one_by_one(world: World, call: Call) -> Iterator[Any]:
    """The same on one rank, where errors are to be returned, or times kept."""
    source, began, at = call.comprehension.source, perf_counter(), -1
    if isinstance(source, Stream):
        call = call.streamed()
        items: Iterator[Any] = iter(source.iterator)
    else:
        items = iter(range(source.n or 0))
    pieces = Pieces(world, call)
    with suppress(GeneratorExit):  # a loop that is left is over as well
        for at, item in enumerate(items):
            batch = Batch(0, at, at + 1)
            one = Data([item]) if isinstance(source, Stream) else source.cut(range(item, item + 1))
            for value in pieces.values(batch, one, NOTHING):
                _note(call, batch)
                yield value
            if batch.told == at:  # it gave no value
                _note(call, batch)
    keep(world, call, at + 1, began, perf_counter(), None)


def _note(call: Call, batch: Batch) -> None:
    """What an item has taken until now; without what was done with its value."""
    if call.events is not None and batch.told == batch.start:
        call.events.append((batch.start, batch.stop, 1, batch.started, perf_counter()))
    batch.told = batch.stop
