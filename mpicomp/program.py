"""Running a program, or a command of ours, as one of the ranks; and ending them together.

Rules of this file: every rank starts MPI before anything of the user's runs: so a rank that fails
can always end the others.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from mpicomp.engine.stopping import keep_listening
from mpicomp.errors import STOPPED, MpicompError
from mpicomp.supervise import begun, ended
from mpicomp.wire import guard
from mpicomp.wire.library import mpi
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, TracebackType

    from mpi4py import MPI

_GRACE = 1.0  # seconds that the other ranks get to fail as well, and to say why
_ALIKE = 30.0  # seconds, where all have been stopped: they do come, and srun is to say 85
_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended


def as_rank(work: Callable[[], int]) -> int:
    """Exit code of *work*, as one of the ranks of a launcher; when it is not 0 all ranks end.

    Collective: every rank of the job calls.

    Raises
    ------
    LaunchError
        The launcher and the MPI library do not belong together.
    """
    ranks = world()
    keep_listening()
    guard.stand_back()  # the end is told and made here
    # of our own: a barrier on it meets no message of a verb
    fate = ranks.comm.Dup() if ranks.comm is not None and ranks.watch is None else None
    _by_line()
    code = 1
    begun(ranks.rank)
    guard.aborting.append(partial(ended, ranks.rank))
    try:
        code = told(work)
    finally:
        ended(ranks.rank, code)
        sys.stdout.flush()
        sys.stderr.flush()
        if code and ranks.watch is not None and not guard.together(world()):
            guard.abort(code)
        if code and fate is not None and not mpi().Is_finalized():
            _end(fate, code)
            if not fate.allreduce(ranks.closed):
                ranks.close()  # all are here: a window left open would be warned of
    return code


def _by_line() -> None:
    """A line that is printed is seen at once, as in a terminal, and whole among the others'."""
    from io import TextIOWrapper

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def _end(fate: MPI.Intracomm, code: int) -> None:
    """End quietly where all ranks have failed; else end all of them.

    Not at once: the launcher would drop what it has not yet read of this rank's last words.
    """
    together = fate.Ibarrier()
    until = time.monotonic() + (_ALIKE if code == STOPPED else _GRACE)
    while time.monotonic() < until:
        if together.Test():
            return
        time.sleep(0.005)
    guard.abort(code)


def prepared(program: Sequence[str]) -> Callable[[], None]:
    """A program, read and compiled; calling what is returned runs it as ``python`` would.

    Parameters
    ----------
    program : sequence of str
        As behind ``python``: a script, ``-m`` and a module or ``-c`` and code; and arguments.

    Raises
    ------
    OSError
        The script cannot be read.
    SyntaxError
        It cannot be compiled.
    """
    if program[0] == "-m":
        return partial(_module, program[1], program[2:])
    if program[0] == "-c":
        code = compile(program[1], "<string>", "exec", dont_inherit=True)
        return partial(_execute, code, "", ["-c", *program[2:]])
    path = os.path.abspath(program[0])
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        return partial(_packed, path, program)
    code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    return partial(_execute, code, os.path.dirname(os.path.realpath(path)), program, __file__=path)


def _execute(code: CodeType, folder: str, argv: Sequence[str], **names: object) -> None:
    exec(code, fresh_main(folder, argv, **names))


def _module(name: str, arguments: Sequence[str]) -> None:
    from runpy import run_module

    fresh_main(os.getcwd(), ["-m", *arguments])
    run_module(name, run_name="__main__", alter_sys=True)


def _packed(path: str, argv: Sequence[str]) -> None:
    from runpy import run_path

    fresh_main(path, argv)
    run_path(path, run_name="__main__")


def fresh_main(folder: str, argv: Sequence[str], **names: object) -> dict[str, Any]:
    """The names of a new ``__main__``, where pickle will look for the program's classes.

    Modules are looked for in *folder* first; *names* is what there is from the start.
    """
    sys.argv[:] = argv
    if not sys.flags.safe_path:  # with it, nothing of ours stands there
        sys.path[0] = folder
    module = sys.modules["__main__"] = ModuleType("__main__")
    vars(module).update(names)
    return vars(module)


def told(work: Callable[[], int]) -> int:
    """Exit code of *work*; what it raises is told as Python would tell it.

    An error that all ranks have agreed on is told by rank 0.
    """
    try:
        return work()
    except BaseException as exc:
        agreed = getattr(exc, "__mpicomp_world__", None)
        speaks = agreed is None or agreed.rank == 0
        if isinstance(exc, SystemExit):
            return _exit_code(exc, speaks)
        guard.failed.append(exc)  # the others are not to be told that all went well here
        exc.__traceback__ = _below(exc)
        if speaks:
            sys.excepthook(type(exc), exc, exc.__traceback__)
        return _INTERRUPTED if isinstance(exc, KeyboardInterrupt) else 1


def _exit_code(exc: SystemExit, speaks: bool) -> int:
    if exc.code is None or isinstance(exc.code, int):
        return (exc.code or 0) & 0xFF  # as the operating system would cut it
    if speaks:
        print(exc.code, file=sys.stderr)
    return 1


def _below(exc: BaseException) -> TracebackType | None:
    """The traceback of *exc* without what stands above the user's own lines."""
    tells_all = isinstance(exc, (SyntaxError, ImportError, MpicompError)) or exc.__cause__
    for above in (("runpy", "mpicomp."), ("mpicomp.cli", "mpicomp.program")):
        below = exc.__traceback__
        while below and below.tb_frame.f_globals.get("__name__", "").startswith(above):
            below = below.tb_next
        if below or tells_all:
            return below
    return exc.__traceback__  # a mistake of these two files
