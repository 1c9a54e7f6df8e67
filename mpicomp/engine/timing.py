"""What a recorded call leaves behind: who computed what, when.

Rules of this file: nothing is done, and nothing sent, unless the call is recorded.  Clocks are
set by the exchange that ends the computing: all ranks leave it at nearly the same moment.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from mpicomp.engine.call import CLOSE, Header
from mpicomp.record.recording import recording
from mpicomp.record.timeline import Timeline
from mpicomp.wire.threads import threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.wire.world import World


def keep(
    world: World,
    call: Call,
    n: int,
    began: float,
    met: float,
    headers: list[Header] | None,
    choice: str = "",
) -> None:
    """Add the call's timeline to the record of its root.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    call : Call
    n : int
        Items.
    began, met : float
        On this rank's clock: the start of the call, and the exchange that ended the computing.
    headers : list of Header or None
        Of that exchange; None when serial.
    choice : str
        What was chosen in computing, and why.
    """
    if call.events is None:
        return
    known = call.comprehension.source.n  # by the end, that of a stream is known as well
    dispatch, reason = call.way(known) if headers is not None else ("serial", "one rank")
    root = call.options.root or 0
    paths = [_path(rank == root, header) for rank, header in enumerate(headers or [None])]
    _add(world, call, n, began, met, dispatch, f"{reason}; {choice}" if choice else reason, paths)


def keep_flow(world: World, call: Call, n: int, began: float) -> None:
    """The same for an iterator's, whose values have come while the ranks computed.

    Collective: every rank of the world calls.
    """
    if call.events is None:
        return
    world.exchange(Header(CLOSE).pack())
    asked = call.options.dispatch is not None
    reason = call.way(None)[1] if asked else "the values come out while the ranks work"
    root = call.options.root or 0
    paths = ["memory" if rank == root else "messages" for rank in range(world.size)]
    _add(world, call, n, began, perf_counter(), "master", reason, paths)


def _add(
    world: World,
    call: Call,
    n: int,
    began: float,
    met: float,
    dispatch: str,
    reason: str,
    paths: list[str],
) -> None:
    mine = [(*items, begin - met, end - met) for *items, begin, end in call.events or ()]
    told: list[Any] | None = [(world.host, mine)]
    if len(paths) > 1 and world.comm is not None:
        told = world.comm.gather((world.host, mine), call.options.root or 0)
    record = recording()
    if told is None or record is None:
        return
    events = [
        (rank, start, stop, step, met - began + begin, met - began + end)
        for rank, (_, rows) in enumerate(told)
        for start, stop, step, begin, end in rows
    ]
    record.add(
        Timeline(
            verb=call.verb,
            schedule=str(call.options.schedule),
            dispatch=dispatch,
            reason=reason,
            n=n,
            hosts=[host for host, _ in told],
            paths=paths,
            began=began,
            ended=perf_counter(),
            events=events,
            threads=threads().why,
        )
    )


def _path(stays: bool, header: Header | None) -> str:
    if stays or header is None:
        return "memory"
    return f"message of {header.c} bytes" if header.b else "nothing to send"
