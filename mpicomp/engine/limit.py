"""Interrupting an item that takes too long.

Rules of this file: an interruption is raised in the main thread, inside an item and nowhere else;
so no message and no collector is ever cut in two.

    main thread    listening: limited(item, seconds), limited(item, seconds), ...
    the alarm      Python's handler raises `Rang` where the item stands, again every second if the
                   item swallows it, or has just fallen asleep in C and not heard it
    a thread       watches for items that do not come back to Python at all, and ends the job

What runs in C and does not return to the interpreter hears the alarm when it comes back.  If it
does not within the grace (as long again as it was given, at least `GRACE`), its rank is named,
with the item and the line, and the job ends with exit code 1.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from math import inf
from types import FrameType

from mpicomp.errors import OptionError
from mpicomp.wire import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mpicomp.options import Options

GRACE = 10.0  # seconds
_AGAIN = 1.0  # seconds until an item that has swallowed an interruption gets the next
_SOONEST = 1e-3  # seconds: one that rings at once would ring before the item sleeps on, unheard
_LOOK = 0.5  # seconds between two looks of the thread


class Rang(BaseException):  # no Exception: the item's own ``except Exception`` lets it pass
    """The alarm of a section."""

    def __init__(self, section: Section) -> None:
        super().__init__("the time of this item is over")
        self.section = section


class Abandoned(BaseException):
    """Nobody needs this item any more: another rank has done it."""


class Section:
    """An item at work, with a time limit or without.

    Attributes
    ----------
    expires : float
        On the monotonic clock.
    open : bool
        An alarm may be raised.
    """

    __slots__ = ("about", "expires", "grace", "open")

    def __init__(self, seconds: float, about: Callable[[], str]) -> None:
        self.expires = time.monotonic() + seconds
        self.grace = max(GRACE, seconds)
        self.about = about
        self.open = True


_sections: list[Section] = []  # the outermost first: a verb inside an item may set limits too
_guarded_in = 0  # the process in which the thread runs: a fork has none
_abandoned = False
_depth = 0  # of `listening` blocks
_armed = inf  # when the timer rings: at the latest when the first section ends


def check(options: Options) -> None:
    """Raise `OptionError` where items cannot be interrupted."""
    if options.timeout is None:
        return
    if not here():
        raise OptionError(
            "timeout= interrupts items by a signal, which Python delivers to the main thread of a "
            "Unix process only; make the call there, or leave timeout out"
        )


def limited(work: Callable[[], object], seconds: float, about: Callable[[], str]) -> None:
    """Call *work*, which may take so long, in the main thread.

    Parameters
    ----------
    work : callable
    seconds : float
    about : callable
        Says, for people, what is at work.

    Raises
    ------
    TimeoutError
        It took longer; the traceback says where it stood.
    Abandoned
        Another thread has called `abandon`.
    """
    if not _depth:
        with listening():
            return limited(work, seconds, about)
    section = Section(seconds, about)
    trace: TracebackType | None = None
    _sections.append(section)
    try:
        _arm(section.expires)
        if _abandoned:
            raise Rang(section)
        try:
            work()
        finally:
            section.open = False
        return
    except Rang as rang:
        if rang.section is not section:
            raise
        trace = rang.__traceback__
    finally:
        section.open = False
        _sections.remove(section)
    if _abandoned:
        raise Abandoned
    raise TimeoutError(f"the item took longer than timeout={seconds:g} seconds").with_traceback(
        trace
    )


def here() -> bool:
    """Whether items of this thread can be interrupted."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


class listening:  # reads as a clause: with limit.listening()
    """In this block items can be interrupted.

    Outside of it the signal ends the process.  Blocks may stand in one another; the outermost
    does the work, so that an item in it costs no system call.
    """

    def __enter__(self) -> None:
        global _depth
        self._here = here()
        if self._here:
            _depth += 1
            if _depth == 1:
                self._before = signal.signal(signal.SIGALRM, _ring)

    def __exit__(self, *_: object) -> None:
        global _depth, _armed
        if not self._here:
            return
        _depth -= 1
        if _depth == 0:
            resume()
            signal.setitimer(signal.ITIMER_REAL, 0)
            _armed = inf
            before = self._before
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)


def abandon() -> None:
    """Interrupt the items of the main thread, that at work and all to come until `resume`."""
    global _abandoned
    _abandoned = True
    if signal.getsignal(signal.SIGALRM) is _ring:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


def resume() -> None:
    """From now on items are needed again."""
    global _abandoned
    _abandoned = False


def is_abandoned() -> bool:
    """Whether the items are not needed."""
    return _abandoned


def _arm(at: float) -> None:
    """See to it that the timer rings at that time, or before."""
    global _armed
    if at < _armed:
        _armed = at
        signal.setitimer(signal.ITIMER_REAL, max(_SOONEST, at - time.monotonic()), _AGAIN)
        _guarded()


def _ring(_: int, __: FrameType | None) -> None:
    global _armed
    now = time.monotonic()
    _armed = inf
    for section in _sections:
        if section.open and (_abandoned or section.expires <= now):
            _arm(now + _AGAIN)
            raise Rang(section)
    _arm(min((section.expires for section in _sections), default=inf))


def _guarded() -> None:
    """See to it that the thread runs."""
    global _guarded_in
    if _guarded_in != os.getpid():
        _guarded_in = os.getpid()
        threading.Thread(target=_watch, name="mpicomp-limit", daemon=True).start()


def _watch() -> None:
    while True:
        time.sleep(_LOOK)
        now = time.monotonic()
        for section in _sections[:1]:  # the outermost is the item of the parallel call
            if section.open and section.expires + section.grace < now:
                _give_up(section)


def _give_up(section: Section) -> None:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    sys.stderr.write(
        f"{stack}TimeoutError: an item has not come back to Python {section.grace:g} seconds "
        f"after its time was over, and cannot be interrupted\n{section.about()}\n"
        "the job ends here; run what may hang in a process of its own, or give it a limit of its "
        "own\n"
    )
    sys.stderr.flush()
    guard.end_job()
    os._exit(1)  # where there is no job
