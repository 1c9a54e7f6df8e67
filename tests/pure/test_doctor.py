"""What the doctor makes of facts: each finding, from the facts that call for it and no others."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.doctor import facts
from mpicomp.doctor.batch import Places, places
from mpicomp.doctor.findings import NOTE, PROBLEM, WARNING, Finding, Job, Rank, findings
from mpicomp.wire.started import LAUNCHERS
from mpicomp.wire.threads import VARIABLES, cores, pools

GIB = 1 << 30


def job(n: int = 4, hosts: int = 2, **about: Any) -> Job:
    """A healthy job: each rank has two cores of its own."""
    of_rank = {name: about.pop(name) for name in list(about) if name in Rank._fields}
    ranks = []
    for k in range(n):
        host = f"node{k * hosts // n}"
        ranks.append(Rank(rank=k, size=n, host=host, node=host, cores=(2 * k, 2 * k + 1), started=n,
                          said_by="PMI_SIZE", threads=2, shared=GIB, **of_rank))  # fmt: skip
    return Job(tuple(ranks), **about)


def but(whole: Job, k: int, **facts: Any) -> Job:
    """The same job, with other facts of rank *k*."""
    changed = whole.ranks[k]._replace(**facts)
    return whole._replace(ranks=(*whole.ranks[:k], changed, *whole.ranks[k + 1 :]))


def bad(about: Job) -> list[Finding]:
    return [one for one in findings(about) if one.level != NOTE]


def alone(**facts: Any) -> Job:
    return Job((Rank(started=4, said_by="PMI_SIZE", shared=GIB)._replace(**facts),))


CASES: dict[str, tuple[Job, str, str, str, str]] = {
    # facts; level, name, words of the text, words of the cure
    "bare srun, MPICH": (
        alone(said_by="SLURM_STEP_NUM_TASKS", library="MPICH Version: 5.0.2"),
        PROBLEM, "launcher", "4 processes were started", "srun --mpi=pmi2",
    ),
    "bare srun, Open MPI": (
        alone(said_by="SLURM_STEP_NUM_TASKS", library="Open MPI v5.0.11"),
        PROBLEM, "launcher", "each is rank 0 of 1 to Open MPI", "srun --mpi=pmix",
    ),
    "the other MPI's mpiexec": (
        alone(said_by="OMPI_COMM_WORLD_SIZE"), PROBLEM, "launcher", "OMPI_COMM_WORLD_SIZE=4",
        "mpicomp run -n 4",
    ),
    "no mpi4py": (
        Job((Rank(library=None, trouble="No module named 'mpi4py'", executable="py"),)),
        PROBLEM, "library", "no MPI: No module", "py -m pip install mpi4py mpich",
    ),
    "no library on one rank": (
        but(job(), 2, library=None, trouble="cannot load MPI library"),
        PROBLEM, "library", "rank 2 of node1: there is no MPI", "pip install mpich",
    ),
    "no launcher": (job(launcher=None), WARNING, "library", "no launcher", "srun starts ranks too"),
    "two libraries": (
        but(job(), 3, library="Open MPI v5"), PROBLEM, "mixed",
        "MPICH on ranks 0, 1 of node0", "one environment",
    ),
    "another mpiexec on PATH": (
        job(on_path="/usr/bin/mpiexec", owner="Open MPI"),
        WARNING, "mixed", "/usr/bin/mpiexec", "write mpicomp run -n N",
    ),
    "too few slots": (job(tasks=2), PROBLEM, "slots", "4 ranks are asked for", "--ntasks=4"),
    "too few slots of another batch system": (
        job(tasks=2, batch="PBS", slots={"node0": 1, "node1": 1}),
        PROBLEM, "slots", "the batch job has 2 slots", "qsub -l select=1:ncpus=4:mpiprocs=4",
    ),
    "more ranks on a host than slots": (
        job(6, 2, tasks=6, nodes=2, batch="LSF", slots={"node0.site": 2, "node1.site": 4}),
        WARNING, "slots", "3 ranks are on node0, where the batch job has 2 slots", "bsub -n 6",
    ),
    "all ranks on the first of two hosts": (
        job(4, 1, tasks=4, nodes=2, batch="SGE", slots={"node0": 2, "node1": 2}),
        WARNING, "slots", "4 ranks are on node0", "qsub -pe NAME 4",
    ),
    "ranks on a host that is none of the job's": (
        job(4, 2, tasks=4, nodes=2, batch="PBS", slots={"node0": 2, "node7": 2}),
        WARNING, "slots", "2 ranks are on node1, where the batch job has none", "list of hosts",
    ),
    "asked for more before starting": (
        job(1, 1, tasks=4, asked=9), PROBLEM, "slots", "9 ranks", "or -n 4",
    ),
    "an idle node": (
        job(4, 1, nodes=2), WARNING, "slots", "2 nodes, and all ranks are on node0", "use srun",
    ),
    "more ranks than cores": (
        job(4, 1)._replace(
            ranks=tuple(r._replace(cores=(0, 1), threads=1) for r in job(4, 1).ranks)
        ),
        WARNING, "oversubscribed", "4 ranks share 2 cores of node0", "start 2 ranks here",
    ),
    "more ranks than Slurm's cores": (
        job(4, 1, batch="Slurm", tasks=4)._replace(
            ranks=tuple(r._replace(cores=(0, 1), threads=1) for r in job(4, 1).ranks)
        ),
        WARNING, "oversubscribed", "4 ranks share 2 cores of node0",
        "start 2 ranks here, or ask for more: sbatch --cpus-per-task, --ntasks-per-node",
    ),
    "all bound to one core": (
        job(2, 1)._replace(
            ranks=tuple(r._replace(cores=(0,), threads=1) for r in job(2, 1).ranks)
        ),
        WARNING, "oversubscribed", "2 ranks share 1 core of node0", "--bind-to none",
    ),
    "threads": (
        but(but(job(), 0, threads=64), 1, threads=64), WARNING, "threads",
        "2 ranks on node0 start 128 threads", "OMP_NUM_THREADS=2",
    ),
    "thread level": (
        but(job(), 1, thread_level="FUNNELED"), PROBLEM, "thread level", "threads FUNNELED",
        "MPI4PY_RC_THREAD_LEVEL",
    ),
    "little shared memory": (
        but(job(), 1, shared=80 << 20), WARNING, "shared memory",
        "80 MiB free; 2 ranks may want 96", "--shm-size",
    ),
    "hardly any": (but(job(), 1, shared=1 << 20), PROBLEM, "shared memory", "1 MiB", "remount"),
    "files of dead ranks": (
        but(job(), 2, left=1), WARNING, "shared memory", "1 file of MPI jobs that were killed",
        "rm -f",
    ),
    "claims": (
        but(job(), 1, claims=False), WARNING, "claims", "rank 1 of node0: a claim", "guided",
    ),
    "Pythons": (
        but(job(), 3, python="3.12.1"), PROBLEM, "versions", "3.12.1 on rank 3 of node1",
        "one environment",
    ),
    "versions of mpicomp": (
        but(job(), 0, mpicomp="0.0.9"), PROBLEM, "versions", "0.0.9 on rank 0 of node0",
        "one environment",
    ),
    "packages": (
        but(job(packages="a"), 2, packages="b")._replace(
            packages={"a": {"numpy": "2.4", "scipy": "1"}, "b": {"numpy": "2.3", "scipy": "1"}}
        ),
        WARNING, "versions", "numpy 2.4 and 2.3", "one environment",
    ),
    "a script that differs": (
        but(job(script="0123456789"), 2, script="9876543210")._replace(script="s.py"),
        PROBLEM, "script", "98765432 on rank 2 of node1", "all nodes share",
    ),
    "a script that is missing": (
        but(job(script="0123456789"), 3, script="")._replace(script="s.py"),
        PROBLEM, "script", "s.py cannot be read by rank 3 of node1", "all nodes share",
    ),
    "refused for another reason": (
        alone(started=0)._replace(refused="-n 3 was asked for"), PROBLEM, "launcher", "-n 3", "",
    ),
}  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 5))
def test_nothing_is_found_wrong_with_a_healthy_job(n: int, hosts: int) -> None:
    about = job(n, min(n, hosts), nodes=min(n, hosts), tasks=n, script="0")
    assert bad(about) == []
    slots = Counter(f"{rank.host}.site" for rank in about.ranks)
    assert bad(about._replace(batch="PBS", slots=slots)) == []


@pytest.mark.parametrize("case", CASES)
def test_each_trouble_is_found_alone_and_with_its_cure(case: str) -> None:
    about, level, name, text, cure = CASES[case]
    (found,) = bad(about)
    assert (found.level, found.name) == (level, name)
    assert text in found.text
    assert cure in found.cure


def test_the_worst_comes_first() -> None:
    about = but(but(job(), 1, claims=False, why_threads="set"), 3, python="3.12.1")
    levels = [one.level for one in findings(about)]
    assert levels == sorted(levels, key=[PROBLEM, WARNING, NOTE].index)
    assert {PROBLEM, WARNING} <= set(levels)


@pytest.mark.parametrize(
    ("ulfm", "words"),
    [("absent", "ends the job"), ("off", "--fault-tolerant"), ("on", "survives the death")],
)
def test_what_becomes_of_a_dead_rank_is_told(ulfm: str, words: str) -> None:
    (note,) = findings(job(ulfm=ulfm))
    assert (note.level, note.name) == (NOTE, "faults")
    assert words in note.text


def test_many_ranks_are_told_in_few_words() -> None:
    about = job(400, 20)
    for k in range(0, 400, 2):
        about = but(about, k, thread_level="SINGLE")
    (found,) = bad(about)
    assert len(found.text) < 500
    assert "and 4 more of node0" in found.text
    assert "and 16 more hosts" in found.text


# --- what a batch system has given ---------------------------------------------------------------

HOSTS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 9),
                        min_size=1, max_size=6)  # fmt: skip


@given(HOSTS, st.randoms())
def test_the_lists_of_all_batch_systems_are_read(
    tmp_path_factory: pytest.TempPathFactory, hosts: dict[str, int], random: Any
) -> None:
    named = [host for host, number in hosts.items() for _ in range(number)]
    random.shuffle(named)
    folder = tmp_path_factory.getbasetemp()
    lines, queues = folder / "nodes", folder / "queues"
    lines.write_text("".join(f"{host}\n" for host in named))
    queues.write_text("".join(f"{h} {k} all.q@{h} UNDEFINED\n" for h, k in hosts.items()))
    pairs = " ".join(f"{host} {number}" for host, number in hosts.items())
    given: dict[str, tuple[str, str]] = {
        "PBS_NODEFILE": ("PBS", str(lines)), "LSB_DJOB_HOSTFILE": ("LSF", str(lines)),
        "LSB_MCPU_HOSTS": ("LSF", pairs), "LSB_HOSTS": ("LSF", " ".join(named)),
        "PE_HOSTFILE": ("SGE", str(queues)),
    }  # fmt: skip
    for name, (system, value) in given.items():
        assert places({name: value}) == Places(system, name, len(named), len(hosts), hosts)


@pytest.mark.parametrize("text", ["", "\n \n", "node1", "node1 many", "0"])
def test_a_list_that_says_nothing_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "hosts").write_text(text)
    for value in (str(tmp_path / "hosts"), str(tmp_path / "nosuch"), str(tmp_path)):
        assert places({"PE_HOSTFILE": value}) == Places()
    assert places({"LSB_MCPU_HOSTS": text}) == Places()
    # the first that says something counts
    both = {"PBS_NODEFILE": str(tmp_path / "nosuch"), "LSB_MCPU_HOSTS": "node1 2"}
    assert places(both).said_by == "LSB_MCPU_HOSTS"


def test_a_job_of_slurm() -> None:
    assert places({"SLURM_JOB_ID": "7"}) == Places("Slurm", "SLURM_NTASKS")
    about = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_JOB_NUM_NODES": "2"}
    assert places(about) == Places("Slurm", "SLURM_NTASKS", 4, 2)


# --- what this process sees ----------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /dev/shm, of which nobody else makes use."""
    monkeypatch.setattr(facts, "SHARED", tmp_path)
    return tmp_path


def mine() -> Rank:
    return facts.of_this_process("", 0, None).ranks[0]


def test_files_of_dead_ranks_are_those_that_are_old_and_that_nobody_maps(shared: Path) -> None:
    assert mine().left == 0
    names = ("mpich_shm_used", "mpich_shm_old", "mpich_shm_new", "sm_segment.node.0", "other")
    for name in names:
        (shared / name).write_bytes(bytes(mmap.PAGESIZE))
        if name != "mpich_shm_new":
            os.utime(shared / name, (0, 0))
    with (shared / "mpich_shm_used").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert mine().left == 2
    assert mine().left == 3
    assert sorted(file.name for file in shared.iterdir()) == sorted(names), "it only looks"


def test_where_there_is_no_shared_memory_nothing_is_said_of_it(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = mine().shared
    assert free is not None
    assert free > 0
    monkeypatch.setattr(facts, "SHARED", shared / "nosuch")
    assert (mine().shared, mine().left) == (None, 0)
    assert "shared memory" not in {one.name for one in findings(facts.of_this_process("", 0, None))}


def test_without_threadpoolctl_the_variables_say_how_many_threads_there_would_be(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mine().threads == max(int(pool["num_threads"]) for pool in pools() or ())
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert mine().threads == len(cores())
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # OpenMP's list, by level: no number
    assert mine().threads == 3
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    assert mine().threads == 5


STARTED = {  # by whom: the variables, and what is said of it
    "nobody": ({}, 0, ""),
    "srun": ({"SLURM_STEP_NUM_TASKS": "3"}, 3, "SLURM_STEP_NUM_TASKS"),
    "srun with PMIx": (
        {"SLURM_STEP_NUM_TASKS": "3", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "0"},
        3, "SLURM_STEP_NUM_TASKS",
    ),
    "Hydra": ({"PMI_SIZE": "5", "PMI_RANK": "2"}, 5, "PMI_SIZE"),
    "Hydra in a step of Slurm": (
        {"PMI_SIZE": "5", "PMI_RANK": "2", "SLURM_STEP_NUM_TASKS": "2"}, 5, "PMI_SIZE",
    ),
    "Open MPI": ({"OMPI_COMM_WORLD_SIZE": "4"}, 4, "OMPI_COMM_WORLD_SIZE"),
}  # fmt: skip


@pytest.mark.parametrize("by", STARTED)
def test_who_has_started_the_ranks(by: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, number, name = STARTED[by]
    for known in (*LAUNCHERS, "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(known, raising=False)
    for known, value in (variables | {"SLURMD_NODENAME": "node-7"}).items():
        monkeypatch.setenv(known, value)
    rank = mine()
    assert (rank.started, rank.node) == (number, "node-7")
    assert not number or rank.said_by == name
    assert facts.speaks() == (variables.get("PMI_RANK", "0") == "0")


def test_what_is_refused_is_reported_with_the_facts_of_this_process(
    shared: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text("print(1)")
    about = facts.of_this_process("no launcher", 4, str(script))
    assert (about.refused, about.asked, about.script) == ("no launcher", 4, str(script))
    digests = [about.ranks[0].script]
    digests += [facts.of_this_process("", 4, path).ranks[0].script for path in (None, "nosuch.py")]
    assert digests == [hashlib.sha256(b"print(1)").hexdigest(), None, ""]
    assert ("problem", "launcher") in {(one.level, one.name) for one in findings(about)}
