"""``parray``: numbers go from the comprehension into one typed array, never through pickle.

Rules of this file: the result is ``numpy.array([*gen], dtype)``.  Where each item gives one
number, its place is known beforehand: ranks on the root's node write straight into the root's
array (`mpicomp.wire.slab`).  Where it does not, and on other nodes, ranks fill arrays of their
own, which travel as raw buffers.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.collect import Collector, Row, grown, grown_by
from mpicomp.plan.source import length
from mpicomp.wire.slab import open_slab

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.wire.world import World

_WORTH = 1 << 20  # bytes below which one message is faster than shared memory


class Arrayed(Collector):
    """Values as an array of one dtype."""

    sets_up = True
    can_stay = True
    eager = True

    def __init__(self, dtype: Any) -> None:
        import numpy as np

        self.np = np
        self.dtype = np.dtype(dtype)
        self.numeric = self.dtype.kind in "biufc"
        self.out: Any = None
        self.parts: list[Any] = []
        self.rows: list[Row] = []
        self.scalar: bool | None = None
        self.wrote = False

    def prepare(self, world: World, n: int, one_to_one: bool, root: int | None) -> None:
        if not (one_to_one and self.numeric):
            return
        if world.size == 1:
            self.out = self.np.empty(n, self.dtype)
        elif root is not None and n * self.dtype.itemsize >= _WORTH:
            self.out = open_slab(world, (n,), self.dtype, root)

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        part = self._part(piece, values)
        if self.out is not None and self.scalar is False:
            self.out = None  # items are arrays, and their places unknown
        if self.out is None:
            self.parts.append(part)
            grown(self.rows, piece, len(part))
        else:
            self.wrote = True
            self.out[piece.start : piece.stop : piece.step] = part

    def _part(self, piece: range, values: Iterator[Any] | list[Any]) -> Any:
        if self.numeric and self.scalar:
            count = length(piece) if self.out is not None else -1
            return self.np.fromiter(values, self.dtype, count)
        part = self.np.array(list(values), self.dtype)
        if len(part):
            self.scalar = part.ndim == 1
        return part

    def export(self) -> Any:
        parts = [part for part in self.parts if len(part)]
        return (self._joined(parts) if parts else None), self.rows, self.wrote

    def fresh(self) -> Arrayed:
        part = Arrayed(self.dtype)
        part.scalar = self.scalar
        return part

    def absorb(self, part: Any) -> None:
        values, rows, _ = part
        if values is None:
            return
        self.scalar = values.ndim == 1
        if self.out is not None and not self.scalar:
            self.out = None
        if self.out is not None:
            self.wrote = True
            self._placed(self.out, [part])
        else:
            self.parts.append(values)
            grown_by(self.rows, rows)

    def stayed(self) -> tuple[Any, list[Row]]:
        if self.out is not None:  # this rank is alone
            n = len(self.out)
            return self.out, [Row(0, 1, n, n)]
        parts = [part for part in self.parts if len(part)]
        return (self._joined(parts) if parts else self.np.empty(0, self.dtype)), self.rows

    def _joined(self, parts: list[Any]) -> Any:
        return self.np.concatenate(parts, dtype=self._dtype_of(parts))

    def _dtype_of(self, parts: list[Any]) -> Any:
        """The dtype asked for; of text without a length, the longest of the parts."""
        if self.dtype.itemsize:
            return self.dtype
        return self.np.result_type(*(part.dtype for part in parts))

    def finish(self, exports: list[Any], n: int) -> Any:
        filled = [export for export in exports if export[0] is not None]
        tails = {part.shape[1:] for part, _, _ in filled}
        if any(export[2] for export in exports):
            tails.add(())
        if len(tails) > 1:
            raise ValueError(
                f"parray got items of different shapes: {sorted(tails)}; "
                "give numbers, or arrays of one shape"
            )
        if self.wrote or (self.out is not None and tails == {()}):
            return self._placed(self.out, filled)
        if not filled:
            return self.np.empty(0, self.dtype)
        parts = [part for part, _, _ in filled]
        if all(row.step == 1 for _, rows, _ in filled for row in rows):
            return self._chained(filled)
        shape = sum(map(len, parts)), *tails.pop()
        return self._placed(self.np.empty(shape, self._dtype_of(parts)), filled)

    def _placed(self, out: Any, filled: list[Any]) -> Any:
        for part, rows, _ in filled:
            at = 0
            for row in rows:
                stop = row.start + row.step * row.given
                out[row.start : stop : row.step] = part[at : at + row.given]
                at += row.given
        return out

    def _chained(self, filled: list[Any]) -> Any:
        parts = []
        for part, rows, _ in filled:
            at = 0
            for row in rows:
                parts.append((row.start, part[at : at + row.given]))
                at += row.given
        parts.sort(key=lambda pair: pair[0])
        return self._joined([part for _, part in parts])
