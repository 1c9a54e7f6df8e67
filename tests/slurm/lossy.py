"""A program one of whose ranks is killed while it computes."""

from __future__ import annotations

import json
import os
import signal
import time

from mpicomp import plist, world


def work(x: int) -> int:
    time.sleep(0.01)
    if (world().rank, world().size) == (1, 3) and x > 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


values = plist((work(x) for x in range(100)), schedule="dynamic,1", root=0)
if values is not None:
    print(json.dumps({"right": values == [x * x for x in range(100)], "left": world().size}))
