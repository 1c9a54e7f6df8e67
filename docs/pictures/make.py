"""Make the pictures of the documentation, beside this file.

    python docs/pictures/make.py                     # owner maps, chunks, scaling
    mpiexec -n 4 python docs/pictures/make.py gantt  # who computed when: needs ranks

The items of the Gantt chart sleep, so that four ranks need no four cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import mpicomp
from mpicomp import Block, BlockCyclic, Cyclic, plist, simulate
from mpicomp.plan.chunks import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
COLOURS = ("#287c8e", "#e8a33d", "#7a5195", "#bc5090")  # of ranks 0 to 3
TABLES = ("static", "dynamic,50", "guided", "trapezoid", "factoring", "tfss", "fiss", "viss", "pls")


def figure(width: float, height: float) -> Figure:
    """An empty figure that touches no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def owner_maps() -> Figure:
    """Which of 4 ranks holds which of 32 items."""
    from matplotlib.patches import Rectangle

    layouts = (Block(32, 4), Cyclic(32, 4), BlockCyclic(32, 4, 3))
    made = figure(9, 2.4)
    for axes, layout in zip(made.subplots(len(layouts), 1), layouts, strict=True):
        for item in range(layout.n):
            owner = layout.owner(item)
            axes.add_patch(Rectangle((item, 0), 1, 1, facecolor=COLOURS[owner], edgecolor="white"))
            axes.text(item + 0.5, 0.5, str(owner), color="white", ha="center", va="center")
        axes.set_xlim(0, layout.n)
        axes.set_axis_off()
        axes.set_title(repr(layout), loc="left", fontsize="medium", family="monospace")
    return made


def chunk_sequences() -> Figure:
    """Sizes of the chunks of 1000 items on 4 ranks, in the order in which they are taken."""
    made = figure(9, 5.5)
    for axes, name in zip(made.subplots(3, 3, sharey=True).flat, TABLES, strict=True):
        sizes = [stop - start for start, stop in table(name, 1000, 4)]
        axes.bar(range(len(sizes)), sizes, width=0.9, color=COLOURS[0])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(f"{name}: {len(sizes)} chunks", fontsize="medium")
    made.supxlabel("chunk")
    made.supylabel("items")
    return made


def scaling() -> Figure:
    """Simulated efficiency of a million items, each costlier than the last, to 100,000 ranks."""
    noise = np.random.default_rng(7).lognormal(0.0, 0.5, 1_000_000)
    costs = noise * np.linspace(0.001, 0.1, len(noise))  # seconds
    ranks = [10**k for k in range(1, 6)]
    made = figure(7, 3.6)
    axes = made.subplots()
    for name in ("static", "static,1", "guided", "factoring", "dynamic,10", "dynamic"):
        found = [simulate(costs, name, p, claim=1e-6).efficiency for p in ranks]
        axes.plot(ranks, found, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("ranks (simulated)")
    axes.set_ylabel("efficiency")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return made


def gantt() -> Figure | None:
    """The same uneven items under one block for each rank, and under the default schedule."""
    costs = [0.002 + 0.0006 * item for item in range(100)]
    plist(range(4) for _ in range(100))  # opens what the first call opens
    with mpicomp.record() as rec:
        for schedule in ("static", "auto"):
            plist((time.sleep(seconds) for seconds in costs), schedule=schedule)
    for call in rec:  # none on ranks other than the root
        print(call.calls[0].schedule, f"{call.summary().efficiency:.2f}")
    return rec.plot()


def main() -> None:
    pictures = {"owners": owner_maps, "chunks": chunk_sequences, "scaling": scaling}
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("names", nargs="*", choices=[*pictures, "gantt", []], metavar="NAME",
                        help="owners, chunks, scaling, gantt (all but the last)")  # fmt: skip
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to")
    asked = parser.parse_args()
    for name in asked.names or pictures:
        made = (pictures | {"gantt": gantt})[name]()
        if made is not None:
            made.savefig(asked.to / f"{name}.png", dpi=110)
            print(f"{name}.png")


if __name__ == "__main__":
    main()
