"""Threads of numerical libraries in programs on two ranks: shared, or as the user has said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mpicomp.wire.threads import VARIABLES, cores
from tests.launch import run_ranks

PROGRAM = """if True:
    import json, os
    {before}
    from mpi4py import MPI
    from mpicomp import plist, record
    with record() as rec:
        plist(x for x in range(9))
    import numpy, threadpoolctl
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    if rec.calls:
        said = os.environ.get("OMP_NUM_THREADS")
        print(json.dumps([max(pools), said, rec.calls[0].threads]))
"""
WIDE = len(cores())


def said(before: str = "pass", **env: str) -> Any:
    """Threads of numpy, the variable and the record's words, of a program on two ranks."""
    unset = dict.fromkeys(VARIABLES, "")
    done = run_ranks(2, ["-c", PROGRAM.format(before=before)], env=unset | env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("before", ["pass", "import numpy"], ids=["later", "before"])
def test_numpy_has_its_part_whenever_it_is_loaded(before: str) -> None:
    pools, variable, words = said(before)
    assert pools == max(1, WIDE // 2)
    assert (variable, words[-6:]) == (str(pools), f"{pools} each")


def test_what_the_user_has_said_stays() -> None:
    assert said(OPENBLAS_NUM_THREADS="7")[1:] == [
        "",
        "as the environment says: OPENBLAS_NUM_THREADS=7",
    ]
    assert said(OMP_NUM_THREADS="1")[2] == "as the environment says: OMP_NUM_THREADS=1"
    set_by_the_program = "import numpy, threadpoolctl; threadpoolctl.threadpool_limits(1)"
    assert said(set_by_the_program)[0] == 1


def test_ranks_that_have_their_part_keep_it_when_others_join_them() -> None:
    program = """if True:
        import json
        from mpi4py import MPI
        from mpicomp import plist
        from mpicomp.wire.threads import threads
        rank = MPI.COMM_WORLD.rank
        pair = MPI.COMM_WORLD.Split(rank // 2)
        if rank < 2:
            plist((x for x in range(9)), comm=pair)
        before = threads()
        plist(x for x in range(9))
        told = MPI.COMM_WORLD.gather((before, threads()))
        if rank == 0:
            print(json.dumps(told))
    """
    done = run_ranks(3, ["-c", program], env=dict.fromkeys(VARIABLES, ""))
    first, second, third = json.loads(done.stdout)
    assert first[0] == first[1], "not taken for what the user has said"
    assert second[0] == second[1]
    assert third[0] == [None, "one rank: nothing is shared"]
    assert third[1][1].startswith("3 ranks on this node, ")


def test_without_threadpoolctl_the_record_tells_what_to_write() -> None:
    program = """if True:
        import sys, numpy
        sys.modules["threadpoolctl"] = None
        from mpi4py import MPI
        from mpicomp import plist
        from mpicomp.wire.threads import threads
        plist(x for x in range(9))
        if MPI.COMM_WORLD.rank == 0:
            print(threads().why)
    """
    unbound = {"PRTE_MCA_hwloc_default_binding_policy": "none"}
    done = run_ranks(2, ["-c", program], env=dict.fromkeys(VARIABLES, "") | unbound)
    assert ('pip install "mpicomp[threads]"' in done.stdout) == (WIDE > 1)
