"""Kills ranks: ``killer.py FOLDER RANKS SECONDS:RANK ...``; prints whom, one a line.

The seconds count from when all ranks have written their process ids into FOLDER.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Wait for the ranks; then kill."""
    folder, ranks = Path(sys.argv[1]), int(sys.argv[2])
    while len(list(folder.glob("[0-9]*.pid"))) < ranks:
        time.sleep(0.001)
    began = time.monotonic()
    pids = {rank: int((folder / f"{rank}.pid").read_text()) for rank in range(ranks)}
    for word in sys.argv[3:]:
        after, _, rank = word.partition(":")
        time.sleep(max(0.0, began + float(after) - time.monotonic()))
        try:
            os.kill(pids[int(rank)], signal.SIGKILL)
        except ProcessLookupError:  # its job is over
            continue
        print(rank, flush=True)


if __name__ == "__main__":
    main()
