"""A call with a journal, to be interrupted: ``interrupted.py JOURNAL VERB SOURCE SCHEDULE [END]``.

END is ``RANK:SECONDS:SIGNAL``: so long after its first item (or, with a minus before the seconds,
after it has nothing more to do) that rank gets the signal, wherever it stands; or a deadline in
seconds.  JOURNAL may be empty.  Rank 0 prints the value and how many items were computed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from operator import add
from typing import Any

from mpicomp import Journal, parray, plist, preduce, psum, world

N = 160
TAKES = 0.01  # seconds an item

VERBS: dict[str, Callable[..., Any]] = {
    "plist": plist,
    "psum": psum,
    "preduce": lambda gen, **said: preduce(add, gen, **said),
    "parray": lambda gen, **said: parray(gen, **said),
}
SOURCES: dict[str, Callable[[], Iterable[int]]] = {
    "range": lambda: range(N),
    "list": lambda: [*range(N)],
    "stream": lambda: (x for x in range(N)),
}



class Bell:
    """Counts the items of this rank, and lets the first of them set the alarm.

    What it knows is no part of what the items give, and not to be seen by the journal.
    """

    def __init__(self, end: str = "") -> None:
        self.end = end
        self.computed = 0

    def __reduce__(self) -> tuple[type[Bell], tuple[()]]:
        return Bell, ()

    def __call__(self, x: int) -> None:
        self.computed += 1
        if self.computed == 1 and self.end.count(":") == 2:
            self.set()
        if "-" not in self.end or x < N // 2:  # else the last ranks have soon nothing to do
            time.sleep(TAKES)

    def set(self) -> None:
        """Send this rank its signal, when it is time."""
        rank, seconds, name = self.end.split(":")
        if world().rank == int(rank):
            told = os.getpid(), getattr(signal, name)
            alarm = threading.Timer(abs(float(seconds)), os.kill, told)
            alarm.daemon = True
            alarm.start()


def item(x: int) -> float:
    bell(x)
    return (1.0 - x % 2 * 2) * 10.0 ** (x % 25) / 3


where, verb, source, schedule, *rest = sys.argv[1:]
bell = Bell(*rest)
try:
    value = VERBS[verb](
        (item(x) for x in SOURCES[source]()),
        schedule=schedule,
        effects="ignore",
        journal=Journal(where, every=0.05) if where else None,
        deadline=float(bell.end) if bell.end and ":" not in bell.end else None,
    )
finally:
    print(f"rank {world().rank} computed {bell.computed} items", file=sys.stderr, flush=True)
count = psum((bell.computed for _ in range(world().size)), schedule="static", effects="ignore")
if world().rank == 0:
    shown = value.tolist() if verb == "parray" else value
    print(f"{count} items computed: {shown!r}")
