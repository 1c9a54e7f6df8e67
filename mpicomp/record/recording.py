"""``with mpicomp.record() as rec``: the calls inside it leave their timelines in *rec*.

Rules of this file: light, for every call asks it whether somebody is recording; numpy and
matplotlib are imported where they are used.
"""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Unpack

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.schedule import Schedule
    from mpicomp.record.simulate import Assumed, Outcome
    from mpicomp.record.summary import Summary
    from mpicomp.record.timeline import Path, Timeline

_active: ContextVar[Record | None] = ContextVar("mpicomp.record", default=None)
_under_way: ContextVar[bool] = ContextVar("mpicomp.recorded", default=False)


def recording() -> Record | None:
    """The record of the innermost ``with record()`` block (of this thread or task), or None.

    Examples
    --------
    >>> recording() is None
    True
    >>> with record() as rec:
    ...     recording() is rec
    True
    """
    return _active.get()


def wanted() -> bool:
    """Whether a call that begins now is recorded: not one in an item of a recorded one.

    Examples
    --------
    >>> with record():
    ...     with under_way():
    ...         inside = wanted()
    ...     inside, wanted()
    (False, True)
    """
    return _active.get() is not None and not _under_way.get()


class under_way:  # reads as a clause: with under_way()
    """A recorded call is: what its items call is their own."""

    def __enter__(self) -> None:
        self._token = _under_way.set(True)

    def __exit__(self, *_: object) -> None:
        _under_way.reset(self._token)


class Record:
    """Timelines of calls, in the order in which they were made.

    A record without calls, as all ranks but the root have it, writes no file: so
    ``rec.save("run.npz")`` and ``rec.plot("run.png")`` need no ``if rank == 0``.

    Parameters
    ----------
    calls : iterable of Timeline

    Attributes
    ----------
    calls : list of Timeline

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> events = [(0, 0, 6, 1, 0.0, 6.0), (1, 6, 8, 1, 0.0, 2.0)]
    >>> call = Timeline("psum", "static", "static", "", 8, "ab", "  ", 0.0, 6.0, events)
    >>> rec = Record([call])
    >>> rec
    <Record: 1 call>
    >>> print(rec.text(width=12))
    psum of 8 items, "static" (static), 2 ranks
    0 |████████████| 100 %
    1 |████        |  33 %
       0 to 6 s
    >>> rec.summary().imbalance
    0.5
    >>> rec.costs()
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    >>> rec[-1].calls == rec.calls == [one.calls[0] for one in rec]
    True
    >>> rec.replay("dynamic,1", claim=0.0)
    <Outcome: dynamic,1 (counter) on 2 ranks: 4 s, efficiency 1.000, imbalance 0.000>
    """

    __slots__ = ("calls",)

    def __init__(self, calls: Iterable[Timeline] = ()) -> None:
        self.calls = list(calls)

    def __repr__(self) -> str:
        return f"<Record: {len(self.calls)} call{'s' * (len(self.calls) != 1)}>"

    def __getitem__(self, place: int | slice) -> Record:
        """One of the calls, or several, as a record of its own."""
        calls = self.calls[place]
        return Record(calls if isinstance(calls, list) else [calls])

    def __iter__(self) -> Iterator[Record]:
        """The calls, each as a record of its own."""
        return (Record([call]) for call in self.calls)

    def add(self, timeline: Timeline) -> None:
        """Append the timeline of one more call."""
        self.calls.append(timeline)

    def summary(self) -> Summary:
        """How long each rank computed, waited and stood idle, over all calls."""
        from mpicomp.record.summary import Summary

        return Summary(self.calls)

    def costs(self) -> NDArray[np.float64]:
        """Seconds of each item of the last call, for ``cost=`` of the next one like it.

        The time of a run is divided evenly among its items, so record with small ones.  Items
        that were not computed cost nothing.  Without calls, as on all ranks but the root, there
        are no costs; ``cost=`` wants the root's alone.

        Returns
        -------
        ndarray, float64, shape (n,), seconds
        """
        import numpy as np

        from mpicomp.record.costs import per_item

        return per_item(self.calls[-1]) if self.calls else np.zeros(0)

    def text(self, width: int = 64, most: int = 32) -> str:
        """A Gantt chart for terminals; see `mpicomp.record.gantt.gantt`."""
        from mpicomp.record.gantt import gantt

        return gantt(self.calls, width, most)

    def plot(self, path: Path | None = None, most: int = 256) -> Figure | None:
        """A Gantt chart with a bar of each rank's load beside it.

        Parameters
        ----------
        path : path, optional
            Where to write it; the suffix says as what: ``.png``, ``.svg``, ``.pdf``.
        most : int
            Rows; of more ranks than that, so many are shown.

        Returns
        -------
        matplotlib.figure.Figure or None
            None when there are no calls.

        Raises
        ------
        MissingExtra
            Without matplotlib.
        """
        from mpicomp.record.picture import picture

        return picture(self.calls, path, most) if self.calls else None

    def save(self, path: Path) -> None:
        """Write all calls to one file; see `mpicomp.record.timeline.save`."""
        from mpicomp.record.timeline import save

        if self.calls:
            save(self.calls, path)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what `save` has written."""
        from mpicomp.record.timeline import load

        return cls(load(path))

    def replay(
        self,
        schedule: str | Schedule | PlanLike | None = None,
        ranks: int | None = None,
        **assumed: Unpack[Assumed],
    ) -> Outcome:
        """What these calls would have cost with another schedule, on another number of ranks.

        What an item costs is not measured, only what a chunk does: the time of each chunk is
        divided evenly among its items.  So record with small chunks (``"auto"`` or ``"dynamic"``)
        what is to be replayed.

        Parameters
        ----------
        schedule, ranks
            Those of each call when left out.
        **assumed
            As of `mpicomp.record.simulate.simulate`.

        Returns
        -------
        Outcome
            Over all calls, one after the other.
        """
        from mpicomp.record.simulate import replay

        return replay(self.calls, schedule, ranks, **assumed)

    def _repr_html_(self) -> str:
        """For notebooks: the numbers and the Gantt chart, which is text without matplotlib."""
        from html import escape

        from mpicomp.record.picture import MissingExtra, inline

        if not self.calls:
            return f"<pre>{escape(self.text())}</pre>"
        try:
            chart = inline(self.calls)
        except MissingExtra:
            chart = f'<pre style="line-height: 1.2">{escape(self.text())}</pre>'
        return f"<div><pre>{escape(str(self.summary()))}</pre>{chart}</div>"


class record:  # reads as a verb: with record()
    """Record the calls inside a ``with`` block (of this thread or task).

    Collective: every rank enters the block.  The root of a call gets its timeline; on the other
    ranks the record stays empty.  Blocks may be nested: the outer one has the calls of the inner
    one too.

    Examples
    --------
    >>> from mpicomp.record.recording import record, recording
    >>> with record() as rec:
    ...     ...  # plist(f(x) for x in xs)
    Ellipsis
    >>> rec.calls, recording()
    ([], None)
    """

    def __enter__(self) -> Record:
        self._record = Record()
        self._token = _active.set(self._record)
        return self._record

    def __exit__(self, *_: object) -> None:
        _active.reset(self._token)
        outer = _active.get()
        if outer is not None:
            outer.calls.extend(self._record.calls)
