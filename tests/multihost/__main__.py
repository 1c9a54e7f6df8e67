"""Run tests between two hosts, over TCP: ``python -m tests.multihost``, as root.

The hosts are namespaces of this machine; see hosts.py.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time

from tests.__main__ import ENVS, MPIS, prepared, show_ranks
from tests.launch import ROOT, environment, guarded, mpiexec, shared_memory, sweep
from tests.multihost.hosts import Hosts

LIMIT = 600  # seconds for one MPI
EACH = 2  # ranks on a host
CHOSEN = (
    "between or other_results or ones_own or other_chunks or each_verb or one_message or closure"
    " or everyone or communicator or set_of_strings or pmap_over"
)
FILES = (
    "tests/multihost/between.py",
    "tests/mpi/test_handing_out.py",
    "tests/mpi/test_law1.py",
)


def main() -> int:
    """Do what the command line asks; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.multihost", description=__doc__)
    parser.add_argument(
        "-k", metavar="EXPR", default=CHOSEN, help="which tests, as pytest's -k"
    )
    about = f"instead of making environments: one for each of {', '.join(MPIS)}"
    parser.add_argument("--python", action="append", metavar="PATH", help=about)
    asked = parser.parse_args()
    others = shared_memory()
    try:
        with Hosts() as hosts:
            pythons = asked.python or [prepared(mpi) for mpi in MPIS]
            return max(
                run(hosts, mpi, python, asked.k) for mpi, python in zip(MPIS, pythons, strict=True)
            )
    except LookupError as exc:
        print(f"the tests between hosts cannot run here: {exc}", file=sys.stderr)
        return 1
    finally:
        sweep(others)


def run(hosts: Hosts, mpi: str, python: str, chosen: str) -> int:
    """The tests under one MPI; its exit code."""
    logs = ENVS / "logs" / f"multihost-{mpi}"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    tests = [
        python,
        "-m",
        "tests.rank",
        "4",
        str(logs),
        "--quiet",
        "--color=no",
        "-k",
        chosen,
        *FILES,
    ]
    command = hosts.command(mpi, mpiexec(python), EACH, tests)
    start = time.monotonic()
    try:
        code = guarded(command, timeout=LIMIT, env=environment(python, mpi), cwd=ROOT)
    except subprocess.TimeoutExpired:
        print(f"ended after {LIMIT} s")
        code = 1
    if code:
        show_ranks(logs)
    print(f"two hosts ({mpi}): exit {code} after {time.monotonic() - start:.0f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
