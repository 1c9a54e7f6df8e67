"""The jobs that the tests submit, all at the start: they wait for one another in Slurm."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.launch import ROOT, environment
from tests.slurm.cluster import Cluster, until

HERE = ROOT / "tests" / "slurm"
PROGRAM, RESUMED, LOSSY = (HERE / f"{name}.py" for name in ("program", "resumed", "lossy"))
SRUN = {
    "mpich": "srun --mpi=pmi2 python -m mpicomp run",
    "openmpi": "srun --mpi=pmix python -m mpicomp run",
}
LIMIT = 300.0  # seconds for a job and for those before it
SMALL = {
    # the nodes say that they have more cores than there are
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "MPICOMP_MARGIN": "5",  # a job of one minute would be stopped at once
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}


class Job(NamedTuple):
    """A job that was submitted."""

    cluster: Cluster
    number: str
    folder: Path

    def over(self) -> dict[str, str]:
        """What Slurm says of it when it has ended."""
        until(lambda: self.cluster.ended(self.number), LIMIT, f"job {self.number} has ended")
        return self.cluster.about(self.number)

    def output(self, name: str = "*.out") -> str:
        """All that it has written."""
        return "".join(path.read_text() for path in sorted(self.folder.glob(name)))

    def told(self) -> dict[str, Any]:
        """What the program printed, once the job is over and has gone well."""
        about = self.over()
        assert about["JobState"] == "COMPLETED", self.output()
        (line,) = [line for line in self.output().splitlines() if line.startswith("{")]
        found: dict[str, Any] = json.loads(line)
        return found


class Site:
    """A Slurm, and for each MPI the Python that has it."""

    def __init__(self, cluster: Cluster, pythons: Mapping[str, str], folder: Path) -> None:
        self.cluster, self.pythons, self.folder = cluster, pythons, folder

    def env(self, mpi: str) -> dict[str, str]:
        """What a user of this MPI has in the environment: the right Python, and nothing more."""
        return {**environment(self.pythons[mpi]), **SMALL}

    def submit(self, mpi: str, template: str, *words: str, launch: str = "") -> Job:
        """Submit a template: *words* are options of sbatch, and after ``--`` the program's."""
        at = words.index("--") if "--" in words else len(words)
        folder = self.folder / f"{mpi}-{template}-{len(os.listdir(self.folder))}"
        folder.mkdir()
        env = self.env(mpi) | ({"LAUNCH": launch} if launch else {})
        command = ["sbatch", "--parsable", *words[:at], str(ROOT / "slurm" / f"{template}.sbatch")]
        number = self.cluster.run(*command, *words[at + 1 :], env=env, cwd=folder)
        return Job(self.cluster, number.strip().partition(";")[0], folder)

    def within(self, mpi: str, script: str, *options: str) -> str:
        """What a shell script prints inside an allocation."""
        script = f"exec 2>&1\n{script}\n"
        return self.cluster.run("salloc", "-Q", *options, "bash", "-c", script, env=self.env(mpi))


def hurry(job: Job) -> None:
    """Let a job that has requeued itself begin at once, and not after Slurm's two minutes.

    Not before the daemon of its first run has ended: its last word would count for the second.
    """
    about = job.cluster.about(job.number)
    if about["JobState"] == "PENDING" and int(about["Restarts"]) and not first_run(job.number):
        job.cluster.run("scontrol", "update", f"jobid={job.number}", "starttime=now")


def first_run(number: str) -> bool:
    """Whether a step of the job still has its daemon, ``slurmstepd: [NUMBER.batch]``."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"slurmstepd: [{number}.".encode() in path.read_bytes():
                return True
    return False
