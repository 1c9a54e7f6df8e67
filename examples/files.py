"""Size, lines and SHA-256 of each file in a folder: one function over many files.

    mpiexec -n 4 python files.py             # the json folder of Python's library
    mpiexec -n 4 python files.py FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

from mpicomp import pdict


def describe(path: Path) -> tuple[int, int, str]:
    """Read one file; give its size in bytes, its newlines and its digest."""
    data = path.read_bytes()
    return len(data), data.count(b"\n"), hashlib.sha256(data).hexdigest()


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(json.__file__).parent
paths = sorted(path for path in folder.glob("*") if path.is_file())

table = pdict((path.name, describe(path)) for path in paths)

if table is not None:
    for name, (size, lines, digest) in table.items():
        print(f"{size:10} {lines:8} {digest} {name}")
