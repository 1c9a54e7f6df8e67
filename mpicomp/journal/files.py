"""A folder of SQLite files, one for each process that has written: a journal on disk.

Rules of this file: a file is written by the process that made it and by no other, and never while
another writes it; so no locks are taken, which network file systems may not have.  A process that
is killed leaves SQLite's own rollback journal beside its file; whoever reads it plays it back in
a copy, so that what was being written is left out and what was written before is there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import weakref
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from mpicomp.journal.stores import packed_spans, unique, unpacked_spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from mpicomp.plan.gaps import Span

_SETTINGS = "pragma journal_mode = delete; pragma synchronous = normal;"
_TABLES = (
    "create table if not exists chunks (key text, spans text, data blob)",
    "create index if not exists by_key on chunks (key)",
)
_SUFFIX = ".sqlite"


class FileStore:
    """The store behind ``journal="run.mpj"``.

    Parameters
    ----------
    folder : path
        Made when the first chunk is put; on a file system that all ranks see.
    """

    shared = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._mine: sqlite3.Connection | None = None
        self._closing: weakref.finalize[Any, FileStore] | None = None
        self._path = self.folder
        self._owner = 0

    def put(self, key: str, spans: Sequence[Span], data: bytes) -> None:
        mine = self._open()
        mine.execute("begin")
        try:
            for table in _TABLES:  # with the first chunk, since each commit waits for the disk
                mine.execute(table)
            row = (key, packed_spans(spans).decode(), data)
            mine.execute("insert into chunks values (?, ?, ?)", row)
            mine.execute("commit")
        except BaseException:
            if mine.in_transaction:
                mine.execute("rollback")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._owner != os.getpid():  # a child that was forked has a file of its own
            self._mine = self._closing = None
            self._path, self._owner = self.folder / f"{unique()}{_SUFFIX}", os.getpid()
        if not self._path.exists():  # or somebody has removed it
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
        if self._mine is None:
            self._path.touch()  # its error says what is wrong, SQLite's does not
            mine = _connected(self._path, "rwc")
            self._closing = weakref.finalize(self, mine.close)  # also when nobody has it any more
            mine.executescript(_SETTINGS)
            self._mine = mine
        return self._mine

    def chunks(self, key: str) -> Iterator[tuple[Sequence[Span], bytes]]:
        asked = "select spans, data from chunks where key = ?"
        for spans, data in self._all(asked, key):
            yield unpacked_spans(spans), data

    def keys(self) -> Iterable[str]:
        return sorted({key for (key,) in self._all("select distinct key from chunks")})

    def remove(self, key: str) -> None:
        """Forget the chunks of *key*, while nobody writes."""
        for path in self._paths():
            if not _answers(path, "select 1 from chunks where key = ? limit 1", [key]):
                continue  # also one whose process was killed before its first chunk
            with closing(_connected(path, "rw")) as file:
                file.execute("delete from chunks where key = ?", (key,))
                (left,) = file.execute("select count(*) from chunks").fetchone()
            if not left:
                path.unlink()

    def close(self) -> None:
        if self._closing is not None and self._owner == os.getpid():
            self._closing()
        self._mine = None

    def _paths(self) -> list[Path]:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"expected a folder, {self.folder} is a file")
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def _all(self, asked: str, *parameters: str) -> Iterator[tuple[Any, ...]]:
        """What every file answers."""
        for path in self._paths():
            yield from _answers(path, asked, parameters)


def _answers(path: Path, asked: str, parameters: Sequence[str]) -> list[tuple[Any, ...]]:
    """What one file answers; nothing where its process had not even begun."""
    try:
        with closing(_connected(path, "ro")) as file:
            return list(file.execute(asked, parameters))
    except sqlite3.DatabaseError:
        pass  # a process was killed while it wrote
    with TemporaryDirectory(prefix="mpicomp-") as folder:
        copy = Path(folder, path.name)
        for found in (path, _rollback(path)):
            if found.exists():
                shutil.copy(found, copy.with_name(found.name))
        try:
            with closing(_connected(copy, "rw")) as file:
                return list(file.execute(asked, parameters))
        except sqlite3.DatabaseError:
            return []


def _rollback(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    from urllib.parse import quote

    name = f"file:{quote(str(path.absolute()))}?mode={mode}&nolock=1"
    return sqlite3.connect(name, uri=True, check_same_thread=False, isolation_level=None)
