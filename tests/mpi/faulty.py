"""A program whose process ends at one stop of an item's way: ``faulty.py HOW STOP [RANK]``."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from typing import Any

from mpicomp import plist, world

how, stop = sys.argv[1:3]
who = int(sys.argv[3]) if len(sys.argv) > 3 else 1
faulthandler.disable()


def end() -> None:
    if how == "exit":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)


class Parcel:
    def __init__(self, when: str) -> None:
        self.when = when

    def __reduce__(self) -> Any:
        if stop == f"{self.when} packed":
            end()
        return unpacked, (self.when,)


def unpacked(when: str) -> Parcel:
    if stop == f"{when} unpacked":
        end()
    return Parcel(when)


def item(x: Any) -> Any:
    if stop == "running" and world().rank == who:
        end()
    return Parcel("result") if stop.startswith("result") else x


items = [Parcel("item")] * 20 if stop.startswith("item") else [*range(20)]
plist(x for x in range(9))
plist((item(x) for x in items), schedule="static")
if world().rank == 0:
    print("came through")
