"""From every rank's values to the result.

Rules of this file: sizes come with the exchange that ended the computing; the root's own values
stay where they are; nothing that the root does here can leave the others waiting.
"""

from __future__ import annotations

import pickle
from itertools import chain
from sys import maxsize
from typing import Any, NamedTuple

from mpicomp.engine.agree import close
from mpicomp.engine.call import END, Header
from mpicomp.engine.collect import Listed, Row
from mpicomp.wire.forms import PICKLED, Payload, decode, encode
from mpicomp.wire.transport import allgather_blobs, discard, gather_blobs, post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI

    from mpicomp.engine.call import Call
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

_ROWS = 16  # in a payload's form: its last blob says which items the values came from


def packed(call: Call, in_order: bool) -> Payload | None:
    """This rank's values, ready to travel; None when it has none."""
    collector = call.collector
    if not isinstance(collector, Listed):
        return encode(collector.export(), collector.has_exceptions)
    if not collector.values:
        return None
    payload = encode(collector.values, collector.has_exceptions)
    if in_order:
        return payload
    rows = pickle.dumps(list(chain.from_iterable(collector.rows)))
    return Payload(payload.form | _ROWS, [*payload.blobs, rows])


def _unpacked(call: Call, form: int, blobs: list[Any]) -> Any:
    if not isinstance(call.collector, Listed):
        return decode(form, blobs)
    if not form & _ROWS:
        return decode(form, blobs), None
    flat = iter(pickle.loads(blobs[-1]))
    rows = [Row(*fields) for fields in zip(flat, flat, flat, flat, strict=True)]
    return decode(form & ~_ROWS, blobs[:-1]), rows


def own(call: Call, in_order: bool) -> Any:
    """This rank's values, where they stay."""
    collector = call.collector
    if not isinstance(collector, Listed):
        return collector.export()
    return collector.values, None if in_order else collector.rows


class Sending(NamedTuple):
    """What this rank has for the root.

    Attributes
    ----------
    payload : Payload or None
    posted : Request or None
        It is on its way already.
    """

    payload: Payload | None = None
    posted: MPI.Request | None = None

    @property
    def blobs(self) -> list[Any]:
        return self.payload.blobs if self.payload is not None else []

    def header(self, failed: int, decided: int, cutoff: Cutoff, n: int) -> Header:
        """What all ranks have to know at the end of the computing."""
        form, count, nbytes = 0, 0, 0
        if self.payload is not None:
            form, count, nbytes = self.payload.form, len(self.payload.blobs), self.payload.nbytes
        told = cutoff.announced + 4 * cutoff.relays
        return Header(END, failed, form, count, nbytes, told, min(n, maxsize), decided)


def sending(world: World, payload: Payload | None, root: int | None) -> Sending:
    """Send *payload* on its way, if it is small and there is one rank that wants it."""
    if payload is None or root is None:
        return Sending(payload)
    return Sending(payload, post(world, payload.blobs, root))


def forget(world: World, headers: list[Header], mine: Sending, root: int | None) -> None:
    """Take back what was sent: the call has failed.

    Collective: every rank of the world calls, with the headers of the exchange before.
    """
    if root is not None:
        discard(world, mine.posted, [h.c for h in headers], [h.b for h in headers], root)


def collect(
    world: World, call: Call, headers: list[Header], mine: Sending, in_order: bool, n: int
) -> Any:
    """The result on the root (everywhere when the root is None), None elsewhere.

    Collective: every rank of the world calls, with the headers of the exchange before.
    """
    root = call.options.root
    totals, counts = [h.c for h in headers], [h.b for h in headers]
    parts: list[list[Any]] | None
    if root is None:
        parts = allgather_blobs(world, mine.blobs, totals, counts)
    else:
        parts = gather_blobs(world, mine.blobs, mine.posted, totals, counts, root)
    value, problem = None, None
    if parts is not None:
        try:
            exports = [
                own(call, in_order) if rank == world.rank else _unpacked(call, header.a, part)
                for rank, (header, part) in enumerate(zip(headers, parts, strict=True))
                if rank == world.rank or part
            ]
            value = call.collector.finish(exports, n)
        except BaseException as exc:
            problem = exc
    if may_fail(call, headers):
        close(world, problem)
    elif problem is not None:
        raise problem
    return value


def may_fail(call: Call, headers: list[Header]) -> bool:
    """Whether building the result runs code of the user's (every rank answers alike)."""
    if not isinstance(call.collector, Listed) or call.collector.build is not None:
        return True
    root = call.options.root
    return any(
        header.a & ~_ROWS == PICKLED and header.b
        for rank, header in enumerate(headers)
        if rank != root
    )
