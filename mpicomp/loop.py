"""A loop that is run for what it does: files written, simulations started.

Rules of this file: those of `mpicomp.verbs`.
"""

from __future__ import annotations

from mpicomp.calling import called
from mpicomp.engine.tally import Outcome, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Unpack

    from mpicomp.options import Common

__all__ = ["Outcome", "pfor"]


def pfor(gen: Iterable[Any], /, **options: Unpack[Common]) -> Outcome | None:
    """Run the comprehension for its effect, and count: ``for _ in gen: pass`` on all ranks.

    What the items give is dropped on the rank where it was made: nothing travels, and no memory is
    held.  Each item is computed once, by one rank; in which order is not said.

    Collective: every rank of *comm* calls; the root gets the `Outcome`, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Such as ``write(x) for x in xs`` or ``map(write, xs)``.
    **options
        See `plist`.  With ``errors="return"`` the loop goes on behind an item that raises, and the
        outcome tells which did.

    Returns
    -------
    Outcome or None
        ``done``, ``failed``, ``errors``.

    Examples
    --------
    >>> from mpicomp import pfor
    >>> pfor(abs(x) for x in range(10) if x % 2)
    Outcome(done=5, failed=0, errors=[])
    >>> pfor((10 // x for x in range(3)), errors="return")
    Outcome(done=2, failed=1, errors=[(0, ZeroDivisionError('integer division or modulo by zero'))])
    """
    return called("pfor", gen, lambda *_: Tally(), options)  # type: ignore[no-any-return]  # the engine knows no verb
