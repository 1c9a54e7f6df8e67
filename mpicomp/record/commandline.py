"""``mpicomp simulate``: schedules side by side on any number of ranks, without a rank."""

from __future__ import annotations

from mpicomp.errors import MpicompError
from mpicomp.plan.schedule import parse
from mpicomp.record.costs import modelled
from mpicomp.record.recording import Record
from mpicomp.record.simulate import replay, simulate
from mpicomp.record.units import counted, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from mpicomp.plan.schedule import Schedule
    from mpicomp.record.simulate import Outcome

ABOUT = """Tell what schedules would cost, on ranks that are not there.

The cost of the items is one of
  constant:C            C seconds each
  ramp:A,B              from A seconds for the first to B for the last
  lognormal:MEAN,SIGMA  MEAN seconds on average; SIGMA is the deviation of the logarithm
  bimodal:A,B,SHARE     A seconds, but for a SHARE of the items, which cost B
  FILE.npy              an array of seconds, one for each item
  FILE.npz              a record, as rec.save("FILE.npz") writes it; its calls are replayed
"""

EXAMPLES = """examples:
  mpicomp simulate --n 10000 --ranks 16 64 --cost lognormal:0.005,1.5
  mpicomp simulate --schedule static static,1 guided --cost ramp:0,0.01 --gantt
  mpicomp simulate --ranks 4 1024 --cost run.npz
"""

_SCHEDULES = ["static", "static,1", "dynamic", "guided", "factoring", "auto"]
_HEAD = "schedule         ranks    makespan  efficiency  imbalance   chunks"


def add_simulate(parser: ArgumentParser) -> None:
    """Add what the command accepts.

    Examples
    --------
    >>> from argparse import ArgumentParser
    >>> parser = ArgumentParser()
    >>> add_simulate(parser)
    >>> words = "--n 100 --ranks 4 --schedule static guided --cost constant:0.25"
    >>> main(parser.parse_args(words.split()))
    100 items, 25 s, the longest 250 ms: constant:0.25
    <BLANKLINE>
    schedule         ranks    makespan  efficiency  imbalance   chunks
    static               4      6.25 s       1.000      0.000        4
    guided               4      6.25 s       1.000      0.000       14
    0
    """
    add = parser.add_argument
    add("--cost", required=True, metavar="COST", help="what the items cost: see above")
    add("--n", dest="items", type=int, metavar="N", help="number of items, for a formula (10000)")
    add("--ranks", type=int, nargs="+", default=[4, 16, 64], metavar="P",
        help="numbers of ranks (4 16 64)")  # fmt: skip
    add("--schedule", nargs="+", default=_SCHEDULES, metavar="SCHEDULE",
        help=f"as in schedule=... of a verb ({' '.join(_SCHEDULES)})")  # fmt: skip
    add("--claim", type=float, default=1e-6, metavar="SECONDS",
        help="for one claim from the counter (1e-6)")  # fmt: skip
    add("--seed", type=int, default=0, help="of a formula's random numbers (0)")
    add("--gantt", action="store_true", help="draw who computes when")
    parser.set_defaults(perform=main, parser=parser)


def main(asked: Namespace) -> int:
    """Print the table, and the charts that were asked for.

    Returns
    -------
    int
        The exit code.
    """
    parser: ArgumentParser = asked.parser
    try:
        plans = [parse(schedule) for schedule in asked.schedule]
        title, outcome = _costs(asked)
        outcomes = [outcome(plan, ranks) for ranks in asked.ranks for plan in plans]
    except (MpicompError, OSError, TypeError, ValueError) as exc:
        parser.error(str(exc))
    print(f"{title}: {asked.cost}\n\n{_HEAD}")
    print(*map(_row, outcomes), sep="\n")
    for each in outcomes if asked.gantt else ():
        print(f"\n{each.record.text()}")
    return 0


def _costs(asked: Namespace) -> tuple[str, Callable[[Schedule, int], Outcome]]:
    """What the items are, and how they are simulated: (schedule, ranks) -> outcome."""
    import numpy as np

    if asked.cost.endswith(".npz"):
        calls = Record.load(asked.cost).calls
        items = sum(call.n for call in calls)
        work = sum(float((call.events["end"] - call.events["begin"]).sum()) for call in calls)
        title = f"{counted(len(calls), 'call')} of {counted(items, 'item')}, {duration(work)}"
        return title, lambda plan, ranks: replay(calls, plan, ranks, claim=asked.claim)
    if asked.cost.endswith(".npy"):
        costs = np.load(asked.cost, allow_pickle=False)
    else:
        costs = modelled(asked.cost, 10_000 if asked.items is None else asked.items, asked.seed)
    total, longest = float(costs.sum()), float(costs.max(initial=0.0))
    title = f"{counted(costs.size, 'item')}, {duration(total)}, the longest {duration(longest)}"
    return title, lambda plan, ranks: simulate(costs, plan, ranks, n=asked.items, claim=asked.claim)


def _row(outcome: Outcome) -> str:
    call = outcome.record.calls[0]
    return (
        f"{call.schedule:<14}{call.ranks:>8}{duration(outcome.makespan):>12}"
        f"{outcome.efficiency:>12.3f}{outcome.imbalance:>11.3f}{outcome.chunks.sum():>9}"
    )
