"""``progress=True``: the bar of the root's engine, drawn in the notebook.

    root's engine   Sent, in the place of `mpicomp.record.progress.Display`  ──> ipyparallel's data
    notebook        Bar, which looks at it a few times a second

Rules of this file: what is shown changes no result; a report that comes late is of no harm.
"""

from __future__ import annotations

import warnings
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call


class Sent:
    """On the root's engine: tells the notebook what `Display` would draw."""

    def __init__(self, title: str, total: int | None, ranks: int) -> None:
        self._about = {"total": total, "ranks": ranks}

    def show(self, done: int, busy: int) -> None:
        """*done* items are computed, and *busy* ranks are at work."""
        from ipyparallel.datapub import publish_data  # type: ignore[import-untyped]  # as it is

        publish_data({"done": done, "busy": busy, **self._about})

    def close(self, done: int, busy: int) -> None:
        """The same for the last time."""
        self.show(done, busy)


class Bar:
    """In the notebook: one call's progress."""

    def __init__(self, call: Call) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without ipywidgets it draws in characters
            from tqdm.auto import tqdm  # type: ignore[import-untyped]  # it has no annotations
        self._bar: Any = tqdm(desc=call.verb, unit=" items", total=call.comprehension.source.n)

    def show(self, told: dict[str, Any]) -> None:
        """Draw what the root's engine has told, if it has told anything."""
        if told:
            self._bar.total = told["total"]
            busy = f"{told['busy']} of {told['ranks']} ranks busy"
            self._bar.set_postfix_str(busy, refresh=False)
            self._bar.update(told["done"] - self._bar.n)

    def close(self, told: dict[str, Any]) -> None:
        """The same for the last time."""
        self.show(told)
        self._bar.close()
