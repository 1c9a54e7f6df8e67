"""Interrupted by a kill, a signal, a deadline or Ctrl-C, and resumed by other ranks.

The program is `tests.mpi.interrupted`; it is started afresh each time, on ranks of its own.
"""

from __future__ import annotations

import os
import random
import re
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import OptionError, Stopped, options, plist, psum
from mpicomp.engine.stopping import SIGNALS
from mpicomp.journal.journal import CALLS, existing
from tests.launch import mpi_beside, run_python, run_ranks
from tests.mpi.laws import holds, on_root, raised, still_works, together

WORLD = MPI.COMM_WORLD
SCRIPT = Path(__file__).with_name("interrupted.py")
N = 160
of_two = pytest.mark.skipif(WORLD.size != 2, reason="starts ranks of its own: once is enough")


def outcome(done: Any) -> tuple[int, str]:
    """How many items a program that came through has computed, and its value."""
    assert done.returncode == 0, done.stderr
    found = re.search(r"(\d+) items computed: (.*)", done.stdout)
    assert found, done.stdout
    return int(found[1]), found[2]


def left(journal: Path) -> int:
    """How many items are not in the journal."""
    store = existing(str(journal)).store
    chunks = (chunk for key in sorted(store.keys()) if key != CALLS for chunk in store.chunks(key))
    return N - sum(stop - start for spans, _ in chunks for start, stop in spans)


def interrupt_and_resume(folder: Path, seed: int) -> None:
    """A run that is killed, one that is killed again, and one that is not; on rank 0 alone."""
    chance = random.Random(seed)
    verb = chance.choice(["plist", "psum", "preduce", "parray"])
    source = chance.choice(["range", "list", "stream"])
    journal = folder / f"{seed}.mpj"
    expected = outcome(run_python([SCRIPT, "", verb, source, "static"]))[1]
    told = [f"{seed=} {verb} over {source}, {mpi_beside()}"]
    for end in ("SIGKILL", "SIGKILL", ""):
        ranks = chance.choice([1, 2, 3])
        ways = ["static", "static,1", "guided", "af"] + ["auto"] * (source != "stream")
        args = [str(journal), verb, source, chance.choice(ways)]
        if end:
            args.append(f"{chance.randrange(ranks)}:{chance.uniform(0, 0.5):.3f}:{end}")
        told.append(f"{ranks} ranks, {args[3:]}")
        due = left(journal) if journal.exists() else N
        done = run_ranks(ranks, [SCRIPT, *args]) if ranks > 1 else run_python([SCRIPT, *args])
        if not end:
            assert outcome(done) == (due, expected), "\n".join([*told, done.stdout, done.stderr])


@of_two
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_instant_it_goes_on_with_other_ranks(tmp_path: Path, seed: int) -> None:
    on_root(lambda: interrupt_and_resume(tmp_path, seed))


def stop(folder: Path, schedule: str, source: str, end: str, ranks: int = 2) -> tuple[Any, int]:
    journal = folder / f"{schedule} {end}.mpj"
    command: list[Any] = ["-m", "mpicomp", "run", "-n", str(ranks), SCRIPT]
    done = run_python([*command, str(journal), "psum", source, schedule, end])
    return done, left(journal)


STOPS = (
    ("static", "range", "1:-0.4:SIGUSR1"),  # it waits for the others by then
    ("dynamic,4", "list", "0:0.2:SIGUSR1"),
    ("guided", "stream", "1:0.2:SIGUSR1"),
    ("static", "stream", "0:0.2:SIGTERM"),
)


@of_two
@pytest.mark.parametrize(("schedule", "source", "end"), STOPS)
def test_all_stop_when_one_is_told_and_the_exit_code_is_85(
    tmp_path: Path, schedule: str, source: str, end: str
) -> None:
    done, missing = on_root(lambda: stop(tmp_path, schedule, source, end))
    assert done.returncode == 85, done.stderr
    assert "items computed" not in done.stdout
    assert 0 < missing < N, f"{missing} are missing"
    assert len(re.findall("mpicomp: stopped by", done.stderr)) <= 1  # a launcher may drop it
    assert "Traceback" not in done.stderr


CTRL_C = (
    ("static", "1:-0.4:SIGINT"),  # it waits for the others by then
    ("af", "1:0.2:SIGINT"),
)


@of_two
@pytest.mark.parametrize(("schedule", "end"), CTRL_C)
def test_one_ctrl_c_ends_all_also_while_a_rank_waits(
    tmp_path: Path, schedule: str, end: str
) -> None:
    done, missing = on_root(lambda: stop(tmp_path, schedule, "range", end))
    assert done.returncode not in (0, 85), done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert 0 < missing < N


def interrupts(x: int) -> int:
    if x == 40:
        os.kill(os.getpid(), signal.SIGUSR1)
    return x


def test_stopped_is_raised_on_all_ranks_and_handlers_are_put_back(tmp_path: Path) -> None:
    where = WORLD.bcast(tmp_path) / "run.mpj"
    before = [signal.getsignal(number) for number in SIGNALS]
    for schedule in ("static,2", "dynamic,2", "af"):
        error = raised(
            lambda: psum((interrupts(x) for x in range(10**6)), schedule=schedule, journal=where),  # noqa: B023  # called at once
            Stopped,
        )
        together(error.code == 85 and error.reason.startswith("SIGUSR1 on rank "), error.reason)
        with pytest.raises(SystemExit):
            raise error
        still_works()
        together([signal.getsignal(number) for number in SIGNALS] == before, "other handlers")
        where = where.with_name(f"{schedule}.mpj")


def test_a_deadline_stops_the_call_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for deadline in (0.05, datetime.now() + timedelta(seconds=0.05)):
        gen = (x for x in range(10**12))
        error = raised(lambda: psum(gen, schedule="static", deadline=deadline), Stopped)  # noqa: B023  # called at once
        together("the deadline" in str(error), str(error))
    holds(plist((x for x in range(9)), deadline=3600), [*range(9)])
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000000000")  # long ago
    gen = (x for x in range(10**12))
    raised(lambda: psum(gen, schedule="static", deadline=3600), Stopped)
    monkeypatch.setenv("MPICOMP_MARGIN", "a minute")
    raised(lambda: plist((x for x in range(9)), deadline=3600), OptionError)


@pytest.mark.parametrize("deadline", [-1, "noon", True, float("inf"), float("nan")])
def test_a_deadline_that_is_none(deadline: Any) -> None:
    error = raised(lambda: plist((x for x in range(3)), deadline=deadline), OptionError)
    assert "deadline must be seconds from now" in str(error)


def test_a_stop_may_be_caught_and_the_line_run_again(tmp_path: Path) -> None:
    where = WORLD.bcast(tmp_path) / "run.mpj"
    told = [True]

    def item(x: int) -> int:
        if x == 30 and told:
            told.clear()
            os.kill(os.getpid(), signal.SIGTERM)
        return x

    class Hidden:  # what is told is no part of what the items give
        def __reduce__(self) -> tuple[type[int], tuple[int]]:
            return int, (0,)

        def __call__(self, x: int) -> int:
            return item(x)

    hidden = Hidden()
    with options(journal=where, effects="ignore", schedule="static,1"):
        for _ in range(2):
            try:
                total = psum(hidden(x) for x in range(20_000))
            except Stopped:
                continue
    holds(total, sum(range(20_000)))
