"""A call that survives the loss of ranks: it goes on with those that are left.

Rules of this file: a lost rank is a resume with fewer ranks.  Every rank keeps the pieces that it
has finished (`mpicomp.engine.keeping`); when ranks are lost, the others agree on it, shrink the
world, unite what they hold, and make the call again for what is missing.  A value that the root
has got counts, whoever is lost after that.

    every rank    attempt ── agree ──(all well)── value
                     ↑         └──(a loss)── shrink ── unite ──┐
                     └─────────────────────────────────────────┘

The source is on every rank before the first item is computed, so that it outlives the root.  Only
a stream is on the root alone: the root remembers what it has read; if the root itself is lost, the
new root reads its own copy from the beginning.
"""

from __future__ import annotations

import os
import warnings
from copy import copy
from time import perf_counter
from typing import Any, NamedTuple

from mpicomp.engine.agree import Agreement
from mpicomp.engine.collect import Collector, Listed
from mpicomp.engine.keeping import Keeper
from mpicomp.engine.share import at_hand, replicate
from mpicomp.errors import OptionError, RankLostWarning, TransportError
from mpicomp.plan.again import Everywhere, Remembered
from mpicomp.plan.source import Source, Stream
from mpicomp.wire import ulfm
from mpicomp.wire.transport import broadcast_object
from mpicomp.wire.waiting import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.call import Call
    from mpicomp.engine.computing import Computed
    from mpicomp.engine.keeping import Log
    from mpicomp.options import Options
    from mpicomp.plan.comprehension import Comprehension
    from mpicomp.wire.world import World


class Holding(NamedTuple):
    """What a rank tells the others after a loss.

    Attributes
    ----------
    spans : list of (int, int)
        Items whose values it has.
    n : int or None
        Items of its source.
    whole : bool
        It has the value of the call.
    state : tuple
        How far it had come; what is held counts if all had come as far.
    """

    spans: list[tuple[int, int]]
    n: int | None
    whole: bool
    state: tuple[bool, bool, int, bool, str]


class Survival:
    """One call, in as many attempts as it takes.

    Parameters
    ----------
    world : World
    verb : str
    build : callable
        Gives the `Call`.
    together : callable
        ``(world, agreement, began, before_building) -> value``: the call, once agreed on.
    """

    def __init__(
        self, world: World, verb: str, build: Callable[[], Call], together: Callable[..., Any]
    ) -> None:
        self.world = world
        self._verb = verb
        self._build = build
        self._together = together
        self._call: Call | None = None
        self._own: Comprehension | None = None  # before the items were sent to all
        self._comprehension: Comprehension | None = None
        self._asked: int | None = 0
        self._everywhere = False
        self._source_of = 0  # the rank, by its first number, whose source it is
        self._value: Any = None
        self._whole = False
        self._met = False
        self._log: Log | None = None
        self._losses: list[str] = []
        self._missing = "what was"
        self._attempts = 0

    def value(self) -> Any:
        """The value on the root, None elsewhere.

        Collective: every rank of the world calls.
        """
        while True:
            problem, well = None, True
            watched_by(self.world.watch)
            try:
                self._attempt()
            except BaseException as exc:
                problem = exc
                # an item may raise what a loss does: that has been agreed on
                well = hasattr(exc, "__mpicomp_world__") or not isinstance(exc, ulfm.losses())
            if self.world.closed:  # interrupted while it waited
                raise problem or KeyboardInterrupt
            if ulfm.agreed(self.world, well):
                break
            before = self.world.size
            self._shrink()
            if self.world.size == before:  # on all ranks alike
                raise TransportError(
                    f"MPI failed in {self._verb} on a rank, though none was lost"
                ) from problem
        if problem is not None:
            raise problem
        self._warn()
        return self._value

    def _attempt(self) -> None:
        self._attempts += 1
        world = self.world
        assert world.comm is not None, "a serial world needs no second attempt"
        if world.watch is not None and not world.watch.mates:
            world.watch.mates = world.comm.allgather((world.host, os.getpid()))
        if self._attempts > 1 and self._unite():
            return
        began = perf_counter()
        agreement = Agreement(world, self._verb, self._made)
        agreement.settle()
        self._spread(agreement)
        keeper = agreement.call.keeper
        assert keeper is not None, "each call has one here"
        lost: BaseException | None = None
        with keeper:
            try:
                self._value = self._together(world, agreement, began, self._before_building)
            except ulfm.losses() as exc:  # what the journal has claimed stays so
                lost = exc
        if lost is not None:
            raise lost
        self._whole = agreement.call.options.root in (None, world.rank)

    def _before_building(self, call: Call, done: Computed) -> tuple[Call, Computed]:
        # building the value may change the lists in place, which after a loss are needed again
        self._met = call.collector.meets
        call = call._replace(collector=_copied(call.collector))
        return call, done._replace(choice=self._told(done))

    def _made(self) -> Call:
        """The call, as it is to be made in the world of now."""
        call = self._call or self._first()
        call = call._replace(options=self._options(call.options))
        self._call = call
        self._source_of = self.world.origin[min(call.options.root or 0, self.world.size - 1)]
        return call

    def _first(self) -> Call:
        call = self._build()
        if self._own is None:
            self._own, self._asked = call.comprehension, call.options.root
            source = call.comprehension.source
            if isinstance(source, Stream):
                again = Stream(Remembered(source.iterator), source.about)
                self._own = _with(call.comprehension, again)
        if self._comprehension is None:
            self._comprehension = self._own
        keeper = call.keeper or Keeper()
        if keeper.log is not None and self._log is not None:
            keeper.log.key, keeper.log.claimed = self._log.key, self._log.claimed
            keeper.log.told = self._log.told
        return call._replace(comprehension=self._comprehension, keeper=keeper, sampler=None)

    def _options(self, given: Options) -> Options:
        """The same, by ways that outlive a rank; the root by its number of now."""
        options = copy(given)
        if options.patience is not None:
            raise OptionError(
                "patience= cannot be had where lost ranks are survived (--fault-tolerant): a rank "
                "that does not come is waited for until it is lost; leave out one of the two"
            )
        if options.stays:
            raise OptionError(
                'root="stay" leaves values with the ranks that computed them, and with lost ranks '
                '(--fault-tolerant) they would be lost; write root=0, or root=None for every rank'
            )
        options.cost, options.progress, options.reissue = None, False, False
        if options.schedule.kind != "static":
            options.dispatch = "master"  # a shared counter's window would not outlive its ranks
        if self.world.shrunk:
            options.root = self._root()
        return options

    def _root(self) -> int | None:
        """The rank of now that was asked for, or the lowest if it is lost."""
        return None if self._asked is None else self.world.now(self._asked)

    def _spread(self, agreement: Agreement) -> None:
        """See to it that the root's items are on every rank."""
        call, world = agreement.call, self.world
        source = call.comprehension.source
        if source.known or isinstance(source, Stream):
            self._everywhere = source.known
            return
        assert world.comm is not None, "it is in several ranks"
        made, told = None, None
        if world.rank == agreement.root:
            source, problem = at_hand(source)
            told = source.outline() if problem is None else None
        try:
            outline = broadcast_object(world, told, agreement.root)
            if outline is not None:
                made = replicate(world, source, outline, agreement.root)
        except ulfm.losses():
            raise
        except BaseException:  # it is told, as always, when the call meets it again
            made = None
        if all(world.comm.allgather(made is not None)) and made is not None:
            self._everywhere = True
            self._comprehension = _with(call.comprehension, Everywhere(made))
            self._call = call._replace(comprehension=self._comprehension)
            agreement.replace(self._call)

    def _shrink(self) -> None:
        before = self.world
        self.world = ulfm.renewed(before)
        mates = before.watch.mates if before.watch is not None else []
        for rank, number in enumerate(before.origin):
            if number not in self.world.origin:
                host = f" ({mates[rank][0]}, process {mates[rank][1]})" if mates else ""
                self._losses.append(f"{number}{host}")

    def _unite(self) -> bool:
        """Learn what the ranks that are left hold; whether it is the value already."""
        world, call = self.world, self._call
        assert world.comm is not None, "it is in the world of those that are left"
        keeper = call.keeper if call is not None else None
        if call is not None and keeper is not None:
            keeper.finish(call)
            self._log = keeper.log
        key = self._log.key if self._log is not None else ""
        mine = Holding(
            keeper.spans if keeper is not None else [],
            call.comprehension.source.n if call is not None else None,
            self._whole,
            (call is not None, self._everywhere, self._source_of, self._met, key),
        )
        told: list[Holding] = world.comm.allgather(mine)
        whole = [holding.whole for holding in told]
        if all(whole) if self._asked is None else any(whole):
            return True  # the root has it
        if self._own is not None and isinstance(self._own.source, Stream):
            self._own.source.iterator.rewind()  # type: ignore[attr-defined]  # it is Remembered
        source = self._source_of
        here, self._missing = source in world.origin, "what"
        if call is None or any(holding.state != mine.state for holding in told):
            self._forget()  # some were further than others when it happened
        elif keeper is None or not (self._everywhere or here):
            self._call = None  # nothing that is held counts
        elif keeper.log is not None or self._met:
            self._call = None  # the journal has it; keys may have been brought together already
        else:
            n = told[world.origin.index(source)].n if here else mine.n
            keeper.miss([span for holding in told for span in holding.spans], n)
            held = sum(stop - start for start, stop in keeper.done)
            self._missing = f"{(n or held) - held} items that were"
        return False

    def _forget(self) -> None:
        if self._log is not None:
            self._log.release()
            self._log = None
        self._call = self._comprehension = None
        self._everywhere = self._met = False

    def _told(self, done: Computed) -> str:
        lost = f"rank {', '.join(self._losses)} was lost, the others went on"
        return "; ".join(filter(None, [done.choice, lost if self._losses else ""]))

    def _warn(self) -> None:
        call = self._call
        if not self._losses or call is None or (call.options.root or 0) != self.world.rank:
            return
        text = (
            f"rank {', '.join(self._losses)} {'was' if len(self._losses) == 1 else 'were'} lost in "
            f"{self._verb}{call.comprehension.at}; {self._missing} missing: "
            f"computed by {self.world.size} of {self.world.began_with} ranks, which go on"
        )
        code = call.comprehension.code
        where = (code.co_filename, code.co_firstlineno) if code is not None else ("mpicomp", 1)
        warnings.warn_explicit(text, RankLostWarning, *where)


def _with(comprehension: Comprehension, source: Source) -> Comprehension:
    changed = copy(comprehension)
    changed.source = source
    return changed


def _copied(collector: Collector) -> Collector:
    other = copy(collector)
    if isinstance(other, Listed):
        other.values = [*other.values]
    return other
