"""The exchanges in which the ranks agree, and the errors that come of them.

Rules of this file: what is raised is decided from headers that are the same on all ranks.
"""

from __future__ import annotations

from sys import maxsize
from typing import Any, NamedTuple, NoReturn

from mpicomp.engine import limit, metering
from mpicomp.engine.call import (
    BEGIN,
    CLOSE,
    Call,
    Header,
    disagree,
    take_ahead,
    unpack,
    with_ahead,
)
from mpicomp.engine.watch import watch
from mpicomp.errors import OptionError
from mpicomp.plan.failure import Failure
from mpicomp.plan.spread import check_spread
from mpicomp.wire import transport, vigil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.compute import Caught
    from mpicomp.wire.world import World


ALL, FAILED = -1, -2


class Ahead(NamedTuple):
    """What the root has done ahead.

    Attributes
    ----------
    said : int
        How many items, from the first on; `ALL`, and the value is there; or `FAILED`.
    """

    said: int = 0
    value: Any = None
    failure: Failure | None = None


class Agreement:
    """That every rank makes the same call, with good arguments.

    Collective: every rank of the world makes one, and settles it before the call's next
    exchange.  A call that has nothing to send and nothing to claim may go on before it is
    settled: its ranks then find out while they compute.

    Attributes
    ----------
    root : int
        The rank whose copy of the source counts.
    """

    def __init__(
        self,
        world: World,
        verb: str,
        build: Callable[[], Call],
        ahead: Callable[[World, Call], Ahead] | None = None,
    ) -> None:
        self._world = world
        self._verb = verb
        self._problem: BaseException | None = None
        self._call: Call | None = None
        self._open = True
        try:
            call = build()
            check_root(call.options.root, world)
            check_source(call, world)
            limit.check(call.options)
            metering.check(call.options)
            watch(call, world.rank)
            self._header = call.begin()
            self._call = call
            vigil.begin(world, f"{call.verb}{call.comprehension.at}", call.options.patience)
        except BaseException as exc:
            self._problem = exc
            self._header = Header(BEGIN, failed=1).pack()
        self._ahead, self._said = Ahead(), 0
        if ahead is not None and self._call is not None and self._call.options.root == world.rank:
            self._ahead = ahead(world, self._call)
        world.offer(with_ahead(self._header, self._ahead.said))
        if self._call is None or not self._call.can_go_on:
            self.settle()
        elif self._call.options.patience is not None and not vigil.can_be_seen(world):
            self.settle()  # they meet, and nobody stays away at an item meanwhile

    @property
    def call(self) -> Call:
        assert self._call is not None, "a call that could not be built has been told of"
        return self._call

    def replace(self, call: Call) -> None:
        """From now on it is about *call*, whose items have been sent."""
        self._call = call

    @property
    def sent(self) -> bool:
        """Whether the root sends the source (every rank answers alike, or there is no call)."""
        return not self.call.comprehension.source.known

    @property
    def root(self) -> int:
        return self.call.options.root or 0

    @property
    def finished(self) -> bool:
        """Whether the root has done it all ahead."""
        return self._said == ALL

    @property
    def value(self) -> Any:
        """What it has made, on the root."""
        return self._ahead.value

    @property
    def begun(self) -> int:
        """How many items, from the first on, the root has done ahead."""
        return max(0, self._said)

    def glance(self) -> None:
        """Settle it if that takes no waiting."""
        if self._open and self._world.complete():
            self.settle()

    def settle(self) -> None:
        """Wait for the others.

        Raises
        ------
        CollectiveMismatch, or what *build* raised on the first rank where it did
            On every rank.
        """
        if not self._open:
            return
        self._open = False
        told = self._world.headers()
        said = take_ahead(told, self.root) if self._call is not None else 0
        if self._problem is None and told == self._header * self._world.size:
            if self.call.options.patience is not None and self._world.vigil is not None:
                self._world.vigil.meet()
            if said == FAILED:
                raise_from(self._world, self.root, self._ahead.failure)
            self._said = said
            return
        headers = unpack(told)
        failed = [rank for rank, header in enumerate(headers) if header.failed]
        if failed and all(header.phase == BEGIN for header in headers):
            raise_from(self._world, failed[0], _failure(self._problem))
        mine = self._call.describe() if self._call else f"{self._verb} with bad arguments"
        disagree(self._world, headers, mine)


def check_root(root: int | None, world: World) -> None:
    """Raise `OptionError` for a root that is no rank of *world*."""
    if root is not None and root >= world.size:
        raise OptionError(
            f"root={root} is outside the communicator, whose ranks are 0 to {world.size - 1}; "
            "write root=0, or root=None for every rank"
        )


def check_source(call: Call, world: World) -> None:
    """Raise an error for a call that *world* cannot make: the items are on other ranks, or lost."""
    if world.watch is not None and call.options.ranks_per_item > 1:
        raise OptionError(
            "items of several ranks cannot go on when one of these is lost, got ranks_per_item= in "
            "a job that survives that; leave it out, or start the job without fault tolerance"
        )
    source = call.comprehension.source
    if source.spread is not None:
        if call.keeper is not None:
            raise OptionError(
                "a journal keeps what became of a source that can be had again, and these values "
                "lie on the ranks of this run; leave journal= out here"
            )
        check_spread(source, world, world.size == 1)


def raise_from(
    world: World, rank: int, mine: Failure | None, others: int = 0, cure: str = ""
) -> NoReturn:
    """Raise, on every rank, the failure of *rank*.

    Collective: every rank of the world calls.
    """
    failure: Failure = transport.broadcast_object(world, mine, rank)
    exc = failure.exception(others, cure)
    exc.__mpicomp_world__ = world  # type: ignore[attr-defined]  # for the guard
    raise exc


def blamed(headers: list[Header]) -> int | None:
    """The rank of the lowest item that failed, unless an item before it decided the call."""
    failed = [(header.failed, rank) for rank, header in enumerate(headers) if header.failed]
    if not failed:
        return None
    item, rank = min(failed)
    return None if any(0 < header.f < item for header in headers) else rank


def raise_first(
    world: World, call: Call, headers: list[Header], caught: Caught | None
) -> NoReturn:
    """Raise, on every rank, the failure of the rank that is `blamed`.

    Collective: every rank of the world calls, with the headers of one exchange.
    """
    rank = blamed(headers)
    assert rank is not None, "somebody is to blame"
    mine = None
    if rank == world.rank:
        assert caught is not None, "this rank said it failed"
        assert caught.exception is not None, "it did not say it decided"
        mine = Failure(caught.exception, caught.item, caught.notes)
    others = sum(1 for header in headers if header.failed) - 1
    cure = '; errors="return" keeps the good values' if call.collector.keeps_errors else ""
    raise_from(world, rank, mine, others, cure)


def _failure(problem: BaseException | None) -> Failure | None:
    return None if problem is None else Failure(problem, 0, ())


def place(caught: Caught | None, failed: bool) -> int:
    """1 + the index of what was caught, if it is a failure (or, *failed* False, a decision)."""
    if caught is None or (caught.exception is not None) is not failed:
        return 0
    return min(caught.item, maxsize - 1) + 1


def close(world: World, problem: BaseException | None) -> None:
    """Raise, on every rank, what went wrong when the root (or any rank) built the result.

    Collective: every rank of the world calls.
    """
    headers = unpack(world.exchange(Header(CLOSE, failed=problem is not None).pack()))
    failed = [rank for rank, header in enumerate(headers) if header.failed]
    if failed:
        raise_from(world, failed[0], _failure(problem))


def together(world: World, act: Callable[[], Any]) -> Any:
    """What *act* gives; what it raises on one rank is raised on all.

    Collective: every rank of the world calls.
    """
    value, problem = None, None
    try:
        value = act()
    except transport.NothingSent:
        pass  # the rank that could not send has the error
    except BaseException as exc:
        problem = exc
    if world.comm is not None:
        close(world, problem)
    elif problem is not None:
        raise problem
    return value
