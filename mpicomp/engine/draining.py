"""Running the comprehension's own code over a whole stream, on one rank.

Rules of this file: an item is taken when it is its turn, and not before; what the stream itself
raises is told from what an item does.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from sys import maxsize
from typing import Any

from mpicomp.engine.collect import Decided, Listed
from mpicomp.engine.compute import Caught, compute, item_notes, settled
from mpicomp.engine.keeping import within
from mpicomp.engine.reducing import Searched
from mpicomp.plan.fold import LEAF
from mpicomp.plan.source import Data, Held, Stream
from mpicomp.wire.cutoff import STOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.engine.call import Call
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World


class Feed:
    """A stream's items, counted; what the stream itself raises is told from what an item does."""

    def __init__(self, stream: Stream) -> None:
        self.iterator = stream.iterator
        self.taken = 0
        self.failure: BaseException | None = None
        self.ended = False

    def items(self) -> Iterator[Any]:
        try:
            for item in self.iterator:
                self.taken += 1
                yield item
        except GeneratorExit:
            raise
        except BaseException as exc:
            self.failure = exc
            raise

    def window(self, size: int) -> list[Any]:
        """The next *size* items, or fewer when the stream ends or fails."""
        found: list[Any] = []
        if self.ended:  # it might go on; the serial comprehension would not
            return found
        with suppress(BaseException):  # kept, and told once what came before it is done
            found.extend(islice(self.items(), size))
        self.ended = len(found) < size
        return found


def drain(
    world: World, call: Call, stream: Stream, cutoff: Cutoff | None = None
) -> tuple[Caught | None, int]:
    """Run the comprehension over a whole stream, here and now, consuming it item by item.

    Returns
    -------
    caught : Caught or None
        What ended it early.
    n : int
        Items taken.
    """
    feed = Feed(stream)
    if call.options.careful:
        size = maxsize if call.comprehension.whole_runs else 1
    elif call.keeper is None and isinstance(call.collector, (Listed, Searched)):
        if call.meter is not None:
            call.meter.follow(feed)
        return _drain(world, call, feed), feed.taken
    else:
        size = LEAF
    return _drain_by(size, world, call, feed, cutoff), feed.taken


def _drain(world: World, call: Call, feed: Feed) -> Caught | None:
    while True:
        try:
            here = range(feed.taken, feed.taken)
            call.collector.take(here, call.comprehension.make(feed.items()))
            return None
        except Decided:
            return Caught(feed.taken - 1, None)
        except BaseException as exc:
            index = None if feed.failure else feed.taken - 1
            notes = item_notes(world, call, index, Data([]), 0)
            if feed.failure or call.options.errors == "raise" or not isinstance(exc, Exception):
                return Caught(feed.taken - 1, exc, notes)
            assert call.collector.keeps_errors, "options were checked"
            call.collector.put(range(feed.taken - 1, feed.taken), settled(exc, notes))


def _drain_by(
    size: int, world: World, call: Call, feed: Feed, cutoff: Cutoff | None
) -> Caught | None:
    """The same so many items at a time: a fold's tree and a keeper have to know where they lie."""
    at = 0
    while window := feed.window(size):
        piece = range(at, at + len(window))
        held = Held(window, piece.stop, piece.index)
        caught = compute(world, call, held, within(call, piece), cutoff)
        if caught is not None:
            return caught
        if cutoff is not None and cutoff.limit == STOP:
            return None
        at = piece.stop
    return source_failure(world, call, feed)


def source_note(world: World) -> str:
    """For an error that the source raised, and no item."""
    return f"  in the source itself on rank {world.rank}, {world.host}"


def source_failure(world: World, call: Call, feed: Feed) -> Caught | None:
    """What the stream itself raised, behind its last item."""
    if feed.failure is None:
        return None
    return Caught(feed.taken, feed.failure, item_notes(world, call, None, Data([]), 0))
