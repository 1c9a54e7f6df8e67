"""Waiting for the launcher: signals go through to it, and its exit code is made to tell the truth.

Rules of this file: no MPI here.  Each rank notes in a folder that it has begun, and with which
code it ends; so what a launcher makes of several codes, or does not notice, is known all the same
(MPICH's gives 0 when a rank has left by ``os._exit(0)``, and mixes the codes of ranks it kills).
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = "MPICOMP_OUTCOMES"
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_BY_SOMEBODY = 0  # si_code of a signal that a process sent, not the terminal


def supervised(command: list[str], environ: Mapping[str, str]) -> int:
    """Run a launcher to its end; the exit code of the program that it ran.

    Parameters
    ----------
    command : list of str
    environ : mapping
    """
    signals = {signal.SIGCHLD, *_PASSED_ON}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with TemporaryDirectory(prefix="mpicomp-") as folder:
            child = os.posix_spawn(
                command[0], command, {**environ, _FOLDER: folder}, setsigmask=before
            )
            code, stopped = _awaited(child, signals)
            return _judged(code, stopped, folder)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _awaited(child: int, signals: set[signal.Signals]) -> tuple[int, bool]:
    """The launcher's exit code, and whether somebody has asked it to stop."""
    stopped = False
    while True:
        came = signal.sigwaitinfo(signals)
        if came.si_signo != signal.SIGCHLD:
            stopped = True
            # the terminal has sent its Ctrl-C to the launcher too
            if came.si_code == _BY_SOMEBODY:
                with suppress(ProcessLookupError):
                    os.kill(child, came.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return (code if code >= 0 else 128 - code), stopped  # as a shell says it


def _judged(code: int, stopped: bool, folder: str) -> int:
    """The code of the first rank that failed, if one said so; else the launcher's."""
    whole = (note for note in Path(folder).iterdir() if note.name.isdecimal())
    notes = sorted(whole, key=lambda note: note.stat().st_mtime_ns)
    told = {int(note.name): note.read_text() for note in notes}
    failed = [int(text) for text in told.values() if text not in ("", "0")]
    if failed:
        return failed[0]
    silent = sorted(rank for rank, text in told.items() if not text)
    if silent and not stopped:
        ranks = ", ".join(map(str, silent))
        print(
            f"mpicomp: rank {ranks} ended without reaching the end of the program "
            f"(os._exit, a crash or a kill); the launcher's exit code was {code}",
            file=sys.stderr,
        )
    return code or int(bool(silent))


def begun(rank: int) -> None:
    """Note that this rank runs the program."""
    _note(rank, "")


def ended(rank: int, code: int) -> None:
    """Note the code with which this rank ends."""
    _note(rank, str(code))


def _note(rank: int, text: str) -> None:
    folder = os.environ.get(_FOLDER)
    if folder is not None:
        with suppress(OSError):  # on another machine there is no such folder
            note = Path(folder, f".{rank}")
            note.write_text(text)
            note.rename(Path(folder, str(rank)))  # at once, or not at all
