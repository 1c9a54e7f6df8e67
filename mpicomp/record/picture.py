"""A Gantt chart with a bar of each rank's load beside it, by matplotlib.

Rules of this file: no global state of matplotlib's is touched, so that it works with ranks that
have no display, and beside figures of the user's.
"""

from __future__ import annotations

from mpicomp.errors import MpicompError
from mpicomp.record.gantt import back_to_back, title
from mpicomp.record.summary import Summary
from mpicomp.record.units import evenly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from mpicomp.record.timeline import Path, Timeline

    Times = NDArray[np.float64]

_OUTLINED = 2000  # runs; more would be all outline
_APART = 64  # rows with a gap between them
_DRAWN_EACH = 5000  # runs; more become pixels, in an .svg too
_COLOURS = {"busy": "#287c8e", "overhead": "#e8a33d", "idle": "#dddddd"}
_NAMED = 0.15  # share of the time; a call that takes more has its name above it


class MissingExtra(MpicompError, ImportError):
    """An optional package is not installed; says what to install.

    Examples
    --------
    >>> from mpicomp.record.picture import MissingExtra
    >>> issubclass(MissingExtra, ImportError)
    True
    """


def picture(calls: Sequence[Timeline], path: Path | None = None, most: int = 256) -> Figure:
    """Draw *calls*, one after the other; see `mpicomp.record.recording.Record.plot`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra(
            f"plot draws with matplotlib, which cannot be imported ({exc}); write pip install "
            '"mpicomp[plot]", or text() in place of plot()'
        ) from exc
    total = Summary(calls)
    rows = evenly(total.ranks, most)
    height = min(9.0, 1.9 + 0.28 * len(rows))
    figure = Figure(figsize=(11, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    _draw_runs(left, calls, rows)
    _draw_load(right, total, rows)
    left.set_ylim(len(rows) - 0.4, -0.6)  # rank 0 on top
    step = -(-len(rows) // 32)
    left.set_yticks(range(0, len(rows), step), [f"{rank}" for rank in rows[::step]])
    for axes in (left, right):
        axes.set_xlabel("seconds")
    left.set_ylabel("rank" if len(rows) == total.ranks else f"{len(rows)} of the ranks")
    figure.suptitle(title(calls))
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def inline(calls: Sequence[Timeline]) -> str:
    """The picture as an HTML image that holds its own data."""
    from base64 import b64encode
    from html import escape
    from io import BytesIO

    file = BytesIO()
    picture(calls, most=64).savefig(file, format="png", dpi=80)
    data = b64encode(file.getvalue()).decode()
    shown = escape(title(calls), quote=True)
    return f'<img alt="{shown}" src="data:image/png;base64,{data}"/>'


def _draw_runs(axes: Axes, calls: Sequence[Timeline], rows: Sequence[int]) -> None:
    """A box for each run of items, in a colour that says where in the source they stand."""
    import numpy as np

    events, edges = back_to_back(calls)
    n = np.repeat([max(call.n, 1) for call in calls], [len(call.events) for call in calls])
    shown = np.isin(events["rank"], rows)
    events, n = events[shown], n[shown]
    outlined = len(events) < _OUTLINED
    boxes = _boxes(
        axes, rows, events["rank"], events["begin"], events["end"],
        array=(events["start"] + events["stop"]) / (2 * n), clim=(0, 1),
        edgecolors="white" if outlined else "none", linewidths=0.5 if outlined else 0,
        rasterized=len(events) > _DRAWN_EACH,
    )  # fmt: skip
    bar = axes.figure.colorbar(boxes, ax=axes, pad=0.01, aspect=30)
    bar.set_ticks([0, 1], labels=["first\nitem", "last\nitem"])
    axes.set_xlim(0, edges[-1] or 1.0)
    for begin in edges[1:-1]:
        axes.axvline(begin, color="black", linewidth=0.8)
    if len(calls) == 1:
        axes.set_title("who computed when", fontsize="medium", loc="left")
        return
    for begin, end, call in zip(edges, edges[1:], calls, strict=False):
        if end - begin > _NAMED * edges[-1]:
            name = f'{call.verb}, "{call.schedule}"'
            axes.annotate(name, (begin, 1.01), xycoords=("data", "axes fraction"), fontsize="small")


def _draw_load(axes: Axes, total: Summary, rows: Sequence[int]) -> None:
    """A bar for each rank, of what its time was spent on."""
    done = 0 * total.busy
    for name, colour in _COLOURS.items():
        lasted = getattr(total, name)[rows]
        _boxes(axes, rows, rows, done[rows], done[rows] + lasted, label=name, color=colour)
        done[rows] += lasted
    axes.set_xlim(0, float(done.max()) or 1.0)
    axes.axvline(float(total.busy.mean()), color="black", linestyle=":", label="mean busy")
    axes.set_title(
        f"efficiency {total.efficiency:.2f}, imbalance {total.imbalance:.2f}",
        fontsize="medium", loc="left",
    )  # fmt: skip
    axes.tick_params(left=False)
    axes.figure.legend(loc="outside lower right", ncols=4, fontsize="small", frameon=False)


def _boxes(
    axes: Axes, rows: Sequence[int], ranks: ArrayLike, left: Times, right: Times, **look: Any
) -> PolyCollection:
    """Boxes from *left* to *right* in the rows of *ranks*: as one artist, however many."""
    import numpy as np
    from matplotlib.collections import PolyCollection

    half = 0.4 if len(rows) <= _APART else 0.5
    middle = np.searchsorted(rows, ranks)
    top, bottom = middle - half, middle + half
    corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
    boxes = PolyCollection(list(np.moveaxis(np.array(corners), 2, 0)), **look)
    axes.add_collection(boxes)
    return boxes
