"""From a verb and what it was given to the call that the engine makes.

Rules of this file: what cannot be is refused before any rank starts to work, on every rank alike.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.call import Call
from mpicomp.engine.keeping import keeper_for
from mpicomp.engine.run import run
from mpicomp.engine.shuffled import sampler_for
from mpicomp.engine.state import Setup
from mpicomp.errors import OptionError
from mpicomp.options import AUTO, Options, chosen
from mpicomp.plan.comprehension import take_apart
from mpicomp.record.recording import wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.collect import Collector
    from mpicomp.options import Common
    from mpicomp.plan.comprehension import Comprehension


def called(
    verb: str,
    expression: object,
    collector: Callable[[Comprehension, Options], Collector],
    options: Common,
    detail: str = "",
    usual: str = AUTO,
    make: Callable[[], Comprehension] | None = None,
    also: tuple[object, ...] = (),
) -> Any:
    """What a verb gives: the value of its call, made by all ranks.

    Collective: every rank of *comm* calls.

    Parameters
    ----------
    verb : str
        Its name.
    expression : generator expression or map object
        As the user wrote it.
    collector : callable
        Makes what gathers the values, of the comprehension and the options.
    options : Common
        As the user wrote them.
    detail : str
        What else the ranks have to agree on.
    usual : str
        The schedule where nobody says another.
    make : callable, optional
        Makes the comprehension where there is no *expression*.
    also : tuple
        Functions of the user's that combine values: they run on the ranks as well.
    """

    def build() -> Call:
        asked = chosen(options, usual)
        apart = take_apart(expression, verb) if make is None else make()
        collected = collector(apart, asked)
        events: list[Any] | None = [] if wanted() else None
        if asked.plain:
            return Call(verb, apart, collected, asked, detail, events, also)
        _check(verb, apart, collected, asked)
        sampler = sampler_for(asked.check)
        return Call(verb, apart, collected, asked, detail, events, also, sampler, keeper_for(asked))

    comm, setup = Options.comm_of(options), Options.setup_of(options)
    if setup is None:
        return run(verb, comm, build)
    with Setup(setup) as ready:
        return run(verb, comm, lambda: ready.before_items_of(build()))


def _check(verb: str, apart: Comprehension, collected: Collector, asked: Options) -> None:
    """Raise `OptionError` for options that this verb, or this source, cannot have."""
    if asked.errors == "return" and not collected.keeps_errors:
        raise OptionError(
            f'errors="return" puts an exception in the place of an item, and {verb} has no '
            "such places; use plist, pset, pmap or pfor, or handle the error in the item"
        )
    if asked.ranks_per_item > 1 and apart.whole_runs:
        raise OptionError("a batched function has no single items: leave ranks_per_item= out")
    if asked.ranks_per_item > 1 and apart.source.spread is not None:
        raise OptionError(
            f"an item of {asked.ranks_per_item} ranks has to be on all of them, and each of "
            'these lies on one (root="stay"); gather() them, or leave ranks_per_item= out'
        )
    if asked.stays and not collected.can_stay:
        raise OptionError(
            f'root="stay" leaves each rank its part of a list or array, and {verb} gives one '
            "value; write root=None for every rank to have it, or use plist, parray or pmap"
        )
    if apart.source.spread is not None and (asked.journal or asked.deadline) is not None:
        raise OptionError(
            "journal= and deadline= are for items that any rank can take, and these lie on "
            'their ranks (root="stay"); give the option to the call that makes them'
        )
