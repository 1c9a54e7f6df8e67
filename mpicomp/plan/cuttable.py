"""What the sequences of ours have in common: each knows its source.

Rules of this file: pure.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.plan.source import Source

T = TypeVar("T")


class Cuttable(Sequence[T]):
    """A sequence that walks over its own ``source``."""

    __slots__ = ()

    @property
    @abstractmethod
    def source(self) -> Source:
        """What a comprehension over this sequence runs over."""

    def __iter__(self) -> Iterator[T]:
        # a generator function, so that a comprehension over it can be traced back to self
        yield from self.source.open()[0]
