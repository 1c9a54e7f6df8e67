"""Combining values along a tree that the positions alone decide.

Rules of this file: pure.  Which rank computed what, in which order, and how many ranks there
were does not change the tree, and so not one bit of the result.

Items are taken in leaves of `LEAF`; the values of a leaf are combined from left to right.
Leaf k and leaf k+1 (k even) are combined into a node, two neighbouring nodes into the next,
as in a binary counter.  A rank combines what it has whole and ships the rest, so that what it
holds and sends grows with the logarithm of its share.
"""

from __future__ import annotations

from functools import reduce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Node = tuple[int, int, int, list[Any]]  # start, stop, level (-1: part of a leaf), values

LEAF = 32
"""Items of a leaf: up to so many, the fold is the plain one from left to right."""


class Fold:
    """The nodes combined so far, in order of position.

    Parameters
    ----------
    op : callable
        Associative: ``op(op(a, b), c) == op(a, op(b, c))``.
    n : int, optional
        Number of items, once it is known: then the last, shorter leaf can be closed.
    """

    __slots__ = ("_n", "_op", "nodes")

    def __init__(self, op: Callable[[Any, Any], Any], n: int | None = None) -> None:
        self._op = op
        self._n = n
        self.nodes: list[Node] = []

    def add(self, start: int, stop: int, values: list[Any], level: int = -1) -> None:
        """Put in what the items ``range(start, stop)`` gave: part of a leaf, or a whole node."""
        nodes = self.nodes
        if level < 0:
            if nodes and nodes[-1][2] < 0 and nodes[-1][1] == start and start % LEAF:
                start, _, _, before = nodes.pop()
                values = before + values
            first = start - start % LEAF
            if start == first and stop == self._clip(first + LEAF):
                level, values = 0, self._reduced(values)
        nodes.append((start, stop, level, values))
        while level >= 0 and len(nodes) > 1 and self._siblings(nodes[-2], nodes[-1]):
            right, left = nodes.pop(), nodes.pop()
            level += 1
            nodes.append((left[0], right[1], level, self._reduced(left[3] + right[3])))

    def _clip(self, stop: int) -> int:
        return stop if self._n is None else min(stop, self._n)

    def _reduced(self, values: list[Any]) -> list[Any]:
        return [reduce(self._op, values)] if values else []

    @staticmethod
    def _siblings(left: Node, right: Node) -> bool:
        width = LEAF << left[2] if left[2] >= 0 else 0
        return left[2] == right[2] and left[1] == right[0] and left[0] % (2 * width) == 0

    def result(self, *initial: Any) -> Any:
        """All of it, after *initial* if given (as `functools.reduce`)."""
        values = [value for node in self.nodes for value in node[3]]
        return reduce(self._op, values, *initial)


def merged(op: Callable[[Any, Any], Any], n: int, nodes: Iterable[Node]) -> Fold:
    """One fold of the nodes of many ranks; items that are in none gave no values."""
    whole = Fold(op, n)
    known = sorted(nodes, key=lambda node: node[:3])
    at = 0
    for start, stop, level, values in [*known, (n, n, -1, [])] if known else ():
        for gap in leaves(range(at, start)):
            whole.add(gap.start, gap.stop, [])
        if start < stop:
            whole.add(start, stop, values, level)
        at = stop
    return whole


def leaves(piece: range) -> Iterable[range]:
    """*piece* (of step 1) cut where leaves begin."""
    at = piece.start
    while at < piece.stop:
        stop = min(piece.stop, at - at % LEAF + LEAF)
        yield range(at, stop)
        at = stop
