"""Who holds item i: block, cyclic and block-cyclic maps of n items onto p ranks.

A decomposition is a small frozen value that answers, for every rank alike and without a
message, which rank holds a global index (``owner``), where it lies there (``local``), and back
(``index``).  Each map is its formula and nothing else: whole numbers, exact at any size.  The
formulas also take int64 arrays, element by element; numpy is imported only for those that need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import accumulate

from mpicomp.plan.value import Frozen, whole, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from mpicomp.plan.value import Items


def _smaller(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) else a.clip(max=b)


def _larger(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) else a.clip(min=b)


class Decomposition(Frozen, ABC):
    """A map of the items ``range(n)`` onto the ranks ``range(p)``; see its three subclasses.

    The public methods check their arguments; the subclasses' underscored ones are the formulas.

    Parameters
    ----------
    n : int
        Number of items, 0 or more, of any size.
    p : int
        Number of ranks, 1 or more.

    Raises
    ------
    TypeError, ValueError
        From the constructor, for what is not a whole number, and for one that is too small.
    IndexError
        From the methods, for an item, local index or rank that does not exist.
    """

    __slots__ = ("n", "p")
    __match_args__ = ("n", "p")
    n: int
    p: int

    def __init__(self, n: int, p: int) -> None:
        self._set(n=whole("n", n, 0), p=whole("p", p, 1))

    def owner(self, i: Items) -> Items:
        """Rank that holds item *i*; for an int64 array, the array of ranks.

        Examples
        --------
        >>> [Cyclic(7, 3).owner(i) for i in range(7)]
        [0, 1, 2, 0, 1, 2, 0]
        """
        return self._owner(within("item", i, self.n))

    def local(self, i: Items) -> Items:
        """Place of item *i* among its owner's items, from 0; array in, array out.

        Examples
        --------
        >>> [Cyclic(7, 3).local(i) for i in range(7)]
        [0, 0, 0, 1, 1, 1, 2]
        """
        return self._local(within("item", i, self.n))

    def index(self, rank: int, local: Items) -> Items:
        """Global index of the item at place *local* of *rank*: what ``owner`` and ``local`` undo.

        Examples
        --------
        >>> Cyclic(7, 3).index(1, 1)
        4
        """
        rank = self._rank(rank)
        return self._index(rank, within("local index", local, self._count(rank)))

    def count(self, rank: int) -> int:
        """Number of items that *rank* holds."""
        return self._count(self._rank(rank))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of items of each rank, as ``Scatterv`` and ``Gatherv`` want it."""
        return tuple(map(self._count, range(self.p)))

    @property
    def displs(self) -> tuple[int, ...]:
        """Where each rank's items begin in a buffer packed rank after rank.

        Examples
        --------
        >>> Block(10, 4).counts, Block(10, 4).displs
        ((3, 3, 2, 2), (0, 3, 6, 8))
        """
        return tuple(accumulate(self.counts[:-1], initial=0))

    def spans(self, rank: int) -> Iterator[range]:
        """The contiguous pieces of *rank*, in increasing order, made one at a time.

        Examples
        --------
        >>> list(BlockCyclic(10, 2, 3).spans(0))
        [range(0, 3), range(6, 9)]
        """
        return self._spans(self._rank(rank))

    def indices(self, rank: int) -> range | NDArray[np.int64]:
        """All items of *rank*, in increasing order.

        Returns
        -------
        range or ndarray
            A ``range`` where the items are one; otherwise, for block-cyclic maps with b > 1 on
            several ranks, an int64 array of shape ``(count(rank),)``.
        """
        return self._indices(self._rank(rank))

    def _repr_html_(self) -> str:
        """For notebooks: who holds which item, in colours."""
        from mpicomp.plan.ownermap import html

        return html(self)

    def dim_data(self, rank: int) -> dict[str, Any]:
        """How the Distributed Array Protocol (version 0.9 or 1.0) describes the part of *rank*.

        The dictionary is one entry of the ``'dim_data'`` tuple that ``__distarray__()`` returns.

        Examples
        --------
        >>> part = Block(10, 4).dim_data(1)
        >>> part["dist_type"], part["start"], part["stop"]
        ('b', 3, 6)
        """
        rank = self._rank(rank)
        grid = {"size": self.n, "proc_grid_size": self.p, "proc_grid_rank": rank}
        return {**grid, **self._layout(rank)}

    def _rank(self, rank: int) -> int:
        return within("rank", whole("rank", rank), self.p)  # one rank, not an array of them

    @abstractmethod
    def _owner(self, i: Items) -> Items: ...

    @abstractmethod
    def _local(self, i: Items) -> Items: ...

    @abstractmethod
    def _index(self, rank: int, local: Items) -> Items: ...

    @abstractmethod
    def _count(self, rank: int) -> int: ...

    @abstractmethod
    def _spans(self, rank: int) -> Iterator[range]: ...

    @abstractmethod
    def _indices(self, rank: int) -> range | NDArray[np.int64]: ...

    @abstractmethod
    def _layout(self, rank: int) -> dict[str, Any]: ...


class Contiguous(Decomposition):
    """One piece of neighbours per rank, in the order of the ranks; of any length."""

    __slots__ = ()

    @abstractmethod
    def _indices(self, rank: int) -> range: ...

    def _spans(self, rank: int) -> Iterator[range]:
        piece = self._indices(rank)
        if piece:
            yield piece

    def _layout(self, rank: int) -> dict[str, Any]:
        piece = self._indices(rank)
        return {"dist_type": "b", "start": piece.start, "stop": piece.stop}


class Block(Contiguous):
    """One contiguous piece per rank, as equal as can be: ``schedule="static"``.

    With q, r = divmod(n, p), the first r ranks hold q + 1 items and the others q: the parts of
    ``numpy.array_split``.  Not ScaLAPACK's blocks of ceil(n/p), which can leave ranks empty.

    Parameters
    ----------
    n, p : int
        Numbers of items and ranks.

    Examples
    --------
    >>> Block(10, 4)
    Block(10, 4)
    >>> [Block(10, 4).indices(rank) for rank in range(4)]
    [range(0, 3), range(3, 6), range(6, 8), range(8, 10)]
    >>> Block(10**12, 3).owner(10**12 - 1)
    2
    """

    __slots__ = ()

    def _start(self, rank: Items) -> Items:
        q, r = divmod(self.n, self.p)
        longer: Items = _smaller(rank, r)  # parts before this one that have q + 1 items
        return rank * q + longer

    def _owner(self, i: Items) -> Items:
        # among the r longer parts the first quotient is the rank, after them the second;
        # each falls short in the other's place, so the larger is right everywhere
        q, r = divmod(self.n, self.p)
        rank: Items = _larger(i // (q + 1), (i - r) // max(q, 1))
        return rank

    def _local(self, i: Items) -> Items:
        return i - self._start(self._owner(i))

    def _index(self, rank: int, local: Items) -> Items:
        return self._start(rank) + local

    def _count(self, rank: int) -> int:
        q, r = divmod(self.n, self.p)
        return q + (rank < r)

    def _indices(self, rank: int) -> range:
        return range(self._start(rank), self._start(rank + 1))


class BlockCyclic(Decomposition):
    """Blocks of b items dealt to the ranks in turn: ``schedule="static,b"``.

    ScaLAPACK's map with source rank 0: block k = i // b goes to rank k mod p.

    Parameters
    ----------
    n, p : int
        Numbers of items and ranks.
    b : int
        Items per block, 1 or more; the last block may be shorter.

    Examples
    --------
    >>> [BlockCyclic(10, 2, 3).owner(i) for i in range(10)]
    [0, 0, 0, 1, 1, 1, 0, 0, 0, 1]
    >>> BlockCyclic(10, 2, 3).indices(1)
    array([3, 4, 5, 9])
    """

    __slots__ = ("b",)
    __match_args__: tuple[str, ...] = ("n", "p", "b")
    b: int

    def __init__(self, n: int, p: int, b: int) -> None:
        super().__init__(n, p)
        self._set(b=whole("b", b, 1))

    def _owner(self, i: Items) -> Items:
        return i // self.b % self.p

    def _local(self, i: Items) -> Items:
        block, offset = divmod(i, self.b)
        return block // self.p * self.b + offset

    def _index(self, rank: int, local: Items) -> Items:
        block, offset = divmod(local, self.b)
        return (block * self.p + rank) * self.b + offset

    def _count(self, rank: int) -> int:
        blocks, rest = divmod(self.n, self.b)
        rounds, extra = divmod(blocks, self.p)
        return rounds * self.b + (self.b if rank < extra else rest if rank == extra else 0)

    def _spans(self, rank: int) -> Iterator[range]:
        b = max(self.b, self.n) if self.p == 1 else self.b  # one rank: its blocks touch
        for start in range(rank * b, self.n, self.p * b):
            yield range(start, min(start + b, self.n))

    def _indices(self, rank: int) -> range | NDArray[np.int64]:
        if self.b == 1 or self.p == 1:
            return range(rank, self.n, self.p)
        import numpy as np

        return self._index(rank, np.arange(self._count(rank), dtype=np.int64))

    def _layout(self, rank: int) -> dict[str, Any]:
        return {"dist_type": "c", "start": rank * self.b, "block_size": self.b}


class Cyclic(BlockCyclic):
    """Items dealt to the ranks one by one: ``schedule="static,1"``, BlockCyclic with b = 1.

    Parameters
    ----------
    n, p : int
        Numbers of items and ranks.

    Examples
    --------
    >>> [Cyclic(10, 4).indices(rank) for rank in range(2)]
    [range(0, 10, 4), range(1, 10, 4)]
    """

    __slots__ = ()
    __match_args__ = ("n", "p")

    def __init__(self, n: int, p: int) -> None:
        super().__init__(n, p, 1)
