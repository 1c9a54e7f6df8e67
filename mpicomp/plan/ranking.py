"""The place of each entry among those of all ranks, though no rank sees them all.

Rules of this file: pure.  An entry is a pair of whole numbers, another for each; a rank's own rise.

    every rank    sampled -> all          cuts: alike on all          bounds: which rank gets which
    that rank     numbered: the places of what came to it, which go back to where they came from
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import int64
    from numpy.typing import NDArray

    Entry = tuple[int, int]

_SAMPLES = 64


def sampled(entries: Sequence[Entry]) -> list[Entry]:
    """Some of a rank's entries, evenly spaced, by which all ranks know how they lie."""
    n = len(entries)
    return [entries[n * k // _SAMPLES] for k in range(_SAMPLES)] if n > _SAMPLES else [*entries]


def cuts(samples: Sequence[Entry], p: int) -> list[Entry]:
    """With which entry the share of rank 1, 2, … begins.

    Examples
    --------
    >>> cuts([(3, 0), (0, 0), (0, 1), (9, 9)], 2)
    [(3, 0)]
    """
    found = sorted(samples) or [(0, 0)]
    return [found[len(found) * k // p] for k in range(1, p)]


def bounds(entries: Sequence[Entry], begins: Sequence[Entry]) -> list[int]:
    """Where in *entries* the share of each rank begins, and where the last ends."""
    return [0, *(bisect_left(entries, begin) for begin in begins), len(entries)]


def numbered(parts: Sequence[Any], at: int) -> list[NDArray[int64]]:
    """The places of entries that came in several parts.

    Parameters
    ----------
    parts : sequence of ndarray of int64, shape (entries, 2)
    at : int
        How many lie before them on other ranks.

    Returns
    -------
    list of ndarray of int64
        For each part the places of its entries.
    """
    import numpy as np

    rows = np.concatenate(parts)
    places = np.empty(len(rows), np.int64)
    places[np.lexsort((rows[:, 1], rows[:, 0]))] = np.arange(at, at + len(rows))
    return np.split(places, np.cumsum([len(part) for part in parts])[:-1])
