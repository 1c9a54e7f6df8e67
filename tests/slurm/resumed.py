"""A program that is stopped, and goes on from its journal when it is run again.

Each item leaves a line in the file ``computed``; the first run would take minutes.
"""

from __future__ import annotations

import json
import os
import time

from mpicomp import plist

ITEMS = 120


def slow(x: int) -> int:
    with open("computed", "a") as file:
        file.write(f"{x}\n")
    time.sleep(0.02 if os.environ.get("SLURM_RESTART_COUNT", "0") != "0" else 2.0)
    return x * x


values = plist((slow(x) for x in range(ITEMS)), journal="run.mpj", schedule="dynamic,1")
if values is not None:
    print(json.dumps({"right": values == [x * x for x in range(ITEMS)]}))
