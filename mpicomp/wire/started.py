"""How this process was started: what launchers leave in the environment.

Rules of this file: it looks at the environment alone, and starts no MPI.
"""

from __future__ import annotations

import os

from mpicomp.errors import LaunchError

LAUNCHERS = (
    "PMI_RANK", "PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "PALS_RANKID",
    "ALPS_APP_PE", "MV2_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE", "FLUX_TASK_RANK",
    "SLURM_STEP_NUM_TASKS",
)  # fmt: skip


def launched() -> bool:
    """Whether an MPI launcher's marks are in the environment."""
    return any(name in os.environ for name in LAUNCHERS)


def expected_size() -> tuple[int, str]:
    """How many processes the launcher says it started, and the variable that says so."""
    sizes = {
        name: int(os.environ.get(name, 0) or 0) for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
    }
    if "PMI_SIZE" not in os.environ and "PMIX_RANK" not in os.environ:
        # inside an mpiexec's ranks SLURM counts proxies: there it says nothing
        sizes["SLURM_STEP_NUM_TASKS"] = int(os.environ.get("SLURM_STEP_NUM_TASKS", 0) or 0)
    name = max(sizes, key=sizes.__getitem__)
    return sizes[name], name


def check_launch(size: int, library: str) -> None:
    """Raise `LaunchError` if a launcher started several processes, and each is a world of one."""
    expected, name = expected_size()
    if size > 1 or expected <= 1 or os.environ.get("MPICOMP_SINGLETON") == "1":
        return
    cure = (
        "srun --mpi=pmi2 (MPICH, Intel MPI) or srun --mpi=pmix (Open MPI), or mpiexec"
        if name.startswith("SLURM") or os.environ.get("SLURM_STEP_NUM_TASKS") == str(expected)
        else "the mpiexec that belongs to this MPI: mpicomp run -n N script.py finds it"
    )
    raise LaunchError(
        f"the launcher started {expected} processes ({name}={expected}), but each is rank 0 of 1 "
        f"and would do all the work again: {library}\nlaunch with {cure}; "
        "MPICOMP_SINGLETON=1 runs each by itself all the same"
    )
