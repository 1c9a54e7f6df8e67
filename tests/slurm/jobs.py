"""The jobs that the tests submit, all at the start: they wait for one another in Slurm."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.launch import ROOT, environment
from tests.machine import until
from tests.slurm.cluster import Cluster

HERE = ROOT / "tests" / "slurm"
PROGRAM, RESUMED, LOSSY = (HERE / f"{name}.py" for name in ("program", "resumed", "lossy"))
MPIS = ("mpich", "openmpi")
LAUNCHERS = ("mpiexec", "srun")
PMI = {"mpich": "pmi2", "openmpi": "pmix"}  # which srun speaks to which MPI
LIMIT = 300.0  # seconds for a job and for those before it
SETTLED = 3.0  # seconds until Slurm has heard the last word of a daemon that is gone
SMALL = {
    # the nodes say that they have more cores than there are
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "MPICOMP_MARGIN": "5",  # a job of one minute would be stopped at once
    "PRTE_MCA_hwloc_default_binding_policy": "none",
}


def launch(mpi: str, launcher: str) -> str:
    """What the variable LAUNCH is to be."""
    return by_srun(PMI[mpi]) if launcher == "srun" else ""


def by_srun(pmi: str) -> str:
    """The same, for srun with this ``--mpi``."""
    return f"srun --mpi={pmi} python -m mpicomp run"


class Job(NamedTuple):
    """A job that was submitted."""

    site: Site
    number: str
    folder: Path

    def over(self) -> dict[str, str]:
        """What Slurm says of it when it has ended."""

        def ended() -> bool:
            self.site.tend()
            return self.site.cluster.ended(self.number)

        until(ended, LIMIT, f"job {self.number} has ended: {self.folder}")
        return self.site.cluster.about(self.number)

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

    def refused(self) -> str:
        """What it said, once it has ended as a failure before anything was computed."""
        about = self.over()
        assert about["JobState"] == "FAILED", self.output()
        assert "{" not in self.output(), self.output()
        return self.output()


class Site:
    """A Slurm, and for each MPI the Python that has it.

    Attributes
    ----------
    stopped : dict
        Jobs that are to be stopped in their first run, and with which words of scancel's; none
        where Slurm does it.
    """

    def __init__(self, cluster: Cluster, pythons: Mapping[str, str], folder: Path) -> None:
        self.cluster, self.pythons, self.folder = cluster, pythons, folder
        self.stopped: dict[Job, tuple[str, ...]] = {}
        self.gone: dict[Job, float] = {}  # since when the daemon of a first run has been gone

    def env(self, mpi: str) -> dict[str, str]:
        """What a user of this MPI has in the environment: the right Python, and nothing more."""
        return {**environment(self.pythons[mpi]), **SMALL}

    def submit(self, mpi: str, template: str, *words: str, launch: str = "") -> Job:
        """Submit a template: *words* are options of sbatch, and after ``--`` the program's."""
        at = words.index("--") if "--" in words else len(words)
        script = str(ROOT / "slurm" / f"{template}.sbatch")
        return self._sbatch(mpi, *words[:at], script, *words[at + 1 :], launch=launch)

    def shell(self, mpi: str, script: str, *options: str) -> Job:
        """Submit a script of the shell's."""
        return self._sbatch(mpi, *options, "--output=%j.out", f"--wrap=exec 2>&1\n{script}")

    def _sbatch(self, mpi: str, *words: str, launch: str = "") -> Job:
        folder = self._folder(mpi)
        env = self.env(mpi) | ({"LAUNCH": launch} if launch else {})
        said = self.cluster.run("sbatch", "--parsable", *words, env=env, cwd=folder)
        return Job(self, said.strip().partition(";")[0], folder)

    def made(self, mpi: str, *words: str) -> Job:
        """A job that ``mpicomp slurm`` submits, from another environment than the ranks'."""
        folder = self._folder(mpi)
        env = self.env(mpi) | {"PATH": os.environ["PATH"]}
        command = [self.pythons[mpi], "-m", "mpicomp", "slurm", *words]
        said = self.cluster.run(*command, env=env, cwd=folder)
        return Job(self, said.split()[-1], folder)

    def _folder(self, mpi: str) -> Path:
        folder = self.folder / f"{mpi}-{len(os.listdir(self.folder))}"
        folder.mkdir()
        return folder

    def tend(self) -> None:
        """Do what jobs that are to be stopped wait for."""
        for job, how in self.stopped.items():
            about = self.cluster.about(job.number)
            if about["Restarts"] == "0":
                if how and len(job.output("computed").split()) > 6:
                    self.cluster.run("scancel", *how, job.number)
                    self.stopped[job] = ()
            elif about["JobState"] != "PENDING" or first_run(job.number):
                self.gone.pop(job, None)
            elif time.monotonic() > self.gone.setdefault(job, time.monotonic()) + SETTLED:
                # at once, and not after Slurm's two minutes; but not before the daemon of the
                # first run has ended and is forgotten: its last word would count for the second
                with contextlib.suppress(subprocess.SubprocessError):  # it has begun by itself
                    self.cluster.run("scontrol", "update", f"jobid={job.number}", "starttime=now")


def first_run(number: str) -> bool:
    """Whether a step of the job still has its daemon, ``slurmstepd: [NUMBER.batch]``."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"slurmstepd: [{number}.".encode() in path.read_bytes():
                return True
    return False
