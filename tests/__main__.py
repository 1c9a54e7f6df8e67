"""Run every test of the project: ``python -m tests``.

Needs nothing but CPython and the network: two environments are made under ``.envs/``, one with
MPICH and one with Open MPI, and used again until pyproject.toml or the interpreter changes.

1. ``tests/pure`` and ``tests/house``, once, without ranks.
2. ``tests/mpi`` on 1, 2 and 3 ranks, on MPICH and on Open MPI; on 5 ranks its files are dealt out
   to the two: what 5 ranks show beyond 3 hangs on their number, and not on the MPI.
3. A table; a test that was skipped in every run counts as a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.launch import ROOT, environment, guarded, mpi_beside, mpiexec, shared_memory, sweep

ENVS = ROOT / ".envs"
LOGS = ENVS / "logs"
MPIS = ("mpich", "openmpi")
RANKS = (1, 2, 3, 5)
MOST = RANKS[-1]
SERIAL = ("pure", "house")
LIMIT = 1800  # seconds for one run; a single test is cut much earlier
NO_TESTS = 5  # pytest's exit code when -k leaves none


class Run(NamedTuple):
    """One start of pytest."""

    suites: tuple[str, ...]
    mpi: str
    ranks: int  # 0: without a launcher
    files: tuple[str, ...] = ()  # none: all of the suites

    @property
    def title(self) -> str:
        """As in the table."""
        ranks = f"{self.ranks} rank{'s' * (self.ranks != 1)}"
        where = f"{self.mpi}, {ranks}" if self.ranks else "no ranks"
        half = ", every other file" if self.files else ""
        return f"{' and '.join(self.suites)} ({where}{half})"

    @property
    def logs(self) -> Path:
        """Folder of what this run writes."""
        return LOGS / "-".join([*self.suites, self.mpi, str(self.ranks)])


class Outcome(NamedTuple):
    """How a run went: counts by word, and the word for each test."""

    run: Run
    code: int
    seconds: float
    tests: dict[str, str]

    @property
    def counts(self) -> Counter[str]:
        """How many tests passed, failed, were skipped."""
        return Counter(self.tests.values())


def main() -> int:
    """Do what the command line asks; 0 when all is well."""
    asked = command_line()
    mpis = [mpi_beside()] if asked.here else asked.mpi or list(MPIS)
    pythons = {mpi: sys.executable if asked.here else prepared(mpi) for mpi in mpis}
    if asked.lint:
        return lint(pythons[mpis[0]])
    shutil.rmtree(LOGS, ignore_errors=True)
    others = shared_memory()
    try:
        outcomes = [
            perform(run, pythons[run.mpi], asked) for run in planned(asked.only, mpis, asked.ranks)
        ]
    finally:
        sweep(others)
    if asked.coverage:
        cover(pythons[mpis[0]])
    print(table(outcomes))
    ignored = always_skipped(outcomes)
    if ignored:
        print("skipped in every run:", *ignored, sep="\n  ")
    part = asked.here or asked.only or asked.mpi or asked.ranks or asked.k
    return int(any(outcome.code for outcome in outcomes) or bool(ignored and not part))


def command_line() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--mpi", action="append", choices=MPIS, help="only this MPI; may be repeated")
    add("-n", dest="ranks", action="append", type=int, help="only this many ranks; may be repeated")
    add("--only", action="append", choices=(*SERIAL, "mpi"), help="only this suite; repeatable")
    add("-k", metavar="EXPR", help="only tests whose names match, as pytest's -k")
    add("--here", action="store_true", help="use this interpreter and the MPI installed beside it")
    add("--coverage", action="store_true", help="tell which lines of the package were not run")
    add("--lint", action="store_true", help="ruff and mypy, and no tests")
    return parser.parse_args()


def planned(
    only: list[str] | None, mpis: list[str], ranks: list[int] | None
) -> Iterator[Run]:
    """All runs that are asked for, the quickest first.

    Each file runs on `MOST` ranks with one of the MPIs; with both when *ranks* says so.
    """
    serial = tuple(suite for suite in SERIAL if not only or suite in only)
    if serial:
        yield Run(serial, mpis[0], 0)
    if not only or "mpi" in only:
        for place, mpi in enumerate(mpis):
            for n in ranks or RANKS:
                half = not ranks and n == MOST and len(mpis) > 1
                yield Run(("mpi",), mpi, n, rank_tests()[place :: len(mpis)] if half else ())


def rank_tests() -> tuple[str, ...]:
    """The files of ``tests/mpi``."""
    return tuple(sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/mpi/test_*.py")))


def prepared(mpi: str) -> str:
    """Python of the environment for *mpi*, which is made when there is none yet."""
    key = hashlib.sha256(sys.version.encode() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    folder = ENVS / f"{mpi}-{sys.version_info.major}.{sys.version_info.minor}-{key[:8]}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"making {folder.relative_to(ROOT)} ...", flush=True)
        for old in ENVS.glob(f"{folder.name.rpartition('-')[0]}-*"):
            shutil.rmtree(old)
        venv.create(folder, symlinks=True, with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        wanted = f".[test,lint,docs,{mpi}]"
        subprocess.run([*pip, "install", "--editable", wanted], cwd=ROOT, check=True)
        ready.touch()  # last: an environment cut short is made anew
    return str(python)


def perform(run: Run, python: str, asked: argparse.Namespace) -> Outcome:
    """Start pytest, on ranks where wanted, and read what it reports."""
    print(f"\n{run.title}", flush=True)
    run.logs.mkdir(parents=True)
    command = [python, *(["-m", "coverage", "run"] if asked.coverage else [])]
    if run.ranks:
        command = [mpiexec(python), "-n", str(run.ranks), *command]
        command += ["-m", "tests.rank", str(run.ranks), str(run.logs)]
    else:
        command += ["-m", "pytest", f"--junitxml={run.logs}/rank0.xml"]
    # said aloud: Open MPI gives rank 0 a terminal even when we have none
    command += ["--quiet", f"--color={'yes' if sys.stdout.isatty() else 'no'}"]
    command += ["-k", asked.k] if asked.k else []
    command += run.files or [f"tests/{suite}" for suite in run.suites]
    start = time.monotonic()
    try:
        code = guarded(command, timeout=LIMIT, env=environment(python, run.mpi), cwd=ROOT)
    except subprocess.TimeoutExpired:
        print(f"ended after {LIMIT} s")
        code = 1
    if code == NO_TESTS and asked.k:
        code = 0
    report = run.logs / "rank0.xml"
    if not report.exists():
        show_ranks(run.logs)
    return Outcome(run, code, time.monotonic() - start, reported(report))


def show_ranks(logs: Path, lines: int = 60) -> None:
    """Print the end of what the ranks beside 0 wrote, when rank 0 cannot tell their story."""
    for log in sorted(logs.glob("rank*.txt")):
        text = log.read_text(errors="replace").splitlines()
        print(f"--- {log.relative_to(ROOT)}, last {lines} lines", *text[-lines:], sep="\n")


def reported(path: Path) -> dict[str, str]:
    """Word for each test in pytest's report; nothing when pytest did not come to its end."""
    if not path.exists():
        return {}
    words = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    tests: dict[str, str] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        said = {words[part.tag] for part in case if part.tag in words}
        tests[name] = min(said, default="passed")  # "failed" < "skipped"
    return tests


def always_skipped(outcomes: list[Outcome]) -> list[str]:
    """Tests that no run performed."""
    seen = {name for outcome in outcomes for name in outcome.tests}
    done = {name for outcome in outcomes for name, w in outcome.tests.items() if w != "skipped"}
    return sorted(seen - done)


def table(outcomes: list[Outcome]) -> str:
    """One line for each run, then the sum in one line."""
    rows = [f"\n{'run':<40} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}"]
    for outcome in outcomes:
        counts = [f"{outcome.counts[word]:>7}" for word in ("passed", "failed", "skipped")]
        end = "" if outcome.code == 0 else f"  exit {outcome.code}"
        rows.append(f"{outcome.run.title:<40} {' '.join(counts)} {outcome.seconds:>8.1f}{end}")
    total: Counter[str] = sum((outcome.counts for outcome in outcomes), Counter())
    # a run that did not come to its end has no report, and is no success
    broken = sum(outcome.code != 0 and not outcome.counts["failed"] for outcome in outcomes)
    failed = total["failed"] + broken
    rows.append(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped")
    return "\n".join(rows)


def lint(python: str) -> int:
    """Ruff and mypy over the whole tree."""
    checks = (["ruff", "check", "."], ["mypy"])
    return max(subprocess.call([python, "-m", *check], cwd=ROOT) for check in checks)


def cover(python: str) -> None:
    """Put the coverage of all runs together and print it."""
    for words in (["combine", "--quiet"], ["report"]):
        subprocess.run([python, "-m", "coverage", *words], cwd=ROOT, check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  # an older one is told here
        sys.exit(f"expected Python 3.11 or newer, got {sys.version.split()[0]}")
    os.chdir(ROOT)
    sys.exit(main())
