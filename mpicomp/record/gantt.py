"""Who computed when, in characters: one line a rank, one column a moment.

Rules of this file: calls are drawn back to back; what the program did between them is left out.
"""

from __future__ import annotations

from mpicomp.record.units import counted, duration, evenly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mpicomp.record.timeline import Events, Timeline

_SHADES = " ░▒▓█"


def back_to_back(calls: Sequence[Timeline]) -> tuple[Events, NDArray[np.float64]]:
    """All events on one axis, on which each call begins where the one before it ended.

    Returns
    -------
    events : ndarray of `mpicomp.record.timeline.EVENT`
    edges : ndarray, float64, shape (calls + 1,), seconds
        Where each call begins, and the last one ends.

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> call = Timeline("psum", "static", "serial", "", 1, "a", " ", 5.0, 7.0, [(0, 0, 1, 1, 0, 1)])
    >>> events, edges = back_to_back([call, call])
    >>> events["begin"].tolist(), edges.tolist()
    ([0.0, 2.0], [0.0, 2.0, 4.0])
    """
    import numpy as np

    from mpicomp.record.timeline import EVENT

    lengths = [max(call.seconds, call.makespan) for call in calls]
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    events = np.concatenate([np.empty(0, EVENT), *(call.events for call in calls)])
    shifts = np.repeat(edges[:-1], [len(call.events) for call in calls])
    events["begin"] += shifts
    events["end"] += shifts
    return events, edges


def gantt(calls: Sequence[Timeline], width: int = 64, most: int = 32) -> str:
    """A Gantt chart as text.

    Parameters
    ----------
    calls : sequence of Timeline
    width : int
        Columns of time.
    most : int
        Rows; of more ranks than that, so many are shown.

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> events = [(0, 0, 2, 1, 0.0, 2.0), (0, 2, 3, 1, 2.5, 4.0), (1, 3, 4, 1, 0.5, 1.5)]
    >>> call = Timeline("plist", "dynamic,2", "counter", "", 4, "ab", "  ", 0.0, 4.0, events)
    >>> print(gantt([call], width=8))
    plist of 4 items, "dynamic,2" (counter), 2 ranks
    0 |████ ███|  88 %
    1 | ██     |  25 %
       0 to 4 s
    >>> print(gantt([call, call], width=16))
    2 calls, back to back, 2 ranks
       |dynamic|dynamic
    0 |████ ███████ ███|  88 %
    1 | ██      ██     |  25 %
       0 to 8 s
    """
    if not calls:
        return "no calls were recorded"
    events, edges = back_to_back(calls)
    ranks = max(call.ranks for call in calls)
    shown = evenly(ranks, most)
    digits = len(str(ranks - 1))
    lines = [title(calls)]
    if len(calls) > 1:
        lines.append(f"{'':>{digits}}  {_ruler(calls, edges, width)}")
    for rank in shown:
        busy = _busy(events[events["rank"] == rank], float(edges[-1]), width)
        bar = "".join(_SHADES[min(4, round(4 * share))] for share in busy)
        lines.append(f"{rank:>{digits}} |{bar}| {round(100 * sum(busy) / width):>3} %")
    scale = f"{'':>{digits}}  0 to {duration(float(edges[-1]))}"
    if len(shown) < ranks:
        scale += f"; {len(shown)} of {ranks} ranks"
    return "\n".join([*lines, scale])


def title(calls: Sequence[Timeline]) -> str:
    """What is drawn, in one line."""
    on = counted(max(call.ranks for call in calls), "rank")
    if len(calls) > 1:
        return f"{len(calls)} calls, back to back, {on}"
    call = calls[0]
    return f'{call.verb} of {counted(call.n, "item")}, "{call.schedule}" ({call.dispatch}), {on}'


def _ruler(calls: Sequence[Timeline], edges: NDArray[np.float64], width: int) -> str:
    """Where each call begins, and its schedule, as far as there is room for it."""
    columns = (edges * width / edges[-1]).astype(int).tolist() if edges[-1] else [0] * len(edges)
    names = (
        f"|{call.schedule}".ljust(stop - start)[: stop - start]
        for call, start, stop in zip(calls, columns, columns[1:], strict=False)
    )
    return "".join(names).rstrip()


def _busy(events: Events, until: float, width: int) -> list[float]:
    """Share of each of *width* columns in which one rank's *events* took place."""
    import numpy as np

    if not until:
        return [0.0] * width
    events = np.sort(events, order="begin")
    times = np.stack([events["begin"], events["end"]], axis=1).ravel()
    lasted = events["end"] - events["begin"]
    done = np.stack([np.cumsum(lasted) - lasted, np.cumsum(lasted)], axis=1).ravel()
    columns = np.linspace(0.0, until, width + 1)
    if not times.size:
        return [0.0] * width
    shares: list[float] = (np.diff(np.interp(columns, times, done)) * width / until).tolist()
    return shares
