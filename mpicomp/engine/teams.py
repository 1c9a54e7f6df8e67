"""``ranks_per_item=k``: teams of k ranks compute each item together.

Rules of this file: the ranks that lead the teams make the call among themselves, as they would
without teams; what they compute an item with is told to their teams, item by item.  All ranks of a
team are done with an item before the next begins; the leader's values count.

    leader   item -> team   compute   met: has it failed on any?   values, or the error
    others   wait           compute   met                          wait for the next, or the end
"""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any

from mpicomp.engine.agree import close, together
from mpicomp.engine.call import CLOSE, Header, unpack
from mpicomp.plan.comprehension import over_items
from mpicomp.plan.failure import Failure
from mpicomp.wire import guard
from mpicomp.wire.team import itself, team_of
from mpicomp.wire.transport import NothingSent, broadcast_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpi4py.MPI import Intracomm

    from mpicomp.engine.call import Call
    from mpicomp.plan.comprehension import Comprehension
    from mpicomp.wire.team import Team
    from mpicomp.wire.world import World

    Step = Callable[[Iterator[Any]], Iterator[Any]]

_PATIENCE = 60.0  # seconds that a failed rank waits for its team, where nobody says how long
_NAP = 0.001
_current: Team | None = None


def item_comm() -> Intracomm:
    """The communicator of the ranks that compute this item together.

    For the items of a call with ``ranks_per_item=k``: all its ranks run the item, with the same
    values, and may call anything collective on it.  Elsewhere it is this rank alone.

    Examples
    --------
    >>> from mpicomp import item_comm, plist
    >>> plist((item_comm().allreduce(x) / item_comm().size for x in range(3)), ranks_per_item=4)
    [0.0, 1.0, 2.0]
    """
    comm: Intracomm = itself() if _current is None or _current.comm is None else _current.comm
    return comm


def in_teams(world: World, call: Call, make: Callable[[World, Call], Any]) -> Any:
    """The call, each item by a team.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    call : Call
    make : callable
        Makes an ordinary call on the ranks that lead.
    """
    global _current
    asked, problem, value = call.options, None, None
    root = asked.root or 0
    team = _current = team_of(world, asked.ranks_per_item, root)
    work = call.comprehension
    if work.make is iter:  # of a map: its function runs in the source
        work = over_items(work)
    try:
        if team.heads is not None:
            value = _lead(team, call, work, make)
        elif team.world is not None:
            _follow(team, work.make, asked.patience)
        if team.heads is not None and team.heads.interrupted:
            team.heads.interrupted, world.interrupted = False, True
    except BaseException as exc:
        problem = exc
    finally:
        _current = None
    close(world, problem)
    if asked.root is None:
        return together(world, lambda: broadcast_object(world, value, root))
    return value


def _lead(
    team: Team, call: Call, work: Comprehension, make: Callable[[World, Call], Any]
) -> Any:
    assert team.world is not None, "a leader has a team"
    assert team.heads is not None, "it meets the other leaders"
    options, led = copy(call.options), copy(work)
    options.ranks_per_item, options.root = 1, 0
    led.make, led.listed = partial(_led, team, work.make, options.patience), None
    try:
        return make(team.heads, call._replace(comprehension=led, options=options))
    finally:
        broadcast_object(team.world, None, 0)


def _led(
    team: Team, make: Step, patience: float | None, items: Iterator[Any]
) -> Iterator[Any]:
    assert team.world is not None, "a leader has a team"
    for item in items:
        broadcast_object(team.world, (item,), 0)
        yield from _run(team.world, make, item, patience)


def _follow(team: Team, make: Step, patience: float | None) -> None:
    """Compute what the leader tells, until it says that this is all."""
    assert team.world is not None, "there is a leader to follow"
    while True:
        try:
            told = broadcast_object(team.world, None, 0)
        except NothingSent:  # the leader has the error
            continue
        if told is None:
            return
        with suppress(BaseException):  # the leader raises it
            _run(team.world, make, told[0], patience)


def _run(world: World, make: Step, item: Any, patience: float | None) -> list[Any]:
    """All values of one item, or the error of the first rank of the team that has one.

    Collective: every rank of the team calls.
    """
    values: list[Any] = []
    problem: BaseException | None = None
    try:
        values = list(make(iter([item])))
    except BaseException as exc:
        problem = exc
    headers = unpack(_met(world, problem, patience))
    failed = [rank for rank, header in enumerate(headers) if header.failed]
    if not failed:
        return values
    if failed[0] == 0:
        raise problem or NothingSent
    where = f"  on rank {failed[0]} of the {world.size} that compute the item together"
    mine = None if problem is None else Failure(problem, 0, (f"{where}, {world.host}",))
    failure: Failure = broadcast_object(world, mine, failed[0])
    raise failure.exception()


def _met(world: World, problem: BaseException | None, patience: float | None) -> bytearray:
    """Wait for the team at the end of an item; everyone's header.

    Others may wait for a rank that has failed inside the item, in a collective call that it will
    not make.  Nothing can call them back from there: the job is ended.
    """
    world.offer(Header(CLOSE, failed=problem is not None).pack())
    if problem is not None:
        seconds = patience or _PATIENCE
        until = time.monotonic() + seconds
        while not world.complete():
            if time.monotonic() > until:
                _give_up(world, problem, seconds)
            time.sleep(_NAP)
    return world.headers()


def _give_up(world: World, problem: BaseException, seconds: float) -> None:
    traceback.print_exception(problem)
    print(
        f"mpicomp: an item failed so on rank {world.rank} of the {world.size} that compute it "
        f"together, and the others have not come to its end for {seconds:g} s: it seems that they "
        "wait for this rank in a collective call of item_comm(). The job is ended; let all ranks "
        "of an item raise, or none",
        file=sys.stderr,
    )
    guard.abort()
