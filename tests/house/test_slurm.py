"""The batch scripts: what they say at their heads, and what ``mpicomp slurm`` makes of them.

That they run is shown on a real Slurm: ``python -m tests.slurm``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpicomp.cli import main
from mpicomp.slurm import filled, split, templates
from tests.launch import ROOT, environment, mpi_beside, run_python

TEMPLATES = templates()
SCRIPT = str(ROOT / "examples" / "squares.py")

each_template = pytest.mark.parametrize("name", TEMPLATES)


def bash(script: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", script, "bash", *args]
    env = {**environment(mpi=mpi_beside()), **env}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_they_are_those_of_the_tree() -> None:
    assert {path.stem: path.read_text() for path in ROOT.glob("slurm/*.sbatch")} == TEMPLATES
    usual = {"static", "master", "array", "hybrid"}
    assert usual | {"preemptible", "fault-tolerant", "notebook"} <= set(TEMPLATES)


@each_template
def test_a_template_is_short_and_says_what_to_change(name: str) -> None:
    text = TEMPLATES[name]
    first, about, *rest = text.splitlines()
    assert first == "#!/bin/bash"
    assert about.startswith("# ")
    assert len(about) < 90
    assert any(line.startswith(f"#     sbatch slurm/{name}.sbatch") for line in rest[:3])
    assert any(line.startswith("# To change: ") for line in rest[:4])
    assert f"#SBATCH --job-name={name}\n" in text
    assert len(rest) < 60
    assert max(map(len, rest)) <= 100
    assert bash(f"bash -n <<'END'\n{text}END").stderr == ""


@each_template
def test_no_signal_goes_to_the_ranks(name: str) -> None:
    # without B: Open MPI's ranks die of it, and the job is said to be COMPLETED
    assert re.findall(r"--signal=(?!B:)", TEMPLATES[name]) == []


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
@settings(max_examples=15)
def test_the_program_arrives_as_it_was_given(program: list[str]) -> None:
    text = '#!/bin/bash\n#SBATCH --nodes=2\n# source env\nprintf "%s\\0" "$@"\n'
    said = subprocess.run(["bash", "-c", filled(text, [], program)], capture_output=True).stdout
    assert said.decode().split("\0")[:-1] == program


def test_options_take_the_place_of_the_templates_own() -> None:
    words = [
        "slurm",
        "static",
        "--nodes",
        "7",
        "--time=0:05:00",
        "--exclusive",
        "--mem=4G",
        "run.py",
    ]
    own, options, program = split(words)
    assert (own, program) == (["slurm", "static"], ["run.py"])
    made = filled(TEMPLATES["static"], options, program)
    lines = [line for line in made.splitlines() if line.startswith("#SBATCH")]
    assert lines.count("#SBATCH --nodes=7") == 1
    assert {"#SBATCH --time=0:05:00", "#SBATCH --exclusive", "#SBATCH --mem=4G"} <= set(lines)
    names = [re.split("[= ]", line)[1] for line in lines]
    assert len(names) == len(set(names)), "each option once"
    assert made.index("#SBATCH --mem=4G") < made.index("export PATH="), "sbatch reads no further"


@pytest.mark.parametrize("name", ["static", "master", "hybrid", "array"])
def test_what_is_made_runs_where_there_is_no_slurm(name: str) -> None:
    done = run_python(["-m", "mpicomp", "slurm", name, "--nodes=1", SCRIPT])
    assert done.returncode == 0, done.stderr
    of_slurm = {"SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "1", "SLURM_ARRAY_TASK_ID": "3"}
    expected = run_python([SCRIPT]).stdout
    assert bash(done.stdout, **of_slurm).stdout == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["static"], "expected a script; write mpicomp slurm static"),
        (["static", "nosuch.py"], "there is no 'nosuch.py' here"),
        (["statik", SCRIPT], "invalid choice: 'statik'"),
        ([], "required: TEMPLATE"),
    ],
    ids=lambda value: " ".join(value)[:15] if isinstance(value, list) else "",
)
def test_what_cannot_be_made_is_told(words: list[str], said: str) -> None:
    done = run_python(["-m", "mpicomp", "slurm", *words])
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


SRUN = """#!/bin/sh
echo "$1" >> "$NOTED"
shift
exec mpiexec -n $SLURM_NTASKS "$@"
"""
PYTHONS = {
    "MPICH": ("MPICH Version:      5.0.2", "srun --mpi=pmi2"),
    "Open MPI": ("Open MPI v5.0.11, package: Open MPI me@there", "srun --mpi=pmix"),
}


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["static", "master", "hybrid"])
def test_srun_starts_the_ranks_where_that_is_asked_for(name: str, tmp_path: Path) -> None:
    program(tmp_path / "srun", SRUN)
    done = run_python(["-m", "mpicomp", "slurm", name, "--srun", "--nodes=1", SCRIPT])
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    noted = tmp_path / "noted"
    of_slurm = {"SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "1", "NOTED": str(noted)}
    assert bash(done.stdout, PATH=path, **of_slurm).stdout == run_python([SCRIPT]).stdout
    assert noted.read_text() == {"mpich": "--mpi=pmi2\n", "openmpi": "--mpi=pmix\n"}[mpi_beside()]


@pytest.mark.parametrize("kind", PYTHONS)
def test_srun_speaks_as_the_mpi_of_this_environment_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version, expected = PYTHONS[kind]
    python = program(tmp_path / "python", f"#!/bin/sh\necho '{version}'\n")
    monkeypatch.setattr(sys, "executable", str(python))
    assert main(["slurm", "static", "--srun", "--time=1:00", SCRIPT]) == 0
    made = capsys.readouterr().out
    assert f"LAUNCH='{expected} python -m mpicomp run'\n" in made
    assert f"export PATH={tmp_path}:$PATH\n" in made


@pytest.mark.parametrize("code", [0, 3])
def test_sbatch_gets_the_script_and_its_exit_code_comes_back(code: int, tmp_path: Path) -> None:
    program(tmp_path / "sbatch", f"#!/bin/sh\ncat > '{tmp_path}/got'\necho job 7\nexit {code}\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    words = ["-m", "mpicomp", "slurm", "notebook", "--nodes=3"]  # it needs no program
    done = run_python([*words, "--submit"], env={"PATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (code, "job 7\n", "")
    got = (tmp_path / "got").read_text()
    assert got == run_python(words).stdout
    assert "#SBATCH --nodes=3\n" in got
    assert "set --" not in got


def test_what_srun_cannot_do_is_told_before_anything_starts() -> None:
    done = run_python(["-m", "mpicomp", "slurm", "fault-tolerant", "--srun", SCRIPT])
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave out --srun" in done.stderr
    done = bash(TEMPLATES["fault-tolerant"], SCRIPT, SLURM_NTASKS="2", LAUNCH="srun")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unset LAUNCH" in done.stderr


def test_an_mpi_that_srun_does_not_speak_to_is_told_before_it_ends_the_process() -> None:
    by_srun = {"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"}
    done = run_python(["-m", "mpicomp", "run", "-c", "print('started')"], env=by_srun)
    if mpi_beside() == "mpich":
        assert (done.returncode, done.stdout) == (1, "")
        assert "MPICH Version: 5" in done.stderr
        assert "does not speak PMIx; write srun --mpi=pmi2" in done.stderr
    program = "from mpicomp.installed import check_srun; check_srun(); print('goes on')"
    for env in ({"PMIX_RANK": "0"}, by_srun | {"PMI_RANK": "0"}, {"SLURM_STEP_NUM_TASKS": "2"}):
        assert run_python(["-c", program], env=env).stdout == "goes on\n"


def test_without_sbatch_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    env = {"PATH": str(tmp_path)}
    done = run_python(["-m", "mpicomp", "slurm", "static", "--submit", SCRIPT], env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected sbatch on PATH" in done.stderr


def test_help_tells_of_each_template() -> None:
    said = run_python(["-m", "mpicomp", "slurm", "--help"]).stdout
    for name, text in TEMPLATES.items():
        assert f"{name:<16}{text.splitlines()[1][2:]}" in said
