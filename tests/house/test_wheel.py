"""The wheel: built from the tree, installed elsewhere, imported and used there."""

from __future__ import annotations

import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from mpicomp._version import version
from tests.launch import ROOT, run_python

SOURCES = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE",
           "mpicomp", "slurm", "tests", "examples")  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy: a build folder in the tree would keep files since removed."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip("wheel", "--no-deps", "--wheel-dir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    return target


def pip(*args: str) -> None:
    done = run_python(["-m", "pip", "--quiet", "--disable-pip-version-check", *args])
    assert done.returncode == 0, done.stderr


def output(program: str, site: Path) -> str:
    """What *program* prints when it can import from *site* and not from the tree."""
    done = run_python(["-c", program], env={"PYTHONPATH": str(site)}, cwd=site.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_contents(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"mpicomp"}
    assert "mpicomp/py.typed" in names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mpicomp").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    scripts = {f"mpicomp/templates/{path.name}" for path in (ROOT / "slurm").iterdir()}
    assert {name for name in names if name.startswith("mpicomp/templates/")} == scripts
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_it_runs_elsewhere(site: Path) -> None:
    program = """if True:
        from importlib.metadata import version
        import mpicomp
        from mpicomp import plist
        print(mpicomp.__file__, version("mpicomp"), plist(x * x for x in range(4)))
    """
    init = site / "mpicomp" / "__init__.py"
    assert output(program, site) == f"{init} {version} [0, 1, 4, 9]\n"


def test_its_templates_are_there(site: Path) -> None:
    program = "from mpicomp.slurm import folder, templates; print(folder(), *templates())"
    names = sorted(path.stem for path in (ROOT / "slurm").glob("*.sbatch"))
    assert output(program, site) == f"{site / 'mpicomp' / 'templates'} {' '.join(names)}\n"


def test_its_command_is_there(site: Path) -> None:
    program = """if True:
        from importlib.metadata import distribution
        (command,) = distribution("mpicomp").entry_points
        print(command.name, callable(command.load()))
    """
    assert output(program, site) == "mpicomp True\n"
