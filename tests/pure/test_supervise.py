"""What ``mpicomp run`` makes of its launcher: signals go through, and the exit code is the truth.

The launchers are small programs whose children note what ranks note; nothing here needs MPI.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from mpicomp.supervise import supervised
from tests.launch import environment

LAUNCHER = """if True:
    import os, shutil, signal, sys, time
    from contextlib import suppress
    from pathlib import Path
    from mpicomp.supervise import begun, ended

    NOTES, ranks = "MPICOMP_OUTCOMES", []

    def start(how=signal.pause):
        "One more rank, which notes that it has begun, and does what *how* says."
        read, write = os.pipe()
        ranks.append(os.fork())
        if ranks[-1] == 0:
            begun(len(ranks) - 1)
            os.write(write, b".")
            how()
            os._exit(0)
        os.read(read, 1)

    def met(rank):
        "Wait until whoever has started us watches this rank's process."
        line = f"Pid:\\t{ranks[rank]}\\n"
        while True:
            for about in Path(f"/proc/{os.getppid()}/fdinfo").iterdir():
                with suppress(OSError):  # it is of a file that has been closed
                    if line in about.read_text():
                        return
            time.sleep(0.01)

    def kill(*which):
        for rank in which:
            os.kill(ranks[rank], signal.SIGKILL)
            os.waitpid(ranks[rank], 0)

    def noted(rank, code):
        "Note how a rank ends, later than any note before, as far as the clock of files tells."
        folder = Path(os.environ[NOTES])
        last, now = max(note.stat().st_mtime_ns for note in folder.iterdir()), 0
        while now <= last:
            (folder / "now").touch()
            now = (folder / "now").stat().st_mtime_ns
        ended(rank, code)

"""
THREE = "for _ in range(3): start()\nfor rank in range(3): met(rank)\n"

LOST = "ended without reaching the end of the program"
OUTCOMES: dict[str, tuple[str, int, str]] = {
    # what the launcher does; the exit code, and what is said
    "all is well": ("start(); noted(0, 0)", 0, ""),
    "it fails by itself": ("sys.exit(7)", 7, ""),
    "it is killed": ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9, ""),
    "it does not tell that a rank failed": ("start(); noted(0, 3)", 3, ""),
    "it mixes the codes": (
        THREE + "noted(1, 5); noted(0, 4); noted(2, 0); sys.exit(1)", 5, "",
    ),
    "one is lost, and others are ended after it": (
        THREE + "kill(2, 0, 1)",
        1, f"rank 2 {LOST} (os._exit, a crash or a kill), and so ended 2 more; the launcher's",
    ),
    "all are lost": (THREE + "kill(1, 2, 0); sys.exit(9)", 9, f"rank 1 {LOST}"),
    "one is lost before anybody looked": (
        "notes = os.environ[NOTES]\n"
        "os.environ[NOTES] = hidden = notes + '/hidden'\n"
        "os.mkdir(hidden); start(lambda: None); os.waitpid(ranks[0], 0)\n"
        "os.rename(hidden + '/0', notes + '/0')\n"
        "os.environ[NOTES] = notes; start(); met(1); kill(1)",
        1, f"rank 0 {LOST} (os._exit, a crash or a kill), and so ended 1 more",
    ),
    "somebody has removed its folder": (
        "start(); met(0); kill(0); shutil.rmtree(os.environ[NOTES]); sys.exit(7)", 7, "",
    ),
}  # fmt: skip
SURVIVED: dict[str, tuple[str, int, str]] = {
    "none is lost": ("start(); noted(0, 0); sys.exit(9)", 0, ""),
    "some are lost": (
        THREE + "kill(2, 0); noted(1, 0); sys.exit(9)",
        0, "mpicomp: rank 0, 2 was lost; the others came to the end\n",
    ),
    "one is lost, another fails": (THREE + "kill(2); noted(0, 0); noted(1, 4)", 4, ""),
    "all are lost": (THREE + "kill(1, 2, 0)", 1, f"rank 1 {LOST}"),
}  # fmt: skip


def outcome(program: str, surviving: bool) -> int:
    return supervised(
        [sys.executable, "-c", LAUNCHER + indented(program)], environment(), surviving
    )


def indented(program: str) -> str:
    return "".join(f"    {line}\n" for line in program.splitlines())


def check(
    told_of: tuple[str, int, str], surviving: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    program, code, said = told_of
    assert outcome(program, surviving) == code
    told = capfd.readouterr().err
    assert said in told
    assert bool(told) == bool(said), told


@pytest.mark.parametrize("case", OUTCOMES)
def test_the_exit_code_is_that_of_the_first_that_failed(
    case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check(OUTCOMES[case], False, capfd)


@pytest.mark.parametrize("case", SURVIVED)
def test_where_losses_are_survived_those_that_are_left_make_the_exit_code(
    case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    check(SURVIVED[case], True, capfd)


def test_a_system_that_does_not_tell_who_went_first_is_told_of_all(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert outcome("start(); start(); kill(1, 0)", surviving=False) == 1
    assert f"rank 0, 1 {LOST} (os._exit, a crash or a kill); the" in capfd.readouterr().err


# --- signals -------------------------------------------------------------------------------------

SUPERVISOR = """if True:
    import os, sys
    from mpicomp.supervise import supervised
    if sys.argv[1]:
        os.open(sys.argv[1], os.O_RDWR)  # the first of a session: that is its terminal now
    sys.exit(supervised(sys.argv[2:], os.environ))
"""
LISTENING = """
heard = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
free = not signal.pthread_sigmask(signal.SIG_BLOCK, heard)
start()
print(os.getpid(), free, flush=True)
while (number := signal.sigwait(heard)) != signal.SIGTERM:
    print(number.name, flush=True)
kill(0)
print("SIGTERM", flush=True)
sys.exit(7)
"""


@contextmanager
def listening(terminal: str = "") -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A supervisor whose launcher prints the signals that it gets, until SIGTERM comes."""
    command = [sys.executable, "-c", SUPERVISOR, terminal]
    command += [sys.executable, "-c", LAUNCHER + indented(LISTENING)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_a_signal_goes_through_to_the_launcher_and_its_code_comes_back() -> None:
    with listening() as (process, said):
        launcher, free = said.readline().split()
        assert free == "True", "the launcher hears what its parent keeps from itself"
        for name in ("SIGUSR1", "SIGINT", "SIGHUP", "SIGUSR2"):
            process.send_signal(getattr(signal, name))
            assert said.readline() == f"{name}\n"
        os.kill(int(launcher), signal.SIGSTOP)  # as a debugger does: it has not ended
        while "(stopped)" not in Path(f"/proc/{launcher}/status").read_text():
            time.sleep(0.01)
        os.kill(int(launcher), signal.SIGCONT)
        process.terminate()
        told, problems = process.communicate(timeout=60)
    assert (told, process.returncode) == ("SIGTERM\n", 7)
    assert problems == "", "who has asked it to stop need not be told of ranks that were ended"


def test_the_terminals_own_ctrl_c_reaches_the_launcher_once() -> None:
    master, terminal = pty.openpty()
    try:
        with listening(os.ttyname(terminal)) as (process, said):
            said.readline()
            os.write(master, b"\x03")  # to all programs in front of the terminal
            assert said.readline() == "SIGINT\n"
            process.terminate()
            told, _ = process.communicate(timeout=60)
    finally:
        os.close(master)
        os.close(terminal)
    assert (told, process.returncode) == ("SIGTERM\n", 7)
