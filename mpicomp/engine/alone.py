"""Who is in a parallel call: one thread of this process at a time, from its beginning to its end.

Rules of this file: a verb that is called inside an item is told apart from one that a second
thread calls: that one would mix its messages with those under way.
"""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext

from mpicomp.errors import ConcurrentCallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import FrameType
    from typing import Any

_busy = threading.Lock()
_owner = 0  # the thread inside a parallel call
_held: Hold | None = None  # what keeps the ranks between two parts of its work


def nested() -> bool:
    """Whether this thread is inside an item of a parallel call."""
    return _owner == threading.get_ident()


def frame_inside() -> FrameType | None:
    """What the thread inside a parallel call is doing; None when there is none."""
    return sys._current_frames().get(_owner)


class alone:  # reads as a clause: with alone(verb)
    """Keeps a second thread out while one is in a parallel call."""

    def __init__(self, verb: str) -> None:
        self.verb = verb

    def __enter__(self) -> None:
        global _owner
        held = _held
        if not _busy.acquire(blocking=held is not None and held.ends_soon):
            if held is not None:
                raise ConcurrentCallError(f"{self.verb} was called while {held.under_way}")
            raise ConcurrentCallError(
                f"{self.verb} was called from thread {threading.current_thread().name!r} while "
                "another thread is in a parallel call: their messages would mix; "
                "call from one thread, one call after the other"
            )
        _owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        global _owner
        _owner = 0
        _busy.release()


class Hold(alone):
    """The same for work in parts, such as an iterator's: it keeps the ranks in between too.

    Parameters
    ----------
    verb : str
    under_way : str
        What to tell who makes a call meanwhile: what holds the ranks, and how to end that.
    around : context manager, optional
        Entered for as long as this thread runs items, each time.
    """

    def __init__(
        self, verb: str, under_way: str, around: AbstractContextManager[Any] | None = None
    ) -> None:
        super().__init__(verb)
        self.under_way = under_way
        self._ends_in: threading.Thread | None = None
        self._around = around or nullcontext()

    def __enter__(self) -> None:
        global _held
        super().__enter__()
        _held = self

    def __exit__(self, *_: object) -> None:
        global _held
        _held = None
        super().__exit__()

    def ends(self, thread: threading.Thread) -> None:
        """From now on *thread* ends the work, whatever happens: the next call waits for that."""
        self._ends_in = thread

    @property
    def ends_soon(self) -> bool:
        """Whether another thread than this one is ending it."""
        return self._ends_in not in (None, threading.current_thread())

    def inside(self) -> None:
        """From now on this thread runs items: verbs in them are serial."""
        global _owner
        _owner = threading.get_ident()
        self._around.__enter__()

    def outside(self) -> None:
        """From now on nobody does."""
        global _owner
        self._around.__exit__(None, None, None)
        _owner = 0
