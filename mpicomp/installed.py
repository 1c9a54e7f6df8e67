"""Which MPI this environment has: its launcher, and the library that mpi4py loads.

Rules of this file: no MPI is started in this process; who knows is asked in another.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mpicomp.errors import LaunchError

_LIBRARY = """if True:
    import mpi4py
    mpi4py.rc.initialize = False
    from mpi4py import MPI
    print(MPI.Get_library_version())
"""


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


def is_of_open_mpi(mpiexec: str) -> bool:
    """Whether this launcher is Open MPI's."""
    return _of_open_mpi(_says([mpiexec, "--version"]))


def library() -> str:
    """Name of the MPI library that mpi4py loads, without starting it here; "" if there is none."""
    return library_name(_library_says())


def check_srun() -> None:
    """Before MPI starts on a rank: raise `LaunchError` where srun does not speak as this MPI does.

    An MPICH without PMIx would end the process in ``MPI_Init``.  The other way round nothing is
    lost: Open MPI under another PMI is noticed when it has started (`mpicomp.wire.started`).
    """
    if "PMIX_RANK" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return
    if "PMI_RANK" in os.environ or "OMPI_COMM_WORLD_SIZE" in os.environ:
        return  # an mpiexec has started it
    said = _library_says()
    if said.startswith("MPICH") and "pmix" not in said.lower():
        raise LaunchError(
            f"srun --mpi=pmix has started this rank, and {library_name(said)} does not speak PMIx; "
            "write srun --mpi=pmi2, or in the batch script mpicomp run -n $SLURM_NTASKS"
        )


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


def _library_says() -> str:
    return _says([sys.executable, "-c", _LIBRARY])


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
