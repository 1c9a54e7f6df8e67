"""Values under keys: what a rank holds of each key, and how the parts become one.

Rules of this file: pure.  What comes out does not depend on who computed which items: keys in the
order of their first appearance, and the values of a key combined in the order of the items, along
a tree that their positions alone decide.

The tree is that of `mpicomp.plan.fold` (leaves of `LEAF` items, each folded from left to right),
without the leaves in which the key does not appear: two neighbours are combined at the level at
which the paths from their leaves to the root of the tree meet.
"""

from __future__ import annotations

from contextlib import suppress
from functools import reduce
from typing import Any, NamedTuple

from mpicomp.plan.fold import LEAF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    First = tuple[int, int]  # the item at which a piece began, and the place among its keys
    Node = tuple[int, Any, int]  # first leaf, value, level at which it meets the node before it


class Piece(NamedTuple):
    """Where the values come from that are being taken in.

    Attributes
    ----------
    row : int
        The item with which this rank's unbroken run of items (by leaf: of whole leaves) began.
    start, stop : int
        This piece of it.
    """

    row: int
    start: int
    stop: int

    @property
    def whole(self) -> bool:
        """Whether it is a leaf of the tree, all of it."""
        return self.start % LEAF == 0 and self.stop == self.start + LEAF


class Counts:
    """``collections.Counter``: how often each key came.

    Attributes
    ----------
    by_leaf : bool
        Pieces lie within one leaf each.
    """

    by_leaf = False

    def gathered(self, _: Piece, keys: Iterable[Any]) -> dict[Any, Any]:
        """What a piece gives under each key, in the order of first appearance."""
        from collections import Counter

        return Counter(keys)

    def first(self, _: Piece, value: Any) -> Any:
        """The content of a key that is new."""
        return value

    def more(self, content: Any, _: Piece, value: Any) -> Any:
        """The content of a key that is known, after another piece."""
        return content + value

    def joined(self, one: Any, other: Any) -> Any:
        """The contents of two ranks as one."""
        return one + other

    def settled(self, content: Any) -> Any:
        """The value of a key, once all contents are joined."""
        return content


class Groups(Counts):
    """``setdefault(key, []).append(value)``: the values of each key, in order.

    A content is a list of ``(start of the row, values)``: the rank's unbroken runs.
    """

    def gathered(self, _: Piece, pairs: Iterable[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in pairs:
            if key in found:
                found[key].append(value)
            else:
                found[key] = [value]
        return found

    def first(self, piece: Piece, value: Any) -> Any:
        return [(piece.row, value)]

    def more(self, content: Any, piece: Piece, value: Any) -> Any:
        if content[-1][0] == piece.row:
            content[-1][1].extend(value)
        else:
            content.append((piece.row, value))
        return content

    def settled(self, content: Any) -> Any:
        content.sort(key=_start)
        values = content[0][1]
        for _, more in content[1:]:
            values += more
        return values


class Folds(Groups):
    """``d[key] = op(d[key], value)``: the fold of each key's values.

    A content is ``(row, stack, nodes, parts)``: the nodes of the row at work, those of others,
    and ``(item, values)`` of leaves that are not whole on this rank.
    """

    by_leaf = True

    def __init__(self, op: Callable[[Any, Any], Any]) -> None:
        self.op = op

    def gathered(self, piece: Piece, pairs: Iterable[Any]) -> dict[Any, Any]:
        if not piece.whole:
            return super().gathered(piece, pairs)
        op, found = self.op, dict[Any, Any]()
        for key, value in pairs:
            found[key] = op(found[key], value) if key in found else value
        return found

    def first(self, piece: Piece, value: Any) -> Any:
        return self.more((piece.row, [], [], []), piece, value)

    def more(self, content: Any, piece: Piece, value: Any) -> Any:
        row, stack, nodes, parts = content
        if not piece.whole:
            parts.append((piece.start, value))
            return content
        if row != piece.row:
            nodes, stack = nodes + stack, []
            content = (piece.row, stack, nodes, parts)
        pushed(self.op, stack, piece.start // LEAF, value, -(-piece.row // LEAF))
        return content

    def joined(self, one: Any, other: Any) -> Any:
        return (-1, [], one[1] + one[2] + other[1] + other[2], one[3] + other[3])

    def settled(self, content: Any) -> Any:
        _, stack, nodes, parts = content
        leaves = [(start, value) for start, value, _ in stack + nodes]
        leaves += _leaves_of(self.op, parts)
        leaves.sort(key=_start)
        tree: list[Node] = []
        for start, value in leaves:
            pushed(self.op, tree, start, value, 0)
        while len(tree) > 1:
            _combine(self.op, tree)
        return tree[0][1]


def _start(part: tuple[int, Any]) -> int:
    return part[0]


def _leaves_of(op: Callable[[Any, Any], Any], parts: list[Any]) -> list[tuple[int, Any]]:
    """Leaves that came in several parts, as ``(leaf, value)``."""
    leaves: dict[int, list[Any]] = {}
    for start, values in sorted(parts, key=_start):
        leaves.setdefault(start // LEAF, []).extend(values)
    return [(leaf, reduce(op, values)) for leaf, values in leaves.items()]


def pushed(
    op: Callable[[Any, Any], Any], stack: list[Node], start: int, value: Any, least: int
) -> None:
    """Put a node behind those of *stack*; combine what this shows to be complete before it.

    Parameters
    ----------
    op : callable
    stack : list of nodes
        In order of position.
    start : int
        Its first leaf.
    value : object
    least : int
        Leaves before this one may be on other ranks: nothing that reaches there is combined.
    """
    meets = 0
    if stack:
        meets = (stack[-1][0] ^ start).bit_length()
        while len(stack) > 1:
            level = stack[-1][2]
            if level >= meets or stack[-2][0] >> level << level < least:
                break
            _combine(op, stack)
    stack.append((start, value, meets))


def _combine(op: Callable[[Any, Any], Any], stack: list[Node]) -> None:
    _, right, _ = stack.pop()
    start, left, meets = stack.pop()
    stack.append((start, op(left, right), meets))


class Table:
    """Keys with their contents.

    Parameters
    ----------
    way : Counts, Groups or Folds
        What a content is.
    """

    __slots__ = ("_row", "_stop", "entries", "way")

    def __init__(self, way: Counts) -> None:
        self.way = way
        self._row = self._stop = 0
        self.entries: dict[Any, tuple[First, Any, Any]] = {}  # first, the key then seen, content

    def take(self, start: int, stop: int, values: Iterable[Any]) -> None:
        """Take in what the items ``range(start, stop)`` give."""
        if start != self._stop:
            self._row = start
        way, entries = self.way, self.entries
        piece = Piece(self._row, start, stop)
        # what is behind a part of a leaf must not be combined with what is before it
        self._stop = -1 if way.by_leaf and not piece.whole else stop
        for place, (key, value) in enumerate(way.gathered(piece, values).items()):
            known = entries.get(key)
            if known is None:
                entries[key] = (piece.start, place), key, way.first(piece, value)
                continue
            first, name, content = known
            if piece.start < first[0]:  # claimed later, from another queue
                first, name = (piece.start, place), key
            entries[key] = first, name, way.more(content, piece, value)

    def join(self, others: Iterable[tuple[First, Any, Any]]) -> None:
        """Take in what another rank has of some keys."""
        for other in others:
            known = self.entries.get(other[1])
            if known is not None:
                first, name = min(known[:2], other[:2], key=_first)
                other = first, name, self.way.joined(known[2], other[2])
            self.entries[other[1]] = other

    def settled(self) -> list[tuple[First, Any, Any]]:
        """``(first, key, value)`` in the order of first appearance.

        Raises
        ------
        KeyFailure
            When an operation of the user's fails.
        """
        found = []
        for first, key, content in sorted(self.entries.values(), key=_first):
            try:
                found.append((first, key, self.way.settled(content)))
            except BaseException as exc:
                raise KeyFailure(first[0], key, exc) from exc
        return found


def by_key(found: dict[Any, Any]) -> dict[Any, Any]:
    """The same, keys in increasing order, as ``dict(sorted(found.items()))`` of different keys.

    Raises
    ------
    TypeError
        Two keys that cannot be compared; it names them.
    """
    try:
        keys = sorted(found)
    except TypeError as exc:
        one, other = _not_compared(list(found))
        raise TypeError(
            f"sort=True compares the keys, and {one!r:.100} and {other!r:.100} cannot be compared "
            f"({exc}); write keys of one kind, such as str(key), or leave sort= out: then they "
            "stand in the order of their first appearance"
        ) from exc
    return {key: found[key] for key in keys}


def _not_compared(keys: list[Any]) -> tuple[Any, Any]:
    """The two keys at which sorting them stops."""
    last: list[tuple[Any, Any]] = []

    class Noted:
        def __init__(self, key: Any) -> None:
            self.key = key

        def __lt__(self, other: Noted) -> Any:
            last[:] = [(other.key, self.key)]
            return self.key < other.key

    with suppress(TypeError):
        sorted(keys, key=Noted)
    return last[0]


class KeyFailure(Exception):  # carries what was raised to where it is told
    """Combining the values of *key*, first seen in *item*, has failed."""

    def __init__(self, item: int, key: object, exception: BaseException) -> None:
        self.item, self.key, self.exception = item, key, exception


def _first(entry: Any) -> Any:
    return entry[0]
