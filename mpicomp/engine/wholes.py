"""What ranks do together with values that lie on them: bring them to one, or move them.

Rules of this file: agree, do it, agree again; what fails on one rank is raised on all.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import Agreement, check_root, close
from mpicomp.engine.alone import alone
from mpicomp.engine.call import Call
from mpicomp.engine.computing import Computed
from mpicomp.engine.distributed import Distributed, _Whole, next_number
from mpicomp.engine.run import conclude
from mpicomp.engine.share import runs_of
from mpicomp.errors import ComprehensionError
from mpicomp.plan.source import is_array
from mpicomp.plan.spread import positions
from mpicomp.wire.cutoff import Cutoff
from mpicomp.wire.shuffle import shuffle
from mpicomp.wire.transport import NothingSent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.collect import Collector
    from mpicomp.options import Options
    from mpicomp.plan.comprehension import Comprehension
    from mpicomp.plan.decomposition import Decomposition
    from mpicomp.wire.world import World


def make(
    world: World,
    verb: str,
    whole: Comprehension,
    collector: Collector,
    options: Callable[[], Options],
    about: str,
    n: int,
    act: Callable[[Call], Any],
) -> Any:
    """Make the call on all ranks of *world*.

    Collective: every rank of the world calls.
    """

    def build() -> Call:
        asked = options()
        check_root(asked.root, world)
        return Call(verb, whole, collector, asked, about)

    if world.size == 1:
        call = build()
        gathered = isinstance(collector, _Whole)
        return collector.finish([collector.export()], n) if gathered else act(call)
    if world.closed:
        raise ComprehensionError("the communicator on which these values lie is no more")
    with alone(verb):
        agreed = Agreement(world, verb, build)
        agreed.settle()
        if isinstance(collector, _Whole):
            return conclude(world, agreed.call, Computed(None, n), Cutoff(world))
        value, problem = None, None
        try:
            value = act(agreed.call)
        except NothingSent:
            pass  # the rank that could not send has the error
        except BaseException as exc:
            problem = exc
        close(world, problem)
        return value


def moved(d: Distributed[Any], to: Decomposition) -> Distributed[Any]:
    """The values of *d* as *to* has them.

    Collective: every rank of the world calls.
    """
    import numpy as np

    world, part = d._world, d.part
    number = next_number(world)
    here = np.asarray(d.indices, dtype=np.int64)
    owners = np.asarray(to.owner(here)) if len(here) else here
    came: list[tuple[Any, Any]] = []

    def parcel(rank: int) -> tuple[Any, Any]:
        (places,) = np.nonzero(owners == rank)
        values = part[places] if is_array(part) else [part[place] for place in places.tolist()]
        return here[places], values

    shuffle(world, parcel, came.append)
    order = np.argsort(np.concatenate([places for places, _ in came]), kind="stable")
    if is_array(part):
        values: Any = np.concatenate([values for _, values in came], dtype=part.dtype)[order]
    else:
        joined = [value for _, values in came for value in values]
        values = [joined[place] for place in order.tolist()]
    runs = [run for run in runs_of(to, world.rank, strided=True) if run]
    assert len(positions(runs)) == len(values), "a value is lost or doubled"
    return Distributed(values, runs, len(d), world, number, to, d._has_exceptions)
