"""The ten most frequent words in a folder of Python files: count per file, then combine.

    mpiexec -n 4 python wordcount.py             # the sources of Python's own library
    mpiexec -n 4 python wordcount.py FOLDER
"""

import operator
import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from mpicomp import preduce


def words(path: Path) -> Counter[str]:
    """Count the words of one file: runs of letters, in lower case."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return Counter(re.findall(r"[a-z]+", text.lower()))


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_paths()["stdlib"])
paths = sorted(folder.glob("*.py"))

# A Counter plus a Counter is a Counter; only these travel, never the texts.
total = preduce(operator.add, (words(path) for path in paths), Counter())

if total is not None:
    print(f"{total.total()} words, {len(total)} different, in {len(paths)} files")
    for word, count in total.most_common(10):
        print(f"{count:8} {word}")
