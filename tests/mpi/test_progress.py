"""Laws of ``progress=True``: the same value, drawn by the root alone, and nothing left behind."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
import time
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import CollectiveMismatch, OptionError, options, plist, pmap, preduce, psum
from mpicomp.record.picture import MissingExtra
from mpicomp.wire.world import world as world_of
from tests.launch import environment
from tests.mpi.laws import holds, on_root, raised, together

WORLD = MPI.COMM_WORLD
WAYS: list[dict[str, Any]] = [
    {},
    {"schedule": "static"},
    {"schedule": "static,1"},
    {"schedule": "guided"},
    {"schedule": "dynamic", "dispatch": "master"},
    {"schedule": "awf-c"},
    {"schedule": "dynamic", "cost": list(range(60))},
]
each_way = pytest.mark.parametrize("way", WAYS, ids=str)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What this rank has written; only the root may have written anything."""
    found = capsys.readouterr().err.splitlines()
    together(bool(found) == (WORLD.rank == 0), f"wrote {found}")
    return found


def nothing_left() -> None:
    """No message is on its way, and no thread listens for one."""
    comm = world_of().comm
    WORLD.Barrier()
    together(comm is None or not comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG), "a message is left")
    names = [thread.name for thread in threading.enumerate()]
    together("mpicomp-progress" not in names, f"threads are left: {names}")


@each_way
def test_the_value_is_the_same_and_the_last_line_tells_all(
    way: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    holds(plist((x * x for x in range(60)), progress=True, **way), [x * x for x in range(60)])
    told = lines(capsys)
    if WORLD.rank == 0:
        assert told[-1].startswith("plist at test_progress.py:")
        assert ": 100 %, 60 of 60, " in told[-1]
        assert told[-1].endswith("items/s" if WORLD.size == 1 else f"0 of {WORLD.size} ranks busy")
    nothing_left()


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_a_stream_has_no_total(schedule: str, capsys: pytest.CaptureFixture[str]) -> None:
    xs = (x for x in (range(50) if WORLD.rank == 0 else ()))
    holds(plist((x for x in xs), progress=True, schedule=schedule), list(range(50)))
    told = lines(capsys)
    assert not told or ": 50, " in told[-1]
    nothing_left()


def test_other_verbs_and_a_block(capsys: pytest.CaptureFixture[str]) -> None:
    with options(progress=True):
        holds(psum(x for x in range(99)), sum(range(99)))
        holds(
            preduce(lambda a, b: a + b, (str(x) for x in range(40))), "".join(map(str, range(40)))
        )
        holds(pmap(lambda xs: [2 * x for x in xs], range(9), batched=True), [*range(0, 18, 2)])
        holds(psum(plist(y for y in range(x))[-1] for x in range(1, 9)), sum(range(8)))  # type: ignore[index]  # nested: each has one
    told = [line.partition(" ")[0] for line in lines(capsys)]
    assert not told or (told[0], told[-1], "plist" in told) == ("psum", "psum", False)
    nothing_left()


def test_the_root_draws_while_it_computes_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # the root's own item ends when the root has been told, by its standard error, of all others
    def item(x: int) -> int:
        until, text = time.monotonic() + 100, ""
        while x == 0 and f"{WORLD.size - 1} of {WORLD.size}, " not in text:
            if time.monotonic() > until:
                raise TimeoutError(text)
            time.sleep(0.01)
            text += capsys.readouterr().err
        return x

    holds(
        plist((item(x) for x in range(WORLD.size)), schedule="static", progress=True),
        list(range(WORLD.size)),
    )
    nothing_left()


@each_way
def test_errors_are_the_same(way: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    raised(lambda: plist((1 // (x - 31) for x in range(60)), progress=True, **way),
           ZeroDivisionError)  # fmt: skip
    lines(capsys)
    nothing_left()


def test_what_cannot_be_is_told_on_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    raised(lambda: plist((x for x in range(9)), progress=1), OptionError)  # type: ignore[arg-type]  # no bool
    if WORLD.size > 1:
        raised(lambda: plist((x for x in range(9)), progress=WORLD.rank > 0), CollectiveMismatch)
    if WORLD.rank == 0:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    raised(lambda: plist((x for x in range(9)), progress=True), MissingExtra)
    holds(plist(x for x in range(9)), list(range(9)))


def test_a_terminal_gets_one_bar() -> None:
    program = "from mpicomp import plist; plist((x for x in range(30)), progress=True)"

    def shown() -> bytes:
        mine, its = pty.openpty()
        termios.tcsetwinsize(its, (24, 100))
        started = subprocess.run([sys.executable, "-c", program], stderr=its, env=environment(),
                                 timeout=100, check=True)  # fmt: skip
        assert not started.returncode
        os.close(its)
        text = b""
        try:
            while part := os.read(mine, 1000):
                text += part
        except OSError:  # the other end is closed
            os.close(mine)
        return text

    text = on_root(shown)
    assert b"100%|" in text, text
    assert b"30/30" in text, text
    assert text.count(b"\n") == 1, text


def test_nobody_is_told_anything_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    holds(plist(x for x in range(60)), list(range(60)))
    assert not capsys.readouterr().err
