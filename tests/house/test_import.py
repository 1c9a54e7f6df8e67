"""``import mpicomp`` costs next to nothing, and asks for no MPI."""

from __future__ import annotations

import pytest

from tests.launch import run_python

HEAVY = {"mpi4py", "mpi4py.MPI", "numpy", "matplotlib", "dataclasses", "inspect"}


def newly_loaded(statement: str) -> set[str]:
    """Modules that *statement* loads in a fresh interpreter."""
    program = f"import sys; old = set(sys.modules); {statement}; print(*set(sys.modules) - old)"
    done = run_python(["-c", program])
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import mpicomp", "from mpicomp import *"])
def test_import_is_light(statement: str) -> None:
    loaded = newly_loaded(statement)
    assert "mpicomp" in loaded
    assert not loaded & HEAVY


def test_serial_without_mpi4py() -> None:
    # None there is what import finds when a module cannot be imported
    program = """if True:
        import sys
        sys.modules["mpi4py"] = None
        from mpicomp import plist, psum
        print(plist(x * x for x in range(5) if x % 2), psum(x for x in range(5)))
    """
    done = run_python(["-c", program])
    assert done.stdout == "[1, 9] 10\n", done.stderr
