"""How the ranks come together for an executor, and part.

Rules of this file: as with the verbs, whoever is missing or came with something else is told of,
on every rank; what the root brings is sent to all.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import raise_from
from mpicomp.engine.call import BEGIN, STAND_BY, Header, disagree, unpack
from mpicomp.engine.hand import Hand
from mpicomp.engine.run import Hold, install_guard
from mpicomp.errors import OptionError
from mpicomp.fronts.parcel import packed, unpacked
from mpicomp.fronts.worker import Tasks, failure_of
from mpicomp.plan.comprehension import digest_of
from mpicomp.plan.failure import Failure
from mpicomp.wire.mail import Mail
from mpicomp.wire.transport import broadcast
from mpicomp.wire.waiting import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.wire.world import World

Start = tuple["Callable[..., object] | None", tuple[Any, ...]]


def meet(
    world: World, name: str, root: int, start: Start, standing: bool = False
) -> tuple[Hold, list[Any]] | None:
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
    None
        The root has reached the end of its program; or
    hold : Hold
        To be left when it is over.
    blobs : list
        The root's *start*.
    """
    if world.watch is not None:
        raise OptionError(
            f"the tasks of a rank that is lost are lost with it, so there is no {name} where lost "
            "ranks are survived (--fault-tolerant); write plist(f(x) for x in xs)"
        )
    hold = Hold(name, f"an {name} is open, whose ranks serve it: leave its with-block first, or "
                "shut it down")  # fmt: skip
    hold.__enter__()
    try:
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
        headers = unpack(world.exchange(mine.pack()))
        watched_by(None)  # from now on the ranks wait for tasks, however long
        if standing and {told.phase for told in headers} == {STAND_BY.phase}:
            hold.__exit__()
            world.close()  # as the root does, at the end of its program
            return None
        if any(told._replace(failed=0) not in (due, STAND_BY) for told in headers):
            disagree(world, headers, "serve()" if standing else text)
        if headers[root].failed:
            raise_from(world, root, failure)
        return hold, broadcast(world, blobs, root)
    except BaseException:
        hold.__exit__()
        raise


def serve(world: World, name: str, root: int, standing: bool = False) -> bool:
    """Work for the executor on *root*, until it is shut down; False: there was none any more.

    Collective: every rank of the world but *root* calls, which calls `meet`.
    """
    met = meet(world, name, root, (None, ()), standing)
    if met is None:
        return False
    hold, blobs = met
    try:
        Hand(Mail(world, root), Tasks(world)).serve(lambda: _prepared(world, blobs))
    finally:
        hold.__exit__()
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
