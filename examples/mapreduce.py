"""Which words stand in which files: an index, and the ten words that stand in most.

    mpiexec -n 4 python mapreduce.py             # the sources of Python's own library
    mpiexec -n 4 python mapreduce.py FOLDER
"""

import re
import sys
import sysconfig
from pathlib import Path

from mpicomp import pcount, pgroup


def words(path: Path) -> list[str]:
    """The words of one file, in order: runs of letters, in lower case."""
    return re.findall(r"[a-z]+", path.read_text(encoding="utf-8", errors="replace").lower())


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_paths()["stdlib"])
paths = sorted(folder.glob("*.py"))

# Each rank counts the words of its files; then each rank adds up its share of the words.
counts = pcount(word for path in paths for word in words(path))

# An index: of each word the files in which it stands, in their order.
index = pgroup((word, path.name) for path in paths for word in dict.fromkeys(words(path)))

if counts is not None and index is not None:
    print(f"{counts.total()} words, {len(counts)} different, in {len(paths)} files")
    for word in sorted(index, key=lambda word: (-len(index[word]), word))[:10]:
        print(f"{len(index[word]):6} files  {counts[word]:8} times  {word}")
