"""How many items of a stream are read at once: many while that is quick, one where it takes long.

Rules of this file: pure; who reads has the clock.
"""

from __future__ import annotations

_MOST = 64
_QUICK = 1e-4  # seconds in which a gulp is quick


class Gulp:
    """The size of what is read at once, while somebody waits for it.

    Examples
    --------
    >>> gulp = Gulp()
    >>> gulp.of(100, hungry=True), gulp.of(100, hungry=False)
    (1, 64)
    >>> gulp.took(1e-6)
    >>> gulp.of(100, hungry=True), gulp.several
    (2, True)
    >>> gulp.took(1.0)
    >>> gulp.of(100, hungry=True)
    1
    """

    __slots__ = ("_size",)

    def __init__(self) -> None:
        self._size = 1

    def of(self, wanted: int, hungry: bool) -> int:
        """How many of those *wanted* to read now; *hungry*: somebody has nothing to do."""
        return min(wanted, self._size if hungry else _MOST)

    def took(self, seconds: float) -> None:
        """Reading them took so long."""
        size = self._size
        self._size = min(_MOST, 2 * size) if seconds < _QUICK else max(1, size // 2)

    @property
    def several(self) -> bool:
        """Whether reading has been quick."""
        return self._size > 1
