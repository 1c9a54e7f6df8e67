"""What `findings` judges, as this process and the other ranks see it.

Rules of this file: it looks, and changes nothing; what fails to be found out is left out.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from mpicomp import installed
from mpicomp._version import version
from mpicomp.doctor.batch import places
from mpicomp.doctor.findings import Job, Rank
from mpicomp.errors import LaunchError
from mpicomp.wire.counter import Counter
from mpicomp.wire.library import mpi
from mpicomp.wire.started import expected_size, launched
from mpicomp.wire.threads import VARIABLES, cores, pools, threads
from mpicomp.wire.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path("/dev/shm")
_YOUNG = 60  # seconds: a file of a job that begins or ends just now
_ASKED_FOR = "OMPI_MCA_mpi_ft_enable"
_NUMBERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


def of_job(world: World, script: str | None) -> Job | None:
    """What is known of all ranks, on rank 0; None on the others.

    Collective: every rank of *world* calls.
    """
    packages = _packages()
    mine = _mine(world, script)._replace(packages=_digest(repr(packages).encode()))
    if world.comm is None:
        return _job((mine,), script, {mine.packages: packages})
    digests = world.comm.allgather(mine.packages)
    first = digests.index(mine.packages) == world.rank
    told = world.comm.gather((mine, packages if first else None))
    if told is None:
        return None
    named = {rank.packages: packages for rank, packages in told if packages is not None}
    return _job(tuple(rank for rank, _ in told), script, named)


def of_this_process(refused: str, asked: int, script: str | None) -> Job:
    """What one process knows where ranks were refused, or not started."""
    mine = _mine(World(), script, started=False)
    return _job((mine,), script, {})._replace(refused=refused, asked=asked)


def speaks() -> bool:
    """Whether of several processes that know nothing of one another this one reports."""
    return next((os.environ[name] for name in _NUMBERS if name in os.environ), "0") == "0"


def _job(ranks: tuple[Rank, ...], script: str | None, packages: dict[str, dict[str, str]]) -> Job:
    launcher = None
    with suppress(LaunchError):
        launcher = installed.find_mpiexec()
    on_path, owner = installed.on_path()
    given = places(os.environ)
    job = Job(ranks, script, packages, launcher, on_path, owner, batch=given.system)
    # in a rank SLURM_NTASKS counts something else
    tasks = 0 if launched() and given.system == "Slurm" else given.total
    return job._replace(tasks=tasks, nodes=given.nodes, slots=given.hosts)


def _mine(world: World, script: str | None, started: bool = True) -> Rank:
    library, trouble, level = _library(started)
    processes, said_by = expected_size()
    if os.environ.get("SLURM_STEP_NUM_TASKS") == str(processes):
        said_by = "SLURM_STEP_NUM_TASKS"  # srun has started them, with whatever --mpi
    return Rank(
        rank=world.rank,
        size=world.size,
        host=world.host,
        node=os.environ.get("SLURMD_NODENAME", world.host),
        python=".".join(map(str, sys.version_info[:3])),
        executable=sys.executable,
        mpicomp=version,
        library=library,
        trouble=trouble,
        thread_level=level,
        cores=tuple(cores()),
        started=processes if launched() else 0,
        said_by=said_by,
        threads=_of_libraries(),
        why_threads=threads().why if world.size > 1 else "",
        shared=_free(),
        left=_left_over() if world.comm is None or world.on_node().rank == 0 else 0,
        claims=_claims_progress(world),
        ulfm=_ulfm(library) if started else "unknown",
        script=None if script is None else _of_script(script),
    )


def _library(started: bool) -> tuple[str | None, str, str]:
    """Name of the MPI library, why there is none, and the level of threads."""
    if not started:  # nor is it now: where MPI does not work, starting it might not return
        said = installed.library()
        return (said or None), ("" if said else installed.without_library()), "MULTIPLE"
    try:
        found = mpi()
    except (ImportError, RuntimeError) as exc:  # no mpi4py; no MPI library
        return None, str(exc).partition("\n")[0], ""
    levels = ("SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE")
    level = found.Query_thread()
    named = next(name for name in levels if getattr(found, f"THREAD_{name}") == level)
    return installed.library_name(found.Get_library_version()), "", named


def _of_libraries() -> int:
    """How many threads a numerical library would start in this rank."""
    with suppress(ImportError):
        import numpy  # noqa: F401  # its BLAS is what is looked at
    found = pools()
    if found:
        return max(int(pool["num_threads"]) for pool in found)
    said = [_number(name) for name in VARIABLES]
    return next((number for number in said if number), len(cores()))


def _free() -> int | None:
    with suppress(OSError):
        about = os.statvfs(SHARED)
        return about.f_bavail * about.f_frsize
    return None


def _left_over() -> int:
    """How many files of dead ranks there are in shared memory."""
    names = [file.name for file in _segments()]
    if not names:
        return 0
    maps = "".join(map(_read, Path("/proc").glob("[0-9]*/maps")))
    return sum(name not in maps for name in names)


def _segments() -> Iterator[Path]:
    for pattern in ("mpich_shm_*", "sm_segment.*"):
        for file in SHARED.glob(pattern):
            with suppress(OSError):
                about = file.stat()
                if about.st_uid == os.getuid() and about.st_mtime < time.time() - _YOUNG:
                    yield file


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _claims_progress(world: World) -> bool:
    """Whether ranks of a node claim work from one another without waiting."""
    if world.comm is None:
        return True
    for _ in range(3):  # a rank that came late looks as if its claim had waited
        counter = Counter(world)
        together = counter.sizes[counter.group] == world.on_node().size
        counter.Free()
        if world.comm.allreduce(together) == world.size:
            return True
    return together


def _ulfm(library: str | None) -> str:
    if library is None:
        return "absent"
    found: Any = mpi()
    names = ("ERR_PROC_FAILED", "ERR_PROC_FAILED_PENDING", "ERR_REVOKED")
    if len({getattr(found, name, None) for name in names}) < len(names):
        return "absent"  # mpi4py gives them all the same number then
    return "on" if os.environ.get(_ASKED_FOR) == "1" else "off"


def _of_script(path: str) -> str:
    try:
        return sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def _packages() -> dict[str, str]:
    found = ((one.metadata["Name"], one.version) for one in distributions())
    return dict(sorted((name, number) for name, number in found if name))


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
