"""How the ranks come together for an executor, and part.

Rules of this file: as with the verbs, whoever is missing or came with something else is told of,
on every rank; what the root brings is sent to all.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import raise_from
from mpicomp.engine.call import BEGIN, Header, disagree, unpack
from mpicomp.engine.hand import Hand
from mpicomp.engine.run import Hold, install_guard
from mpicomp.fronts.parcel import packed, unpacked
from mpicomp.fronts.worker import Tasks, failure_of
from mpicomp.plan.comprehension import digest_of
from mpicomp.plan.failure import Failure
from mpicomp.wire.mail import Mail
from mpicomp.wire.transport import broadcast
from mpicomp.wire.world import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.wire.world import World

Start = tuple["Callable[..., object] | None", tuple[Any, ...]]


def meet(world: World, name: str, root: int, start: Start) -> tuple[Hold, list[Any]]:
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

    Returns
    -------
    hold : Hold
        To be left when it is over.
    blobs : list
        The root's *start*.
    """
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
        header = Header(BEGIN, failure is not None, digest_of(text))
        headers = unpack(world.exchange(header.pack()))
        watched_by(None)  # from now on the ranks wait for tasks, however long
        if any(told._replace(failed=0) != header._replace(failed=0) for told in headers):
            disagree(world, headers, text)
        if headers[root].failed:
            raise_from(world, root, failure)
        return hold, broadcast(world, blobs, root)
    except BaseException:
        hold.__exit__()
        raise


def serve(world: World, name: str, root: int) -> None:
    """Work for the executor on *root*, until it is shut down.

    Collective: every rank of the world but *root* calls, which calls `meet`.
    """
    hold, blobs = meet(world, name, root, (None, ()))
    try:
        Hand(Mail(world, root), Tasks(world)).serve(lambda: _prepared(world, blobs))
    finally:
        hold.__exit__()


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
