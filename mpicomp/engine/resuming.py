"""Before a call with a journal computes: what was done already?

Rules of this file: every rank of the world calls, in the same order, whatever fails; what failed
on one is raised on all.  The root says which call it is; whoever holds chunks offers them, and
all choose alike which of them count.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import raise_from
from mpicomp.errors import JournalError, MpicompError
from mpicomp.plan.failure import Failure
from mpicomp.plan.fingerprint import fingerprint
from mpicomp.plan.gaps import apart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.engine.keeping import Log
    from mpicomp.plan.source import Source
    from mpicomp.wire.world import World


def resume(world: World, call: Call, source: Source, n: int | None, root: int) -> None:
    """Take in what a journal has of *call*; from then on the rest is missing.

    Collective: every rank of the world calls.

    Raises
    ------
    JournalError
        On every rank: it holds another comprehension, or cannot be used.
    """
    keeper = call.keeper
    if keeper is None or keeper.log is None:
        return
    log, comm = keeper.log, world.comm
    here = world.rank == root
    offers: list[Any] = []
    problem: BaseException | None = None
    try:
        if here and not log.claimed:
            _claim(log, call, source, n)
    except BaseException as exc:
        problem = _told(log, exc)
    if comm is not None:
        log.key, place, log.told = comm.bcast((log.key, log.journal.place, log.told), root)
        if log.key and not log.claimed:  # this rank may be the root one day
            log.journal.follow(log.key, place)
            log.claimed = True
    try:
        if problem is None and log.key and (here or not log.journal.store.shared):
            offers = log.chunks(call)
    except BaseException as exc:
        problem = _told(log, exc)
    mine = None if problem is not None else [list(spans) for spans, _ in offers]
    everyones = [mine] if comm is None else comm.allgather(mine)
    if None in everyones:
        _raise(world, everyones.index(None), problem)
    counts = apart(spans for offered in everyones for spans in offered or ())
    done = []
    at = 0
    for rank, offered in enumerate(everyones):
        for place, spans in enumerate(offered or ()):
            if counts[at]:
                done += spans
                if rank == world.rank:
                    keeper.take(call, *offers[place])
            at += 1
    keeper.miss(done, n)


def _claim(log: Log, call: Call, source: Source, n: int | None) -> None:
    """Find out, on the root, which call of the journal it is."""
    wanted = f"{call.verb}({call.detail})" if call.detail else call.verb
    if call.options.errors != "raise":
        wanted += f", errors={call.options.errors!r}"
    about = {
        "verb": call.verb,
        "where": call.comprehension.where,
        "source": f"{source!r:.200}",
        "n": n,
    }
    print_ = fingerprint(wanted, call.comprehension, source, call.also)
    log.begin(log.journal.claim(print_, about))


def _told(log: Log, exc: BaseException) -> BaseException:
    if isinstance(exc, MpicompError) or not isinstance(exc, Exception):
        return exc
    told = JournalError(f"the journal {log.journal.name} cannot be used: {exc!r}")
    told.__cause__ = exc
    return told


def _raise(world: World, rank: int, problem: BaseException | None) -> None:
    if world.comm is None:
        assert problem is not None, "a serial world has nobody else to blame"
        raise problem
    raise_from(world, rank, None if problem is None else Failure(problem, 0, ()))
