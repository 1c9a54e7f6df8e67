"""How the ranks come together for an executor, and part.

Rules of this file: as with the verbs, whoever is missing or came with something else is told of,
on every rank; what the root brings is sent to all.  Where lost ranks are survived, ranks that are
lost before they come are left out, and those that are lost later leave the world when it is over.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

from mpicomp.engine.agree import raise_from
from mpicomp.engine.alone import Hold
from mpicomp.engine.call import BEGIN, STAND_BY, Header, disagree, unpack
from mpicomp.engine.hand import Hand
from mpicomp.engine.run import install_guard
from mpicomp.fronts.parcel import packed, unpacked
from mpicomp.fronts.worker import Tasks, failure_of
from mpicomp.plan.comprehension import digest_of
from mpicomp.plan.failure import Failure
from mpicomp.wire import losses, ulfm
from mpicomp.wire.mail import Mail
from mpicomp.wire.transport import broadcast
from mpicomp.wire.waiting import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.wire.world import World

Start = tuple["Callable[..., object] | None", tuple[Any, ...]]


class Met(NamedTuple):
    """What comes of a meeting.

    Attributes
    ----------
    world : World
        Without those that were lost before they came.
    root : int
        Its rank there.
    hold : Hold
        To be left when it is over.
    blobs : list
        The root's *start*.
    """

    world: World
    root: int
    hold: Hold
    blobs: list[Any]


def meet(
    world: World, name: str, root: int, start: Start, standing: bool = False
) -> Met | None:
    """Come together for the executor on *root*.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    name : str
        Of what the ranks meet for.
    root : int
    start : (callable or None, tuple)
        Initializer and its arguments; the root's count.
    standing : bool
        This rank serves whatever comes, until the root has nothing more.

    Returns
    -------
    Met or None
        None: the root has reached the end of its program.

    Raises
    ------
    BrokenExecutor
        The root is lost.
    """
    hold = Hold(name, f"an {name} is open, whose ranks serve it: leave its with-block first, or "
                "shut it down")  # fmt: skip
    hold.__enter__()
    try:
        while True:
            problem, well, blobs = None, True, None
            try:
                blobs = _together(world, name, root, start, standing)
            except BaseException as exc:
                problem = exc
                well = hasattr(exc, "__mpicomp_world__") or not isinstance(exc, ulfm.losses())
            if world.watch is None or world.closed or ulfm.agreed(world, well):
                break
            world, root = _without_the_lost(world, root)
        if problem is not None:
            raise problem
    except BaseException:
        hold.__exit__()
        raise
    if blobs is None:
        hold.__exit__()
        world.close()  # as the root does, at the end of its program
        return None
    return Met(world, root, hold, blobs)


def _together(
    world: World, name: str, root: int, start: Start, standing: bool
) -> list[Any] | None:
    install_guard(world)
    failure, blobs = None, None
    if world.rank == root:
        try:
            blobs = packed(start, "the initializer")
        except BaseException as exc:
            failure = Failure(exc, 0, ())
    text = f"{name} with root={root}"
    due = Header(BEGIN, 0, digest_of(text))
    mine = STAND_BY if standing else due._replace(failed=int(failure is not None))
    watched_by(world.watch)
    headers = unpack(world.exchange(mine.pack()))
    watched_by(None)  # from now on the ranks wait for tasks, however long
    if standing and {told.phase for told in headers} == {STAND_BY.phase}:
        return None
    if any(told._replace(failed=0) not in (due, STAND_BY) for told in headers):
        disagree(world, headers, "serve()" if standing else text)
    if headers[root].failed:
        raise_from(world, root, failure)
    losses.meet(world)
    return broadcast(world, blobs, root)


def _without_the_lost(world: World, root: int) -> tuple[World, int]:
    began_as, heir = world.origin[root], ulfm.renewed(world)
    if began_as not in heir.origin:
        raise _orphaned(heir, f"rank {began_as}, which was to submit,", heir)
    return heir, heir.origin.index(began_as)


def _orphaned(world: World, who: str, agreed: World | None = None) -> BrokenExecutor:
    error = BrokenExecutor(
        f"{who} is lost, and with it the futures of all tasks: nobody asks for what other ranks "
        f"compute any more (told by rank {world.rank})"
    )
    if agreed is not None:
        error.__mpicomp_world__ = agreed  # type: ignore[attr-defined]  # for the guard
    return error


def serve(world: World, name: str, root: int, standing: bool = False) -> bool:
    """Work for the executor on *root*, until it is shut down; False: there was none any more.

    Collective: every rank of the world but *root* calls, which calls `meet`.

    Raises
    ------
    BrokenExecutor
        The root is lost.
    """
    met = meet(world, name, root, (None, ()), standing)
    if met is None:
        return False
    world = met.world
    try:
        mail = Mail(world, met.root, lossy=True)
        Hand(mail, Tasks(world)).serve(lambda: _prepared(world, met.blobs))
    except ulfm.Lost as exc:
        error = _orphaned(world, f"rank {met.root} ({world.processes[met.root]}), which submits,")
        if world.watch is None:
            world.lost = str(error)
        raise error from exc
    finally:
        met.hold.__exit__()
    ulfm.settled(world)
    return True


def start_with(blobs: list[Any]) -> None:
    """Call the initializer that *blobs* hold."""
    function, args = unpacked(blobs)
    if function is not None:
        function(*args)


def _prepared(world: World, blobs: list[Any]) -> list[Any] | None:
    try:
        start_with(blobs)
    except BaseException as exc:
        return failure_of(exc, world)
    return None
