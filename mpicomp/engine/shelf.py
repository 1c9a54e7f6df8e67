"""The items of a flow at the desk: read in order, kept until they are done.

Rules of this file: the source is read by `read` alone, and no further than it says.

What of an item travels: nothing when every rank can make it (ranges), the item itself of a
stream, else the parts of the source that it is made of (so a mapped function runs on the ranks).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mpicomp.engine.draining import Feed
from mpicomp.engine.share import at_hand, count_functions
from mpicomp.errors import ComprehensionError
from mpicomp.plan.source import Data, Source, Stream, rebuild

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call

KNOWN, STREAMED, ITEMS, PARTS = range(4)


class Lot(NamedTuple):
    """Some items at the desk: fewer than asked for, if there was a *problem* with the next."""

    source: Source
    n: int
    problem: BaseException | None = None


class Shelf:
    """The items of a call's source, on the root.

    Parameters
    ----------
    source : Source

    Attributes
    ----------
    known : int
        Items read so far.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._feed = Feed(source) if isinstance(source, Stream) else None
        self._items: dict[int, Any] = {}
        self.known = 0

    def read(self, count: int) -> int:
        """Read *count* more; how many there were."""
        if self._feed is None:
            found = min(count, (self._source.n or 0) - self.known)
        else:
            items = self._feed.window(count)
            found = len(items)
            self._items.update(zip(range(self.known, self.known + found), items, strict=True))
        self.known += found
        return found

    @property
    def failure(self) -> BaseException | None:
        """What the source has raised behind its last item."""
        return self._feed.failure if self._feed else None

    def hold(self, start: int, stop: int) -> Lot:
        """The items from *start* on as a source of their own."""
        if self._feed is not None:
            return Lot(Data([self._items[i] for i in range(start, stop)]), stop - start)
        cut, problem = at_hand(self._source.cut(range(start, stop)))
        return Lot(cut, cut.n or 0, problem)

    def travelling(self, lot: Lot) -> tuple[int, Any]:
        """What has to be sent of them, and as what; None when nothing has."""
        if self._source.known:
            return KNOWN, None
        if isinstance(lot.source, Data):
            return ITEMS if self._feed is None else STREAMED, lot.source.items
        return PARTS, (lot.source.outline(), [leaf.items for leaf in lot.source.leaves()])

    def drop(self, run: range) -> None:
        """These items are done."""
        if self._feed is not None:
            for i in run:
                self._items.pop(i, None)


def unfolded(call: Call, run: range, kind: int, sent: Any) -> Source:
    """The other side of `Shelf.travelling`: the items *run* on a rank that was sent them."""
    own = call.comprehension.source
    if kind == KNOWN:
        return own.cut(run)
    if kind != PARTS:
        return Data(sent)
    outline, leaves = sent
    functions = own.functions()
    if len(functions) != count_functions(outline):
        raise ComprehensionError(
            "this rank has no function for the map or filter in the root's source; "
            "write the same expression on every rank"
        )
    return rebuild(outline, iter([Data(items) for items in leaves]), iter(functions))
