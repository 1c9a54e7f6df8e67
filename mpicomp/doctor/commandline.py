"""``mpicomp doctor``: what is wrong with this MPI, this launcher, this job, and the cure."""

from __future__ import annotations

import json
import os
import sys
import time

from mpicomp import installed
from mpicomp.doctor.batch import places
from mpicomp.doctor.findings import PROBLEM, Finding, Job, findings
from mpicomp.wire.threads import cores
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from mpicomp.errors import LaunchError

ABOUT = """Tell what keeps ranks from starting or from being quick, and the cure.

Starts ranks as mpicomp run would; under mpiexec or srun it looks at the ranks that are there.
With SCRIPT, whether all of them see the same script.  The exit code is 1 when a problem is found.
"""
USAGE = "mpicomp doctor [-n N] [--json] [SCRIPT]"


def add_doctor(parser: ArgumentParser) -> None:
    """Add what the command accepts, beside ``-n``."""
    parser.add_argument("--json", action="store_true", help="for programs to read")
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="is it the same on all hosts?")
    parser.set_defaults(perform=main, ready=_ready, before=_before, refused=refused, default=_usual)


def main(asked: Namespace) -> int:
    """Look at all ranks and report.

    Collective: every rank of ``COMM_WORLD`` calls; rank 0 prints, all return the exit code.
    """
    from mpicomp.doctor.facts import of_job

    ranks = world()
    job = of_job(ranks, asked.script)
    code = 0 if job is None else _told(job, asked)
    return code if ranks.comm is None else int(ranks.comm.bcast(code))


def refused(asked: Namespace, error: LaunchError) -> int:
    """Report what this process sees where the ranks cannot work or cannot be started."""
    from mpicomp.doctor.facts import of_this_process, speaks

    if speaks():
        _told(of_this_process(str(error), asked.n or 0, asked.script), asked)
    return 1


def _usual() -> int:
    return places(os.environ).total or max(2, len(cores()))


def _ready(asked: Namespace) -> None:
    """Before ranks are started: are there as many places as are asked for?"""
    if asked.n and 0 < places(os.environ).total < asked.n:
        from mpicomp.doctor.facts import of_this_process

        sys.exit(_told(of_this_process("", asked.n, asked.script), asked))


def _before(_: Namespace) -> None:
    """Before MPI starts on a rank: some libraries end the process there and then."""
    from mpicomp.doctor.facts import speaks

    installed.check_srun()
    if "PMIX_RANK" not in os.environ or "Open MPI" in (name := installed.library()):
        return
    if not speaks():
        time.sleep(1)  # the one that speaks is to be heard before the first of us is ended
        return
    print(
        f"mpicomp doctor: starting {name or 'MPI'}; if the job ends here, this MPI does not speak "
        "PMIx, which the launcher does: write srun --mpi=pmi2, or mpicomp run -n N",
        file=sys.stderr,
        flush=True,
    )


def _told(job: Job, asked: Namespace) -> int:
    found = findings(job)
    code = int(any(one.level == PROBLEM for one in found))
    print(_as_json(job, found, code) if asked.json else _as_text(job, found))
    return code


def _as_json(job: Job, found: list[Finding], code: int) -> str:
    facts = job._asdict() | {"ranks": [rank._asdict() for rank in job.ranks]}
    report = {"code": code, "findings": [one._asdict() for one in found], "facts": facts}
    return json.dumps(report, indent=2)


def _as_text(job: Job, found: list[Finding]) -> str:
    one, ranks = job.ranks[0], len(job.ranks)
    hosts = list(dict.fromkeys(rank.host for rank in job.ranks))
    where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
    lines = [
        f"{ranks} rank{'s' * (ranks != 1)} on {where}: {one.library or 'no MPI'}, "
        f"Python {one.python}, mpicomp {one.mpicomp}",
        "",
    ]
    for each in found:
        lines.append(f"{each.level:<8} {each.name}: {each.text}")
        if each.cure:
            lines.append(f"{'':<8} cure: {each.cure}")
    bad = sum(each.level == PROBLEM for each in found)
    lines += ["", f"{bad} problem{'s' * (bad != 1)}" if bad else "no problem was found"]
    return "\n".join(lines)
