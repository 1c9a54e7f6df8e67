"""A program that some of its ranks do not survive: ``survivor.py CASE:VICTIM ...``.

In each case the victim (by its first number) is killed by one of its own items.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from mpi4py import MPI

import mpicomp
from mpicomp import options, pany, parray, pdict, pgroup, plist, preduce, psum, record

N = 60
mine = mpicomp.world().rank
victim, done = -1, 0


def item(x: int) -> int:
    global done
    time.sleep(0.002)
    done += 1
    if mine == victim and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def failing(x: int) -> int:
    if x == 41:  # not for a loss: an item may call MPI, too
        raise MPI.Exception(MPI.ERR_RANK)
    return item(x)


Case = tuple[Callable[..., Any], Callable[[], Iterable[Any]], dict[str, Any]]
CASES: dict[str, Case] = {
    "static": (plist, lambda: (item(x) for x in range(N)), {"schedule": "static"}),
    "auto": (plist, lambda: (item(x) for x in [*range(N)]), {}),
    "cyclic": (plist, lambda: (item(x) for x in [*range(N)] if x % 7), {"schedule": "static,1"}),
    "adaptive": (plist, lambda: (item(x) for x in (*range(N),)), {"schedule": "af"}),
    "stream": (plist, lambda: (item(x) for x in iter(range(N))), {}),
    "rounds": (plist, lambda: (item(x) for x in iter(range(N))), {"schedule": "static"}),
    "everyone": (plist, lambda: (item(x) for x in range(N)), {"root": None}),
    "third": (plist, lambda: (item(x) for x in range(N)), {"root": 2}),
    "sum": (psum, lambda: (item(x) / 7 for x in range(N)), {"schedule": "dynamic,2"}),
    "fold": (lambda gen, **o: preduce(lambda a, b: a + b, gen, **o),
             lambda: (str(item(x)) for x in range(N)), {"schedule": "guided"}),
    "dict": (pdict, lambda: ((item(x) % 7, x) for x in range(N)), {"schedule": "static,2"}),
    "array": (parray, lambda: (item(x) for x in range(N)), {"schedule": "dynamic"}),
    "any": (pany, lambda: (item(x) == 55 * 55 for x in range(N)), {}),
    "groups": (pgroup, lambda: ((x % 5, item(x)) for x in range(N)), {}),
    "journal": (plist, lambda: (item(x) for x in [*range(N)]), {"journal": "run.mpj"}),
    "again": (psum, lambda: (item(x) for x in range(N)), {"journal": "run.mpj"}),
    "error": (plist, lambda: (failing(x) for x in range(N)), {}),
}  # fmt: skip


def main() -> None:
    global victim, done
    for word in sys.argv[1:]:
        case, _, number = word.partition(":")
        victim, done = int(number), 0
        verb, gen, asked = CASES[case]
        before = mpicomp.world().size
        with options(effects="ignore", **asked), record() as rec:
            value: Any = verb(gen())
        assert mpicomp.world().size == before - 1
        if value is not None:
            value = value.tolist() if case == "array" else value
            told = f"rank {victim} (" in str(rec.summary())
            print(repr((case, mine, mpicomp.world().size, told, value)), flush=True)


if __name__ == "__main__":
    main()
