"""One item by itself: tried again where it fails, stopped where it takes too long.

Rules of this file: what an attempt that failed has given is forgotten before the next.
"""

from __future__ import annotations

from math import inf
from typing import Any

from mpicomp.engine import limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.call import Call
    from mpicomp.plan.source import Source


def attempt(
    call: Call, source: Source, item: range, found: list[Any], about: Callable[[], str]
) -> tuple[BaseException | None, int]:
    """Compute one item (or the chunk of a batched function) as often as the options allow.

    Parameters
    ----------
    call : Call
    source : Source
    item : range
        Its position.
    found : list
        Gets its values; of an item that fails, those of the last attempt before it did.
    about : callable
        Says, for people, which item it is.

    Returns
    -------
    failure : BaseException or None
        What the last attempt raised.
    times : int
        Attempts made.
    """
    make, needed = call.comprehension.make, call.collector.needed

    def once() -> None:
        found.extend(needed(iter(make(source.cut(item).open()[0]))))

    seconds = call.options.timeout
    interruptible = seconds is not None or (call.options.reissue and limit.here())
    times = 0
    while True:
        found.clear()
        times += 1
        try:
            if interruptible:
                limit.limited(once, inf if seconds is None else seconds, about)
            elif call.options.reissue and limit.is_abandoned():
                return limit.Abandoned(), times
            else:
                once()
        except Exception as exc:
            if times > call.options.retries:
                return exc, times
        except BaseException as exc:
            return exc, times
        else:
            return None, times


def attempts_note(times: int) -> tuple[str, ...]:
    """For the error of an item that was tried more than once."""
    return (f"  tried {times} times",) if times > 1 else ()
