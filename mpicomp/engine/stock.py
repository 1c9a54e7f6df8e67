"""What goes over the desk of an iterator: items out, values in.

Rules of this file: no message; whoever calls holds the lock of the desk.
"""

from __future__ import annotations

import pickle
from sys import maxsize
from time import perf_counter
from typing import Any

from mpicomp.engine.desk import Load
from mpicomp.engine.draining import source_note
from mpicomp.engine.pieces import NOTHING
from mpicomp.engine.shelf import Shelf
from mpicomp.plan.failure import Failure
from mpicomp.plan.flow import PACE
from mpicomp.wire.forms import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpicomp.engine.call import Call
    from mpicomp.engine.shelf import Lot
    from mpicomp.plan.cutting import Grant
    from mpicomp.plan.flow import Flow, Outlet
    from mpicomp.wire.world import World

_LARGE = 1 << 22  # bytes of items in one letter, unless one item has more
_WIDTH = 4 * PACE  # seconds of work for each rank in the window


class Stock:
    """The `mpicomp.engine.desk.Owner` of an iterator's work.

    Parameters
    ----------
    world : World
    call : Call
    flow : Flow
    outlet : Outlet

    Attributes
    ----------
    shelf : Shelf
        The items.
    mine : list of (Grant, float)
        What is kept for the root itself, and since when.
    failures : dict of int to (Failure, exception or None)
        What has failed, by item; with the exception where it is the root's own.
    splits : bool
        Whether a batch may be given back in part.
    """

    def __init__(self, world: World, call: Call, flow: Flow, outlet: Outlet) -> None:
        self._world, self._flow, self._outlet = world, flow, outlet
        self._one_to_one = call.comprehension.one_to_one
        self.splits = call.comprehension.source.one_to_one
        self.shelf = Shelf(call.comprehension.source)
        self.mine: list[tuple[Grant, float]] = []
        self.failures: dict[int, tuple[Failure, BaseException | None]] = {}
        self._most = maxsize

    def lot(self, grant: Grant) -> Lot:
        """The items of a grant, up to one that cannot be had."""
        lot = self.shelf.hold(grant.start, grant.stop)
        if lot.problem is not None:
            self.source_failed(grant.start + lot.n, lot.problem)
        return lot

    def put(self, run: range, values: list[Any]) -> None:
        """Values of some items are there."""
        self._outlet.put(run, values)
        self.shelf.drop(run)

    def failed(self, item: int, exc: BaseException, notes: tuple[str, ...]) -> None:
        """An item has failed on the root."""
        self.failures.setdefault(item, (Failure(exc, item, notes), exc))
        self._outlet.fail(item)

    def source_failed(self, item: int, exc: BaseException) -> None:
        """The source has failed in the place of *item*."""
        self.failed(item, exc, (source_note(self._world),))

    # what the desk asks

    def keep(self, grant: Grant) -> None:
        self.mine.append((grant, perf_counter()))

    def load(self, grant: Grant, rank: int) -> Load:
        stop = min(grant.stop, grant.start + self._most)
        while True:
            lot = self.lot(grant._replace(stop=stop))
            kind, sent = self.shelf.travelling(lot)
            words = [kind, NOTHING, self._one_to_one, self.splits]
            if sent is None:
                return Load(stop, words, ())
            try:
                payload = encode(sent, plain=not isinstance(sent, list))
            except BaseException as exc:
                if stop - grant.start > 1:  # it is one of the first half, or will be met later
                    stop = grant.start + (stop - grant.start) // 2
                    continue
                note = f"  while item {grant.start} was sent to another rank"
                self.failed(grant.start, exc, (note,))
                return Load(grant.start, (), (), ends=True)
            if payload.nbytes <= _LARGE or stop - grant.start == 1:
                words[1] = payload.form
                return Load(grant.start + lot.n, words, payload.blobs, lot.problem is not None)
            stop = grant.start + (stop - grant.start) // 2
            self._most = stop - grant.start

    def unload(self, run: range, words: Sequence[int], blobs: Sequence[Any], rank: int) -> None:
        (form,) = words
        try:
            values = decode(form, blobs) if form != NOTHING else []
        except BaseException as exc:
            note = f"  in values of items {run.start} to {run.stop - 1}, received from rank {rank}"
            self.failed(run.start, exc, (note,))
            self._flow.stop(run.start)
            return
        self.put(run, values)

    def fail(self, item: int, blobs: Sequence[Any]) -> None:
        self.failures.setdefault(item, (pickle.loads(blobs[0]), None))
        self._outlet.fail(item)

    def unfit(self, rank: int, blobs: Sequence[Any]) -> None:
        raise pickle.loads(blobs[0]).exception()

    def learn(self, items: int, seconds: float) -> None:
        self._outlet.widen(self._world.size * _WIDTH * items / max(seconds, 1e-9))
