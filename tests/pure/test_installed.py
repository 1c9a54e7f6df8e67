"""Which launcher is taken: that beside this Python, else the one on PATH that is of its MPI.

The launchers are programs that say of themselves what those of the MPIs say.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mpicomp import installed
from mpicomp.errors import LaunchError

SAYS = {
    "mpich": "HYDRA build details:\n    Version:  5.0.2",
    "openmpi": "mpiexec (Open MPI) 5.0.11",
    "prrte": "prterun (PRRTE) 3.0.13",
}


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def launcher(folder: Path, kind: str) -> Path:
    return program(folder / "mpiexec", f"echo '{SAYS[kind]}'")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with this Python and nothing beside it; nothing is on PATH."""
    python = program(tmp_path / "env" / "python", f'exec {sys.executable} "$@"')
    monkeypatch.setattr(sys, "executable", str(python))
    on_path(monkeypatch)
    return tmp_path


def on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))


def mine_and_other() -> tuple[str, str]:
    """The kind of launcher that starts the MPI of this environment, and one that does not."""
    return ("openmpi", "mpich") if "Open MPI" in installed.library() else ("mpich", "openmpi")


def test_the_one_beside_this_python_is_taken_before_any_on_path(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = mine_and_other()
    on_path(monkeypatch, launcher(elsewhere / "module", mine).parent)
    beside = launcher(elsewhere / "env", other)  # it was installed there, and is believed
    assert installed.find_mpiexec() == str(beside)


def test_of_those_on_path_the_first_of_this_mpi(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = mine_and_other()
    paths = [launcher(elsewhere / str(k), kind) for k, kind in enumerate((other, mine, mine))]
    on_path(monkeypatch, *(path.parent for path in paths))
    assert installed.find_mpiexec() == str(paths[1])
    assert installed.on_path()[0] == str(paths[0])


def test_one_that_does_not_run_is_passed_over(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = mine_and_other()
    broken = program(elsewhere / "broken" / "mpiexec", "exit 3")
    unknown = program(elsewhere / "unknown" / "mpiexec", "").with_name("mpiexec")
    unknown.write_text("#!/no/such/shell\n")
    text = launcher(elsewhere / "text", mine)
    text.chmod(0o644)
    good = launcher(elsewhere / "good", mine)
    on_path(monkeypatch, *(path.parent for path in (broken, unknown, text, good)))
    assert installed.find_mpiexec() == str(good)


def test_where_none_fits_the_error_says_what_there_is_and_what_to_write(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = mine_and_other()
    wrong = launcher(elsewhere / "module", other)
    on_path(monkeypatch, wrong.parent)
    with pytest.raises(LaunchError) as caught:
        installed.find_mpiexec()
    assert f"({wrong} does not)" in str(caught.value)
    assert f"none belongs to {installed.library()}" in str(caught.value)
    assert f"{sys.executable} -m pip install {mine}" in str(caught.value)
    on_path(monkeypatch)
    with pytest.raises(LaunchError, match="which mpi4py loads; write"):
        installed.find_mpiexec()
    assert installed.on_path() == (None, "")


def test_where_there_is_no_library_the_error_says_so(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for in another process, which ends where the library is missing."""
    program(elsewhere / "env" / "python", "echo no libmpi.so >&2; exit 1")
    assert installed.library() == ""
    assert installed.without_library() == "mpi4py finds no library"
    with pytest.raises(LaunchError, match="mpi4py finds no MPI library; write"):
        installed.find_mpiexec()


@pytest.mark.parametrize("kind", SAYS)
def test_whose_a_launcher_is(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = launcher(tmp_path, kind)
    assert installed.is_of_open_mpi(str(path)) == (kind != "mpich")
    on_path(monkeypatch, tmp_path)
    whose = "MPICH or its kin" if kind == "mpich" else "Open MPI"
    assert installed.on_path() == (str(path), whose)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("MPICH Version:      4.1.2\nMPICH Release date: ...", "MPICH Version: 4.1.2"),
        ("Open MPI v5.0.11, package: Open MPI me@there", "Open MPI v5.0.11"),
        ("Intel(R) MPI Library 2021.18\n", "Intel(R) MPI Library 2021.18"),
        ("", ""),
    ],
)
def test_the_name_of_a_library(said: str, name: str) -> None:
    assert installed.library_name(said) == name
