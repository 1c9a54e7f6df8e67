"""Every template runs as it is, under both MPIs, and does what its head says.

Run by ``python -m tests.slurm``, which has the Slurm and both environments; so it is not among the
files that pytest collects by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster, until
from tests.slurm.jobs import LIMIT, LOSSY, PROGRAM, RESUMED, SRUN, Job, Site, hurry

MPIS = ("mpich", "openmpi")
ITEMS = 120  # of resumed.py
TOTAL = 332833500  # sum of the squares below 1000: 999 * 1000 * 1999 / 6
SMALL = ("--nodes=2", "--ntasks-per-node=1")
AS_IT_IS = {"mpich": (), "openmpi": ("--ntasks-per-node=2",)}  # eight of it take minutes here
FEW = ("--nodes=1", "--ntasks-per-node=2")

each_mpi = pytest.mark.parametrize("mpi", MPIS)
Submitted = dict[tuple[str, str], Job]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A Slurm for all tests; MPICOMP_PYTHONS says where the MPIs are."""
    pythons = dict(zip(MPIS, os.environ["MPICOMP_PYTHONS"].split(os.pathsep), strict=True))
    with Cluster() as cluster:
        yield Site(cluster, pythons, Path(tmp_path_factory.mktemp("jobs")))


@pytest.fixture(scope="session")
def jobs(site: Site) -> Submitted:
    """All jobs, by what they are and their MPI."""
    program = ("--", str(PROGRAM), "a b", "*")
    submitted: Submitted = {}
    for mpi in MPIS:
        submit = site.submit
        submitted |= {
            ("static", mpi): submit(mpi, "static", *AS_IT_IS[mpi], *program),
            ("static by srun", mpi): submit(mpi, "static", *SMALL, *program, launch=SRUN[mpi]),
            ("master", mpi): submit(mpi, "master", *SMALL, *program),
            ("hybrid", mpi): submit(mpi, "hybrid", "--cpus-per-task=3", *program),
            ("hybrid by srun", mpi): submit(mpi, "hybrid", *program, launch=SRUN[mpi]),
            ("made", mpi): made(site, mpi),
            ("notebook", mpi): notebook(site, mpi),
            ("array", mpi): submit(mpi, "array", "--array=3,5", *program),
        }
    return submitted | stopped(site) | {("fault-tolerant", "openmpi"): lossy(site)}


def stopped(site: Site) -> Submitted:
    """Jobs that do not come to their end in the first run: by their limit, by a signal."""
    program = ("--", str(RESUMED))
    submit, short = site.submit, ("--time=1", "--signal=B:USR1@40")
    return {
        ("limit", "mpich"): submit("mpich", "preemptible", *FEW, *short, *program),
        ("signal", "openmpi"): submit("openmpi", "preemptible", *FEW, *program),
        ("signal", "mpich"): submit("mpich", "preemptible", *FEW, *program, launch=SRUN["mpich"]),
    }


CELL = """import json
import os
from mpicomp.notebook import connect
mpi = connect(profile=os.environ["MPICOMP_PROFILE"])
print(mpi.psum(x * x for x in range(1000)), mpi.plist(x for x in range(3)))
mpi.close()"""


def notebook(site: Site, mpi: str) -> Job:
    """A job that runs a notebook, which connects to its engines."""
    about: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "one",
        "metadata": {},
    }
    cells = [{**about, "outputs": [], "source": CELL}]
    folder = site.folder / f"{mpi}-notebook"
    folder.mkdir()
    (folder / "a.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return site.submit(mpi, "notebook", *SMALL, "--", str(folder / "a.ipynb"))


def lossy(site: Site) -> Job:
    """A job that loses a rank; it needs three, to lose one of them and go on by two."""
    words = ("--nodes=1", "--ntasks-per-node=3", "--", str(LOSSY))
    return site.submit("openmpi", "fault-tolerant", *words)


def made(site: Site, mpi: str) -> Job:
    """A job that ``mpicomp slurm`` submits, from another environment than the ranks'."""
    folder = site.folder / f"{mpi}-made"
    folder.mkdir()
    command = [site.pythons[mpi], "-m", "mpicomp", "slurm", "static", "--submit", "--srun"]
    words = ["--nodes", "2", "--ntasks-per-node=1", str(PROGRAM), "a b", "*", "--nodes"]
    env = site.env(mpi) | {"PATH": os.environ["PATH"]}
    said = site.cluster.run(*command, *words, env=env, cwd=folder)
    return Job(site.cluster, said.split()[-1], folder)


@each_mpi
def test_static(jobs: Submitted, mpi: str) -> None:
    told = jobs["static", mpi].told()
    ranks = 4 if AS_IT_IS[mpi] else 8
    assert (told["size"], told["nodes"], told["total"]) == (ranks, ["n1", "n2"], TOTAL)
    assert (told["schedule"], told["dispatch"], told["threads"]) == ("static", "static", [1])
    assert told["arguments"] == ["a b", "*"]


@each_mpi
def test_static_by_srun(jobs: Submitted, mpi: str) -> None:
    told = jobs["static by srun", mpi].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert told["arguments"] == ["a b", "*"]


@each_mpi
def test_master(jobs: Submitted, mpi: str) -> None:
    told = jobs["master", mpi].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert (told["schedule"], told["dispatch"]) == ("af", "master")


@each_mpi
@pytest.mark.parametrize(("way", "threads"), [("hybrid", 3), ("hybrid by srun", 4)])
def test_hybrid(jobs: Submitted, mpi: str, way: str, threads: int) -> None:
    told = jobs[way, mpi].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert told["asked"] == str(threads)
    assert told["threads"] == [min(threads, len(os.sched_getaffinity(0)))]


@each_mpi
def test_array(jobs: Submitted, mpi: str) -> None:
    job = jobs["array", mpi]
    job.over()
    for number in (3, 5):
        said = job.output(f"*-{number}.out")
        (line,) = [line for line in said.splitlines() if line.startswith("{")]
        assert f'"arguments": ["a b", "*", "{number}"]' in line
        assert f'"total": {TOTAL}' in line
        assert '"size": 2' in line


@each_mpi
def test_one_that_was_made_by_the_command(jobs: Submitted, mpi: str) -> None:
    told = jobs["made", mpi].told()
    assert (told["size"], told["nodes"], told["total"]) == (2, ["n1", "n2"], TOTAL)
    assert told["arguments"] == ["a b", "*", "--nodes"]


@each_mpi
def test_the_doctor_in_an_allocation(site: Site, mpi: str) -> None:
    said = site.within(
        mpi,
        f"""
        python -m mpicomp doctor {PROGRAM}; echo mpiexec: $?
        srun --mpi={SRUN[mpi].split("=")[1].split()[0]} python -m mpicomp doctor; echo srun: $?
        srun python -m mpicomp doctor; echo bare: $?
        srun python {PROGRAM}; echo script: $?
        """,
        "--nodes=2",
        "--ntasks-per-node=1",
    )
    assert "mpiexec: 0" in said
    assert "srun: 0" in said
    assert said.count(f"2 ranks on {os.uname().nodename}: ") == 2, said
    assert "bare: 1" in said
    assert said.count("problem  launcher: 2 processes were started") == 1, said
    assert f"cure: write srun --mpi={'pmi2' if mpi == 'mpich' else 'pmix'}" in said
    assert "script: 1" in said
    assert '"total"' not in said, "nobody does the work of all"


@pytest.mark.parametrize(
    ("way", "mpi"), [("signal", "openmpi"), ("signal", "mpich"), ("limit", "mpich")]
)
def test_a_job_that_is_stopped_requeues_itself_and_goes_on(
    jobs: Submitted, site: Site, way: str, mpi: str
) -> None:
    job = jobs[way, mpi]
    if way == "signal":
        until(lambda: len(job.output("computed").split()) > 6, LIMIT, "it computes")
        assert job.cluster.about(job.number)["Restarts"] == "0"
        site.cluster.run("scancel", "--batch", "--signal=USR1", job.number)

    def over() -> bool:
        hurry(job)
        return site.cluster.ended(job.number)

    until(over, LIMIT, f"the job has gone on: {job.folder}")
    about = job.cluster.about(job.number)
    assert (about["JobState"], about["ExitCode"]) == ("COMPLETED", "0:0"), job.output()
    assert int(about["Restarts"]) >= 1
    assert "mpicomp: stopped by SIGUSR1" in job.output()
    assert '{"right": true}' in job.output()
    computed = sorted(map(int, job.output("computed").split()))
    assert computed == [*range(ITEMS)], "each once: nothing is lost, nothing done again"


def test_a_job_that_loses_a_rank_goes_on(jobs: Submitted) -> None:
    told = jobs["fault-tolerant", "openmpi"].told()
    assert told == {"right": True, "left": 2}


@each_mpi
def test_a_notebook_runs_on_the_engines_of_its_job(jobs: Submitted, site: Site, mpi: str) -> None:
    job = jobs["notebook", mpi]
    about = job.over()
    assert about["JobState"] == "COMPLETED", job.output()
    (cell,) = json.loads((site.folder / f"{mpi}-notebook" / "a.ipynb").read_text())["cells"]
    assert "".join(cell["outputs"][0]["text"]) == f"{TOTAL} [0, 1, 2]\n"
    assert "# 2 engines" in job.output()
