"""Kill ranks at random instants, and count what is lost, doubled, wrong or hung.

    python -m tests.chaos --runs 100            on both MPIs, in the environments of python -m tests
    python -m tests.chaos --minutes 30          as many as go into half an hour
    python -m tests.chaos --seed 42 --runs 1    the case of seed 42 again

All four counts must be 0; the exit code says whether they are.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.cases import Attempt, Case, case_of
from tests.launch import ROOT, environment, guarded, mpi_beside, shared_memory, sweep

PROGRAM = Path(__file__).with_name("program.py")
GOOD = ("survived", "resumed", "ended", "unhurt")
BAD = ("lost", "doubled", "wrong", "hung", "failed")


class Outcome(NamedTuple):
    """How one start of the program went; *code* is None when it hung."""

    code: int | None
    value: str | None
    said: str
    killed: int


def main() -> int:
    """Do what the command line asks; 0 when nothing was lost, doubled, wrong or hung."""
    asked = command_line()
    if asked.here:
        pythons = {mpi_beside(): sys.executable}
    else:
        from tests.__main__ import MPIS, prepared

        pythons = {mpi: prepared(mpi) for mpi in asked.mpi or MPIS}
    others, bad, start = shared_memory(), 0, time.monotonic()
    for number, (mpi, python) in enumerate(pythons.items(), 1):
        counts: Counter[str] = Counter()
        began, runs = time.monotonic(), 0
        until = start + 60 * asked.minutes * number / len(pythons)
        for seed in count(asked.seed):
            if runs == asked.runs or time.monotonic() > until:
                break
            runs += 1
            case = case_of(seed, mpi)
            words, said = perform(case, python, asked.limit)
            counts.update(words)
            if asked.verbose or any(word in BAD for word in words):
                print(f"{case}: {' '.join(words)}\n{said}".rstrip(), flush=True)
            sweep(others)
        bad += sum(counts[word] for word in BAD)
        print(table(mpi, asked.seed, runs, counts, time.monotonic() - began), flush=True)
    sweep(others, age=0)
    return int(bad > 0)


def command_line() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--runs", type=int, help="how many on each MPI (20; with --minutes, as many as fit)")
    add("--minutes", type=float, default=inf, help="begin no more when so many are over")
    add("--seed", type=int, default=0, help="of the first; the others follow (0)")
    add("--mpi", action="append", choices=("mpich", "openmpi"), help="only this; may be repeated")
    add("--here", action="store_true", help="use this interpreter and the MPI installed beside it")
    add("--limit", type=float, default=90, help="seconds until a job counts as hung (90)")
    add("-v", "--verbose", action="store_true", help="tell of each run")
    asked = parser.parse_args()
    if asked.runs is None and asked.minutes == inf:
        asked.runs = 20
    return asked


def table(mpi: str, seed: int, runs: int, counts: Counter[str], seconds: float) -> str:
    """One line of what came out."""
    good = ", ".join(f"{counts[word]} {word}" for word in GOOD)
    worse = ", ".join(f"{counts[word]} {word}" for word in BAD)
    about = f"{mpi}: {runs} runs (seeds {seed} to {seed + runs - 1}), {counts['kill']} kills"
    return f"{about}; {good}; {worse} ({seconds:.0f} s)"


def perform(case: Case, python: str, limit: float) -> tuple[list[str], str]:
    """Words for what came of a case, and what its programs said, if that matters."""
    from tests.chaos.program import comprehension, source

    expected = serial(case.verb, comprehension(case.verb, source(case.source), case.seed, False))
    words: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mpicomp-chaos-") as folder:
        for number, attempt in enumerate(case.attempts):
            here = Path(folder, str(number))
            here.mkdir()
            outcome = start(case, attempt, python, here, Path(folder, "run.mpj"), limit)
            words += ["kill"] * outcome.killed
            last = number == len(case.attempts) - 1
            word = judged(case, attempt, outcome, expected, last)
            if word in BAD:
                return [*words, word], f"code {outcome.code}\n{outcome.said}"
            if last or word in ("unhurt", "survived"):
                words.append(word)
    return words, ""


def serial(verb: str, gen: Any) -> str:
    """The value without any ranks."""
    import math
    from functools import reduce

    from tests.chaos.program import shown

    if verb == "pgroup":
        groups: dict[int, list[int]] = {}
        for key, value in gen:
            groups.setdefault(key, []).append(value)
        return shown(groups)
    kinds: dict[str, Any] = {"psum": math.fsum, "pdict": dict, "pset": set,
                             "preduce": lambda g: reduce(lambda a, b: a + b, g)}  # fmt: skip
    if verb == "parray":
        return shown([float(value) for value in gen])
    return shown(kinds.get(verb, list)(gen))


def judged(case: Case, attempt: Attempt, outcome: Outcome, expected: str, last: bool) -> str:
    """The word for one start."""
    if outcome.code is None:
        return "hung"
    if outcome.value is not None and outcome.value != expected:
        return difference(outcome.value, expected)
    if outcome.code == 0:
        if outcome.value is None:
            return "lost"
        if case.survives and outcome.killed:
            return "survived"
        return "resumed" if case.resumes and last else "unhurt"
    if not outcome.killed or (case.survives and outcome.killed < attempt.ranks):
        return "failed"
    return "ended"


def difference(found: str, expected: str) -> str:
    """Whether items are missing or twice there; else the value is wrong in another way."""
    got, due = (Counter(text.strip("[]{}").split(", ")) for text in (found, expected))
    if due - got and not got - due:
        return "lost"
    return "doubled" if got - due and not due - got else "wrong"


def start(
    case: Case, attempt: Attempt, python: str, folder: Path, journal: Path, limit: float
) -> Outcome:
    """Run the program once, and kill whom the attempt says."""
    surviving = ["--fault-tolerant"] if case.survives else []
    command = [python, "-m", "mpicomp", "run", *surviving, "-n", str(attempt.ranks), PROGRAM,
               folder, case.seed, case.verb, case.source,
               "all" if case.root is None else case.root, attempt.schedule]  # fmt: skip
    command += [journal] if case.resumes else []
    killer = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.killer", folder, str(attempt.ranks),
         *(f"{kill.after}:{kill.rank}" for kill in attempt.kills)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    code: int | None = None
    with tempfile.TemporaryFile("w+") as told:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = guarded([*map(str, command)], timeout=limit, env=environment(python, case.mpi),
                           cwd=ROOT, stdout=told, stderr=told)  # fmt: skip
        killer.send_signal(signal.SIGTERM)
        killed = len(killer.communicate()[0].split())
        told.seek(0)
        value = folder / "value"
        return Outcome(code, value.read_text() if value.exists() else None, told.read(), killed)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
