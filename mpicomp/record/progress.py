"""How far a call is, on the root's standard error: a bar on a terminal, lines elsewhere.

Rules of this file: who counts is `mpicomp.engine.metering`; tqdm is imported where it draws.
"""

from __future__ import annotations

import sys
from importlib import import_module
from time import monotonic
from typing import Any

from mpicomp.record.picture import MissingExtra
from mpicomp.record.units import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_FIRST, _GROWTH, _LAST = 1.0, 1.5, 60.0  # seconds between two lines: ever more, up to a minute
_OPEN = "{desc}: {n_fmt}, {elapsed}, {rate_fmt}{postfix}"
_OF = _OPEN.replace("{n_fmt}, {elapsed}", "{percentage:3.0f} %, {n_fmt} of {total_fmt}, "
                    "{elapsed}<{remaining}")  # fmt: skip


def tqdm() -> Any:
    """tqdm's class.

    Raises
    ------
    MissingExtra
        Without tqdm.
    """
    try:
        return import_module("tqdm").tqdm
    except ImportError as exc:
        raise MissingExtra(
            f"progress=True draws with tqdm, which cannot be imported ({exc}); write pip install "
            '"mpicomp[progress]", or leave progress out'
        ) from exc


class Display:
    """One call's progress.

    Parameters
    ----------
    title : str
    total : int or None
        Number of items; None of a stream.
    ranks : int
    file : file, optional
        Where to write; a terminal gets a bar.  Standard error when left out.

    Examples
    --------
    >>> display = Display("plist", total=10, ranks=4, file=sys.stdout)
    >>> display.close(done=10, busy=0)  # doctest: +ELLIPSIS
    plist: 100 %, 10 of 10, 00:00<00:00, ... items/s, 0 of 4 ranks busy
    """

    def __init__(
        self, title: str, total: int | None, ranks: int, file: TextIO | None = None
    ) -> None:
        self._title, self._total, self._ranks = title, total, ranks
        self._file = sys.stderr if file is None else file
        self._began = monotonic()
        self._pause = _FIRST
        self._next = self._began + self._pause
        self._bar = _bar(title, total, self._file) if self._file.isatty() else None

    def show(self, done: int, busy: int) -> None:
        """*done* items are computed, and *busy* ranks are at work."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._busy(busy), refresh=False)
            self._bar.update(done - self._bar.n)
            self._bar.refresh()
        elif monotonic() >= self._next:
            self._line(done, busy)
            self._pause = min(_LAST, self._pause * _GROWTH)
            self._next = monotonic() + self._pause

    def close(self, done: int, busy: int) -> None:
        """The same for the last time."""
        if self._bar is None:
            self._line(done, busy)
        else:
            self.show(done, busy)
            self._bar.close()

    def _line(self, done: int, busy: int) -> None:
        text = tqdm().format_meter(
            done, self._total, max(monotonic() - self._began, 1e-9), prefix=self._title,
            unit=" items", bar_format=_OPEN if self._total is None else _OF,
            postfix=self._busy(busy),
        )  # fmt: skip
        print(text, file=self._file, flush=True)

    def _busy(self, busy: int) -> str:
        return f"{busy} of {counted(self._ranks, 'rank')} busy" if self._ranks > 1 else ""


def _bar(title: str, total: int | None, file: TextIO) -> Any:
    class Bar(tqdm()):  # type: ignore[misc]  # tqdm has no types
        monitor_interval = 0  # no thread of tqdm's that would outlive the call

    return Bar(
        total=total, desc=title, file=file, unit=" items", dynamic_ncols=True,
        mininterval=0, miniters=0,
    )  # fmt: skip
