"""Stores: what was put is there, whole, whoever was killed; a disk that is full is told."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mpicomp.journal import journal as opened
from mpicomp.journal.commandline import main as command
from mpicomp.journal.files import FileStore
from mpicomp.journal.journal import Journal, existing
from mpicomp.journal.stores import DirectoryStore, MemoryStore
from mpicomp.verbs import plist
from tests.launch import environment, run_python

STORES: dict[str, Callable[[Path], Any]] = {
    "files": FileStore,
    "directory": DirectoryStore,
    "memory": lambda _: MemoryStore(),
}
ON_DISK = ("files", "directory")
each_store = pytest.mark.parametrize("kind", STORES)


@each_store
def test_what_was_put_is_there(kind: str, tmp_path: Path) -> None:
    store = STORES[kind](tmp_path / "run.mpj")
    assert list(store.keys()) == [] == list(store.chunks("a"))
    for number in range(3):
        store.put("a", [(number, number + 1), (10 * number, 10 * number + 5)], bytes([number]) * 9)
    store.put("b", [], b"")
    store.close()
    store.put("b", [(2**70, 2**70 + 1)], b"\x00\n\xff" * 1000)
    if kind != "memory":
        store.close()
    other = store if kind == "memory" else STORES[kind](tmp_path / "run.mpj")
    assert sorted(other.keys()) == ["a", "b"]
    found = sorted((list(spans), bytes(data)) for spans, data in other.chunks("a"))
    assert found == [([(n, n + 1), (10 * n, 10 * n + 5)], bytes([n]) * 9) for n in range(3)]
    assert sorted(bytes(data) for _, data in other.chunks("b")) == [b"", b"\x00\n\xff" * 1000]
    other.remove("a")
    assert list(other.keys()) == ["b"]


@each_store
def test_one_that_nobody_has_any_more_leaves_nothing_open(kind: str, tmp_path: Path) -> None:
    """Python 3.13 warns of files that are not closed, and here a warning is an error."""
    store = STORES[kind](tmp_path / "run.mpj")
    store.put("a", [(0, 1)], b"x")
    del store
    gc.collect()
    folder = Path("/proc/self/fd")
    links = [os.readlink(folder / name) for name in os.listdir(folder) if (folder / name).exists()]
    assert not [link for link in links if str(tmp_path) in link]


WRITER = """
import sys
from mpicomp.journal import files, stores
store = getattr(files, sys.argv[1], None) or getattr(stores, sys.argv[1])
store = store(sys.argv[2])
for number in range(10**6):
    store.put("a", [(number, number + 1)], bytes([number % 256]) * 50_000)
    print(number, flush=True)
"""


@pytest.mark.parametrize("kind", ON_DISK)
@pytest.mark.parametrize("many", [1, 7, 12])
def test_a_writer_that_is_killed_leaves_what_it_had_put(
    kind: str, many: int, tmp_path: Path
) -> None:
    name = type(STORES[kind](tmp_path)).__name__
    args = [sys.executable, "-c", WRITER, name, str(tmp_path / "run.mpj")]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=environment()) as writer:
        assert writer.stdout is not None
        for _ in range(many):
            told = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        last = [told, *map(int, writer.stdout.read().split())][-1]
    found = STORES[kind](tmp_path / "run.mpj").chunks("a")
    chunks = sorted((spans[0][0], data) for spans, data in found)
    assert len(chunks) in (last + 1, last + 2)  # it may have been killed before it said so
    assert chunks == [(k, bytes([k % 256]) * 50_000) for k in range(len(chunks))]


def test_files_that_are_none_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a", [(0, 1)], b"x")
    store.close()
    (tmp_path / "half.sqlite").write_bytes(b"SQLite format 3\x00" + b"\x00" * 50)
    (tmp_path / "new.sqlite").touch()
    (tmp_path / "README").write_text("not ours")
    assert [data for _, data in FileStore(tmp_path).chunks("a")] == [b"x"]


def test_a_chunk_that_cannot_be_kept_leaves_the_others_and_the_next_one_is(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put("a", [(0, 1)], b"x")
    with pytest.raises(UnicodeEncodeError):
        store.put("\udc80", [(1, 2)], b"no text")
    store.put("a", [(1, 2)], b"y")
    store.close()
    assert [bytes(data) for _, data in FileStore(tmp_path).chunks("a")] == [b"x", b"y"]
    assert list(FileStore(tmp_path).keys()) == ["a"]


def killed_in_a_chunk(folder: Path) -> Path:
    """A store as it is left by a process that is killed while it writes its third chunk."""
    store, left = FileStore(folder / "alive"), folder / "left"
    for key in "ab":
        store.put(key, [(0, 1)], key.encode() * 50_000)
    (file,) = (folder / "alive").glob("*.sqlite")
    with closing(sqlite3.connect(file, isolation_level=None)) as writing:
        writing.execute("pragma cache_size = 1")  # so that the half of it is in the file
        writing.execute("begin")
        writing.execute("update chunks set data = zeroblob(90000)")
        writing.execute("insert into chunks values ('a', '1-2', zeroblob(500000))")
        shutil.copytree(folder / "alive", left)
    assert sorted(path.suffix for path in left.iterdir()) == [".sqlite", ".sqlite-journal"]
    return left


def test_what_a_killed_writer_had_put_outlives_the_forgetting_of_other_calls(
    tmp_path: Path,
) -> None:
    left = killed_in_a_chunk(tmp_path)
    before = {path: path.read_bytes() for path in left.iterdir()}
    assert [bytes(data) for _, data in FileStore(left).chunks("a")] == [b"a" * 50_000]
    assert {path: path.read_bytes() for path in left.iterdir()} == before, "read in a copy"
    FileStore(left).remove("b")
    assert list(FileStore(left).keys()) == ["a"]
    assert [bytes(data) for _, data in FileStore(left).chunks("a")] == [b"a" * 50_000]
    FileStore(left).remove("a")
    assert list(left.iterdir()) == []


def test_a_lock_keeps_nobody_from_reading(tmp_path: Path) -> None:
    """None are taken, as network file systems may not have them: so none are waited for."""
    assert plist((x * x for x in range(9)), journal=str(tmp_path)) is not None
    opened._open.pop(str(tmp_path))[0].close()
    (file,) = tmp_path.glob("*.sqlite")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        (call,) = existing(str(tmp_path)).known()
        assert plist((x * x for x in range(9)), journal=str(tmp_path)) == [x * x for x in range(9)]
    assert call.about["verb"] == "plist"


LITTLE = """
import resource, sys
from mpicomp.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # as a disk that is full then
sys.exit(main(["journal", "prune", sys.argv[1], "--call", "1"]))
"""


def test_calls_are_forgotten_though_files_were_just_begun_or_it_is_told(tmp_path: Path) -> None:
    where = tmp_path / "run.mpj"
    for last in (0, 5, 7):
        plist((x * x for x in range(last)), journal=str(where))
    opened._open.pop(str(where))[0].close()
    (where / "new.sqlite").touch()  # by a process that was killed before its first chunk

    def said(*words: str) -> tuple[int, str]:
        done = run_python(["-m", "mpicomp", "journal", *words, where])
        assert done.stderr == ""
        return done.returncode, done.stdout

    full = run_python(["-c", LITTLE, where])
    assert (full.returncode, full.stdout) == (2, "")
    assert "error: disk I/O error" in full.stderr
    assert "Traceback" not in full.stderr
    code, shown = said("show")
    assert (code, shown.count("items done")) == (0, 3), "it has kept what it had"
    assert "items done: 0 of 0\n  the verb" in shown, "no items, and so no numbers of items"
    assert said("prune")[1].splitlines()[1] == "forgot call 1: plist, 5 items done"
    assert said("status") == (0, "no calls\n")


FULL = """
import resource, sys, warnings
from mpicomp import Journal, JournalError, plist
warnings.simplefilter("always")
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # as a disk that is full then
journal = Journal(sys.argv[1], on_error=sys.argv[2], every=0.0)
try:
    print(len(plist(("x" * 1000 + str(x) for x in range(500)), journal=journal)))
except JournalError as error:
    print(error)
"""


@pytest.mark.parametrize("on_error", ["raise", "warn"])
def test_a_disk_that_is_full(on_error: str, tmp_path: Path) -> None:
    done = run_python(["-c", FULL, tmp_path / "run.mpj", on_error])
    assert done.returncode == 0, done.stderr
    told = done.stdout if on_error == "raise" else done.stderr
    assert "cannot be written" in told
    if on_error == "warn":
        assert done.stdout == "500\n"
        assert "the computing goes on" in told
    assert run_python(["-m", "mpicomp", "journal", "show", tmp_path / "run.mpj"]).returncode == 1


def test_the_command_shows_and_forgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from argparse import ArgumentParser

    from mpicomp.journal.commandline import add_journal

    parser = ArgumentParser()
    add_journal(parser)
    where = str(tmp_path / "run.mpj")

    def said(*words: str) -> tuple[int, str]:
        code = command(parser.parse_args(words))
        return code, capsys.readouterr().out

    for last in (5, 7):
        assert plist((x * x for x in range(last)), journal=where) == [x * x for x in range(last)]
    code, text = said("status", where)
    assert code == 0
    assert [row.split()[:4] for row in text.splitlines()[1:]] == [
        ["0", "plist", "5", "5"], ["1", "plist", "7", "7"],
    ]  # fmt: skip
    assert "the source: range(0, 7)" in said("show", where, "--call", "1")[1]
    assert said("prune", where, "--call", "0") == (0, "forgot call 0: plist, 5 items done\n")
    assert [call.place for call in existing(where).known()] == [1]
    opened._open.clear()  # as a new program
    assert plist((x * x for x in range(7)), journal=where) == [x * x for x in range(7)]
    for words in (["status", str(tmp_path / "none")], ["show", where, "--call", "9"]):
        with pytest.raises(SystemExit):
            said(*words)
    assert repr(Journal(where)) == f"Journal({where!r})"
