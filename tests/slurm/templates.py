"""Every template runs as it is, under both MPIs, by mpiexec and by srun, and does what it says.

Run by ``python -m tests.slurm``, which has the Slurm and both environments; so it is not among the
files that pytest collects by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import (
    LAUNCHERS,
    LOSSY,
    MPIS,
    PMI,
    PROGRAM,
    RESUMED,
    Job,
    Site,
    by_srun,
    launch,
)

ITEMS = 120  # of resumed.py
TOTAL = 332833500  # sum of the squares below 1000: 999 * 1000 * 1999 / 6
SMALL = ("--nodes=2", "--ntasks-per-node=1")
FEW = ("--nodes=1", "--ntasks-per-node=2")
AS_IT_IS = (("mpich", "mpiexec"), ("openmpi", "srun"))  # eight ranks; four where they would be slow
WAYS = [*product(MPIS, LAUNCHERS)]
LETTERS: dict[tuple[str, str, str], str] = {
    # a template, an MPI, and what LAUNCH is, where it cannot work; what the job is to say
    ("static", "mpich", by_srun("pmix")): "does not speak PMIx; write srun --mpi=pmi2",
    ("static", "openmpi", by_srun("pmi2")): "srun --mpi=pmix (Open MPI)",
    ("fault-tolerant", "mpich", ""): "--fault-tolerant needs Open MPI 5",
    ("fault-tolerant", "mpich", by_srun("pmi2")): "unset LAUNCH",
    ("fault-tolerant", "openmpi", by_srun("pmix")): "unset LAUNCH",
}

CANCELLED = ("--quiet",)
STOPPED: dict[tuple[str, ...], tuple[str, ...]] = {
    # how each is stopped: by its limit (one, as it takes most of a minute), as Slurm tells of that,
    # as it tells a job that is preempted and has a time of grace; and by its user, for good
    ("mpich", "mpiexec"): (),
    ("mpich", "srun"): ("--batch", "--signal=USR1"),
    ("openmpi", "mpiexec"): ("--batch", "--signal=TERM"),
    ("openmpi", "srun"): ("--batch", "--signal=USR1"),
    ("mpich", "mpiexec", "for good"): CANCELLED,
}

each_mpi = pytest.mark.parametrize("mpi", MPIS)
each_way = pytest.mark.parametrize(("mpi", "launcher"), WAYS)
Submitted = dict[tuple[str, ...], Job]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Slurm for all tests; MPICOMP_PYTHONS says where the MPIs are."""
    pythons = dict(zip(MPIS, os.environ["MPICOMP_PYTHONS"].split(os.pathsep), strict=True))
    with Cluster() as cluster:
        yield Site(cluster, pythons, Path(tmp_path_factory.mktemp("jobs")))


@pytest.fixture(scope="session")
def jobs(site: Site) -> Submitted:
    """All jobs, by what they are, their MPI and their launcher; first those that wait most."""
    program = ("--", str(PROGRAM), "a b", "*")
    submitted = stopped(site)
    submitted |= {("doctor", mpi): doctor(site, mpi) for mpi in MPIS}
    submitted |= {("notebook", *way): notebook(site, *way) for way in WAYS}
    submitted["fault-tolerant", "openmpi"] = site.submit(
        "openmpi", "fault-tolerant", "--nodes=1", "--ntasks-per-node=3", "--", str(LOSSY)
    )
    for mpi, launcher in WAYS:
        way = {"launch": launch(mpi, launcher)}
        size = () if (mpi, launcher) in AS_IT_IS else ("--ntasks-per-node=2",)
        submitted |= {
            ("static", mpi, launcher): site.submit(mpi, "static", *size, *program, **way),
            ("hybrid", mpi, launcher): site.submit(mpi, "hybrid", *program, **way),
            ("array", mpi, launcher): site.submit(mpi, "array", "--array=3,5", *program, **way),
        }
        # as a user may, who has a template filled in
        by = ["--srun"] if launcher == "srun" else []
        words = ("--nodes", "2", "--ntasks-per-node=1", *program[1:])
        job = site.made(mpi, "master", "--submit", *by, *words)
        submitted["master", mpi, launcher] = job
    for template, mpi, launched in LETTERS:
        job = site.submit(mpi, template, *SMALL, *program, launch=launched)
        submitted["letter", template, mpi, launched] = job
    return submitted


def stopped(site: Site) -> Submitted:
    """Jobs that do not come to their end in the first run."""
    submitted: Submitted = {}
    for (mpi, launcher, *_), how in STOPPED.items():
        words = () if how else ("--time=1", "--signal=B:USR1@40")
        program = ("--", str(RESUMED))
        job = site.submit(mpi, "preemptible", *FEW, *words, *program, launch=launch(mpi, launcher))
        submitted["cancelled" if how == CANCELLED else "preemptible", mpi, launcher] = job
        site.stopped[job] = how
    return submitted


CELL = """import json
import os
from mpicomp.notebook import connect
mpi = connect(profile=os.environ["MPICOMP_PROFILE"])
print(mpi.psum(x * x for x in range(1000)), mpi.plist(x for x in range(3)))
mpi.close()"""


def notebook(site: Site, mpi: str, launcher: str) -> Job:
    """A job that runs a notebook, which connects to its engines."""
    about: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "one",
        "metadata": {},
    }
    cells = [{**about, "outputs": [], "source": CELL}]
    book = site.folder / f"{mpi}-{launcher}.ipynb"
    book.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return site.submit(mpi, "notebook", *SMALL, "--", str(book), launch=launch(mpi, launcher))


def doctor(site: Site, mpi: str) -> Job:
    """A job that asks the doctor, in all ways; and starts a program in the wrong one."""
    script = f"""
        python -m mpicomp doctor {PROGRAM}; echo mpiexec: $?
        srun --mpi={PMI[mpi]} python -m mpicomp doctor; echo srun: $?
        srun python -m mpicomp doctor; echo bare: $?
        srun python {PROGRAM}; echo script: $?
    """
    return site.shell(mpi, script, *SMALL)


@each_way
def test_static(jobs: Submitted, mpi: str, launcher: str) -> None:
    told = jobs["static", mpi, launcher].told()
    ranks = 8 if (mpi, launcher) in AS_IT_IS else 4
    assert (told["size"], told["nodes"], told["total"]) == (ranks, ["n1", "n2"], TOTAL)
    assert (told["schedule"], told["dispatch"], told["threads"]) == ("static", "static", [1])
    assert told["arguments"] == ["a b", "*"]


@each_way
def test_master(jobs: Submitted, mpi: str, launcher: str) -> None:
    told = jobs["master", mpi, launcher].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert (told["schedule"], told["dispatch"]) == ("af", "master")
    assert told["arguments"] == ["a b", "*"]


@each_way
def test_hybrid(jobs: Submitted, mpi: str, launcher: str) -> None:
    told = jobs["hybrid", mpi, launcher].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert told["asked"] == "4"
    assert told["threads"] == [min(4, len(os.sched_getaffinity(0)))]


@each_way
def test_array(jobs: Submitted, mpi: str, launcher: str) -> None:
    job = jobs["array", mpi, launcher]
    job.over()
    for number in (3, 5):
        said = job.output(f"*-{number}.out")
        (line,) = [line for line in said.splitlines() if line.startswith("{")]
        assert f'"arguments": ["a b", "*", "{number}"]' in line
        assert f'"total": {TOTAL}' in line
        assert '"size": 2' in line


@each_way
def test_a_notebook_runs_on_the_engines_of_its_job(
    jobs: Submitted, site: Site, mpi: str, launcher: str
) -> None:
    job = jobs["notebook", mpi, launcher]
    about = job.over()
    assert about["JobState"] == "COMPLETED", job.output()
    (cell,) = json.loads((site.folder / f"{mpi}-{launcher}.ipynb").read_text())["cells"]
    assert "".join(cell["outputs"][0]["text"]) == f"{TOTAL} [0, 1, 2]\n"
    assert "# 2 engines" in job.output()


@each_way
def test_a_job_that_is_stopped_requeues_itself_and_goes_on(
    jobs: Submitted, mpi: str, launcher: str
) -> None:
    job = jobs["preemptible", mpi, launcher]
    about = job.over()
    assert (about["JobState"], about["ExitCode"]) == ("COMPLETED", "0:0"), (about, job.output())
    assert int(about["Restarts"]) >= 1
    if "--signal=TERM" not in STOPPED[mpi, launcher]:  # Open MPI's mpiexec ends all by that
        assert "mpicomp: stopped by SIGUSR1" in job.output()
    assert '{"right": true}' in job.output()
    computed = sorted(map(int, job.output("computed").split()))
    assert {*computed} == {*range(ITEMS)}, "nothing is lost"
    if "--signal=TERM" not in STOPPED[mpi, launcher]:  # then what was under way is done again
        assert computed == [*range(ITEMS)], "each once: nothing is done again"


def test_a_job_that_is_cancelled_does_not_come_back(jobs: Submitted) -> None:
    job = jobs["cancelled", "mpich", "mpiexec"]
    about = job.over()
    assert (about["JobState"], about["Restarts"]) == ("CANCELLED", "0"), job.output()


def test_a_job_that_loses_a_rank_goes_on(jobs: Submitted) -> None:
    told = jobs["fault-tolerant", "openmpi"].told()
    assert told == {"right": True, "left": 2}


@pytest.mark.parametrize("case", LETTERS, ids=" ".join)
def test_what_cannot_work_ends_at_once_and_names_what_to_write(
    jobs: Submitted, case: tuple[str, str, str]
) -> None:
    assert LETTERS[case] in jobs["letter", *case].refused()


@each_mpi
def test_the_doctor_in_a_job(jobs: Submitted, mpi: str) -> None:
    job = jobs["doctor", mpi]
    job.over()
    said = job.output()
    assert "mpiexec: 0" in said, said
    assert "srun: 0" in said, said
    assert said.count("2 ranks on 2 hosts: ") == 2, said
    assert "bare: 1" in said
    assert said.count("problem  launcher: 2 processes were started") == 1, said
    assert f"cure: write srun --mpi={PMI[mpi]}" in said
    assert "script: 1" in said
    assert '"total"' not in said, "nobody does the work of all"
