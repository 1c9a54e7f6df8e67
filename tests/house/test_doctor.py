"""``mpicomp doctor`` on this machine: what it looks at is there, and what it says is so."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launch import ROOT, mpi_beside, mpiexec, run_python, run_ranks

SCRIPT = ROOT / "examples" / "squares.py"


def found(text: str) -> tuple[int, dict[str, Any], set[tuple[str, str]]]:
    """Exit code, facts, and (level, name) of all findings, of ``--json``."""
    report = json.loads(text)
    return report["code"], report["facts"], {(f["level"], f["name"]) for f in report["findings"]}


def test_ranks_that_it_starts_itself() -> None:
    done = run_python(["-m", "mpicomp", "doctor", "-n", "2", "--json", SCRIPT])
    code, facts, names = found(done.stdout)
    assert (code, done.returncode) == (0, 0), done.stdout
    assert [rank["rank"] for rank in facts["ranks"]] == [0, 1]
    assert {rank["host"] for rank in facts["ranks"]} == {os.uname().nodename}
    assert facts["launcher"] == mpiexec()
    for rank in facts["ranks"]:
        assert rank["executable"] == sys.executable
        assert rank["script"] == hashlib.sha256(SCRIPT.read_bytes()).hexdigest()
        assert rank["shared"] > 0
    kind = {"mpich": "absent", "openmpi": "off"}[mpi_beside()]
    assert facts["ranks"][0]["ulfm"] == kind
    assert ("note", "faults") in names
    assert "numpy" in next(iter(facts["packages"].values()))


def test_ranks_that_are_there_and_a_script_that_is_not() -> None:
    done = run_ranks(2, ["-m", "mpicomp", "doctor", "nosuch.py"])
    assert done.returncode == 1
    assert done.stdout.count("problem  script: nosuch.py cannot be read by all ranks") == 1
    assert done.stdout.rstrip().endswith("1 problem")


def test_a_launcher_of_another_mpi_is_told_by_one_of_its_processes() -> None:
    for number, speaks in (("0", True), ("1", False)):
        env = {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": number}
        done = run_python(["-m", "mpicomp", "doctor", "--json"], env=env)
        assert done.returncode == 1
        assert bool(done.stdout) == speaks
        if speaks:
            assert ("problem", "launcher") in found(done.stdout)[2]


def test_without_mpi4py(tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError(\"No module named 'mpi4py'\")")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = run_python(["-m", "mpicomp", "doctor", "-n", "1"], env={"PYTHONPATH": path})
    assert done.returncode == 1
    assert "problem  library: there is no MPI: No module named 'mpi4py'" in done.stdout
    assert f"cure: {sys.executable} -m pip install mpi4py mpich" in done.stdout
    assert "Traceback" not in done.stderr


def test_more_ranks_than_the_batch_job_has_tasks() -> None:
    job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"}
    done = run_python(["-m", "mpicomp", "doctor", "-n", "3"], env=job)
    assert done.returncode == 1
    assert "write sbatch --ntasks=3; or -n 2" in done.stdout


def test_more_ranks_than_a_list_of_hosts_has_places(tmp_path: Path) -> None:
    host = os.uname().nodename
    nodes = tmp_path / "nodes"
    nodes.write_text(f"{host}\n{host}\n")
    job = {"PBS_NODEFILE": str(nodes)}
    done = run_python(["-m", "mpicomp", "doctor", "-n", "3"], env=job)
    assert done.returncode == 1
    assert "the batch job has 2 slots" in done.stdout
    assert "write qsub -l select=1:ncpus=3:mpiprocs=3; or -n 2" in done.stdout
    done = run_python(["-m", "mpicomp", "doctor", "--json"], env=job)  # as many as there are places
    code, facts, names = found(done.stdout)
    assert (code, len(facts["ranks"]), facts["tasks"]) == (0, 2, 2)
    assert (facts["batch"], facts["slots"]) == ("PBS", {host: 2})
    assert ("warning", "slots") not in names
    # told on the ranks alone: a launcher that read it would start some of them elsewhere
    told = "import os; os.environ.update({}); from mpicomp.cli import main; exit(main(['doctor']))"
    nodes.write_text(f"{host}\nanother\n")
    done = run_ranks(2, ["-c", told.format(job)])
    assert f"warning  slots: 2 ranks are on {host}, where the batch job has 1 slot" in done.stdout
    done = run_ranks(3, ["-c", told.format({"LSB_MCPU_HOSTS": f"{host} 2"})])
    assert done.returncode == 1
    assert "write bsub -n 3; or -n 2" in done.stdout


def test_claims_that_wait_for_their_holder_are_told_of() -> None:
    env = {"MPICOMP_CLAIMS": "two-sided"}  # as an MPI is taken that makes no progress by itself
    done = run_ranks(2, ["-m", "mpicomp", "doctor"], env=env)
    assert done.returncode == 0
    assert "warning  claims: all ranks: a claim of work waits" in done.stdout


def test_a_library_that_cannot_be_loaded_is_told_with_what_to_install() -> None:
    env = {"MPI4PY_LIBMPI": "/no/such.so"}
    done = run_python(["-m", "mpicomp", "doctor", "-n", "1"], env=env)
    assert done.returncode == 1
    assert "problem  library: there is no MPI: cannot load MPI library" in done.stdout
    assert f"cure: {sys.executable} -m pip install mpich" in done.stdout


@pytest.mark.skipif(mpi_beside() != "mpich", reason="Open MPI speaks PMIx")
def test_what_may_end_the_process_is_told_before_by_one_of_the_processes() -> None:
    """As a launcher of PMIx starts them: this MPICH ends in MPI_Init, and says nothing of use."""
    for number, speaks in (("0", True), ("1", False)):
        done = run_python(["-m", "mpicomp", "doctor"], env={"PMIX_RANK": number})
        assert (done.returncode != 0, done.stdout) == (True, "")
        told = "mpicomp doctor: starting MPICH Version: 5"
        assert done.stderr.startswith(told) == speaks
        assert ("write srun --mpi=pmi2, or mpicomp run -n N" in done.stderr) == speaks
