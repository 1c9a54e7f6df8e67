"""Waiting for the launcher: signals go through to it, and its exit code is made to tell the truth.

Rules of this file: no MPI here.  Each rank notes in a folder that it has begun, and with which
code it ends; so what a launcher makes of several codes, or does not notice, is known all the same
(MPICH's gives 0 when a rank has left by ``os._exit(0)``, and mixes the codes of ranks it kills).
A thread sees in which order the ranks' processes go: the launcher ends the others when one dies.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = "MPICOMP_OUTCOMES"
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_BY_SOMEBODY = 0  # si_code of a signal that a process sent, not the terminal
_BEGUN = "pid "
_SETTLED = 1.0  # seconds after which a folder's time of change tells of all changes
_LOOK = 0.1  # seconds between two looks for ranks that have begun


def supervised(command: list[str], environ: Mapping[str, str], surviving: bool = False) -> int:
    """Run a launcher to its end; the exit code of the program that it ran.

    Parameters
    ----------
    command : list of str
    environ : mapping
    surviving : bool
        Ranks may be lost; those that are left make the exit code.
    """
    signals = {signal.SIGCHLD, *_PASSED_ON}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with TemporaryDirectory(prefix="mpicomp-") as folder:
            child = os.posix_spawn(
                command[0], command, {**environ, _FOLDER: folder}, setsigmask=before
            )
            deaths = Deaths(folder)
            code, stopped = _awaited(child, signals)
            return _judged(code, stopped, folder, deaths.known(), surviving)
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


class Deaths(threading.Thread):
    """The ranks whose processes have gone, in the order in which they went.

    Parameters
    ----------
    folder : str
        Where ranks note that they have begun; of ranks on other machines nothing is known.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(name="mpicomp-deaths", daemon=True)
        self._folder = Path(folder)
        self._over = threading.Event()
        self._order: list[int] = []
        self._met: set[int] = set()
        self._looked = 0.0
        self.start()

    def run(self) -> None:
        if not hasattr(os, "pidfd_open"):  # another system than Linux
            return
        alive: dict[int, int] = {}
        with select.epoll() as poll:
            while not self._over.is_set():
                for rank, pid in self._newcomers():
                    try:
                        file = os.pidfd_open(pid)
                    except OSError:  # gone before it was met, and so before those that are here
                        self._order.append(rank)
                        continue
                    poll.register(file, select.EPOLLIN)
                    alive[file] = rank
                self._bury(poll.poll(_LOOK), alive)
            self._bury(poll.poll(0), alive)
            for file in alive:
                os.close(file)

    def _newcomers(self) -> list[tuple[int, int]]:
        """``(rank, process)`` of those that have begun since the last look."""
        with suppress(OSError):
            changed = self._folder.stat().st_mtime
            if changed == self._looked and time.time() - changed > _SETTLED:
                return []
            self._looked = changed
            told = _notes(self._folder)
            new = {rank: text for rank, text in told.items() if rank not in self._met}
            self._met |= new.keys()
            return [(rank, int(text.removeprefix(_BEGUN)))
                    for rank, text in new.items() if text.startswith(_BEGUN)]  # fmt: skip
        return []

    def _bury(self, ready: list[tuple[int, int]], alive: dict[int, int]) -> None:
        for file, _ in ready:  # the kernel lists them in the order in which they ended
            self._order.append(alive.pop(file))
            os.close(file)

    def known(self) -> list[int]:
        """The ranks that have gone so far.  No more are looked for."""
        self._over.set()
        self.join()
        return self._order


def _judged(code: int, stopped: bool, folder: str, deaths: list[int], surviving: bool) -> int:
    """The code of the first rank that failed, if one said so; else the launcher's."""
    told: dict[int, str] = {}
    with suppress(OSError):  # somebody has tidied up the place of the folder
        told = _notes(Path(folder))
    failed = [int(text) for text in told.values() if text.isdecimal() and text != "0"]
    if failed:
        return failed[0]
    silent = sorted(rank for rank, text in told.items() if text.startswith(_BEGUN))
    if surviving and len(silent) < len(told):
        if silent:
            ranks = ", ".join(map(str, silent))
            print(f"mpicomp: rank {ranks} was lost; the others came to the end", file=sys.stderr)
        return 0  # whatever the launcher makes of it
    if silent and not stopped:
        print(_obituary(silent, [rank for rank in deaths if rank in silent], code), file=sys.stderr)
    return code or int(bool(silent))


def _obituary(silent: list[int], deaths: list[int], code: int) -> str:
    first = deaths[:1] or silent
    others = len(silent) - len(first)
    return (
        f"mpicomp: rank {', '.join(map(str, first))} ended without reaching the end of the program "
        f"(os._exit, a crash or a kill)"
        f"{f', and so ended {others} more' if others else ''}; "
        f"the launcher's exit code was {code}"
    )


def _notes(folder: Path) -> dict[int, str]:
    """What each rank has noted last, the oldest first."""
    whole = (note for note in folder.iterdir() if note.name.isdecimal())
    notes = sorted(whole, key=lambda note: note.stat().st_mtime_ns)
    return {int(note.name): note.read_text() for note in notes}


def begun(rank: int) -> None:
    """Note that this rank runs the program."""
    _note(rank, f"{_BEGUN}{os.getpid()}")


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
