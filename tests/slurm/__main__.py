"""Run the tests that need a Slurm: ``python -m tests.slurm``, as root, where there is apt.

It is installed if it is missing, started with two virtual nodes, and ended; see cluster.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from tests.__main__ import ENVS, MPIS, prepared
from tests.launch import ROOT, environment, guarded, shared_memory, sweep
from tests.slurm.cluster import install

LIMIT = 900  # seconds


def main() -> int:
    """Do what the command line asks; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm", description=__doc__)
    parser.add_argument("-k", metavar="EXPR", help="only tests whose names match, as pytest's -k")
    about = f"instead of making environments: one for each of {', '.join(MPIS)}"
    parser.add_argument("--python", action="append", metavar="PATH", help=about)
    asked = parser.parse_args()
    try:
        install()
    except LookupError as exc:
        print(f"the tests on a Slurm cannot run here: {exc}", file=sys.stderr)
        return 1
    pythons = asked.python or [prepared(mpi) for mpi in MPIS]
    logs = ENVS / "logs" / "slurm"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    command = [pythons[0], "-m", "pytest", "--quiet", f"--basetemp={logs}/tmp", "--durations=5",
               f"--junitxml={logs}/report.xml", *(["-k", asked.k] if asked.k else []),
               "tests/slurm/templates.py"]  # fmt: skip
    env = {**environment(pythons[0]), "MPICOMP_PYTHONS": os.pathsep.join(pythons)}
    others = shared_memory()
    try:
        return guarded(command, timeout=LIMIT, env=env, cwd=ROOT)
    finally:
        sweep(others)


if __name__ == "__main__":
    sys.exit(main())
