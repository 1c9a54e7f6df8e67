"""A comprehension whose values come out while the ranks work: the engine of `piter`.

Rules of this file: the source is read by the thread that iterates, and by no other; a second
thread answers the ranks meanwhile.  Whatever ends the iterator, every rank is told.
"""

from __future__ import annotations

import pickle
import threading
from time import perf_counter
from typing import Any

from mpicomp.engine.batch import Batch
from mpicomp.engine.desk import Desk
from mpicomp.engine.hand import SLOW, Hand, Own
from mpicomp.engine.pieces import Pieces
from mpicomp.engine.stock import Stock
from mpicomp.engine.timing import keep_flow
from mpicomp.plan.failure import Failure, tell
from mpicomp.plan.flow import Flow, Outlet
from mpicomp.plan.gulp import Gulp
from mpicomp.wire.mail import Mail, Soon
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.engine.alone import Hold
    from mpicomp.engine.call import Call
    from mpicomp.plan.cutting import Cut
    from mpicomp.wire.world import World

_LISTEN = 0.003  # seconds between two looks of the second thread
_STRETCH = 0.001  # seconds for which the root works before it looks again


def work(world: World, call: Call, root: int) -> None:
    """Work for the iterator on *root*, until it is over.

    Raises
    ------
    BaseException
        The item's, that ended it.
    """
    began = perf_counter()
    _, _, blobs = Hand(Mail(world, root), Pieces(world, call)).serve()
    if blobs:
        raise raised_everywhere(world, pickle.loads(blobs[0]).exception())
    keep_flow(world, call, 0, began)


def raised_everywhere(world: World, exc: BaseException) -> BaseException:
    """Mark *exc* for the guard: every rank raises it."""
    exc.__mpicomp_world__ = world  # type: ignore[attr-defined]  # for the guard
    return exc


class Iterating:
    """The iterator on the root.

    Parameters
    ----------
    world : World
    call : Call
    cut : Cut or None
        Where batches end, if the user's schedule says so.
    ordered, window
        As in `mpicomp.plan.flow.Outlet`.
    hold : Hold
        Keeps the ranks until it is over.
    """

    def __init__(
        self,
        world: World,
        call: Call,
        cut: Cut | None,
        ordered: bool,
        window: int | None,
        hold: Hold,
    ) -> None:
        self._world, self._call, self._hold = world, call, hold
        self._flow = Flow(world.size, cut)
        least = cut.least if cut is not None else 1
        self._outlet = Outlet(ordered, world.size, window, least)
        self._stock = Stock(world, call, self._flow, self._outlet)
        self._mail = Mail(world, world.rank)
        self._desk = Desk(self._mail, self._flow, self._stock, world.rank, world.size)
        self._pieces = Pieces(world, call)
        self._own = Own(self._put)
        self._computes = call.options.dispatch != "master-only"
        self._began, self._spent = perf_counter(), 0.0
        self._problem: BaseException | None = None
        self._news = False  # the second thread has heard something
        self._left: Iterator[Any] = iter(())
        self._each = self._rest = 0  # items that a value, and the end of the piece, complete
        self._gulp = Gulp()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._closed = False
        self._listener = threading.Thread(target=self._listen, name="mpicomp-desk", daemon=True)
        self._listener.start()

    def __next__(self) -> Any:
        for value in self._left:
            self._outlet.gone += self._each
            return value
        if self._closed:
            raise StopIteration
        try:
            return self._await()
        except BaseException:
            self.close()
            raise

    def close(self, failure: Failure | None = None) -> None:
        """Stop the work: no further item begins; come back when those that have are finished."""
        if self._closed:
            return
        self._closed = True
        self._left = iter(())
        self._over.set()
        with self._lock:
            self._flow.stop(0)
            try:
                self._desk.end((pickle.dumps(failure),) if failure else ())
                if failure is None:
                    keep_flow(self._world, self._call, self._stock.shelf.known, self._began)
            finally:
                self._hold.__exit__()
        if threading.current_thread() is not self._listener:
            self._listener.join()

    def _await(self) -> Any:
        self._outlet.gone += self._rest
        self._rest = 0
        while True:
            with self._lock:
                self._news = False
                if self._problem is not None:
                    raise self._problem
                heard = self._desk.serve()
                piece = self._outlet.piece()
            if piece is not None and not piece[1]:  # items without a value
                self._outlet.gone += piece[0]
                continue
            if piece is None:
                self._check_end()
            if piece is None or self._gulp.several:
                heard = self._fill() or heard
            if piece is not None:
                return self._begin(*piece)
            if not self._work() and not heard:
                wait(Soon(self._something))

    def _something(self) -> bool:
        """Whether there is a reason to look again."""
        with self._lock:
            return self._news or bool(self._stock.mine) or self._mail.coming().Test()

    def _begin(self, count: int, values: list[Any]) -> Any:
        """Give out the first value of a piece, and get ready for the others."""
        self._each = int(count == len(values))
        self._rest = 0 if self._each else count
        self._left = iter(values)
        self._outlet.gone += self._each
        return next(self._left)

    def _check_end(self) -> None:
        """Raise what ends the iterator, if it has come to that."""
        if self._outlet.failed:
            failure, own = self._stock.failures[self._outlet.failed_at or 0]
            self.close(failure)
            if own is not None:
                tell(own, failure.notes)
            raise raised_everywhere(self._world, own or failure.exception())
        if self._flow.finished:
            raise StopIteration

    # the source

    def _fill(self) -> bool:
        """Read on in the source, as far as the window lets; not for long when somebody waits."""
        wanted = min(self._outlet.wanted(self._stock.shelf.known), self._flow.wanted())
        if not wanted:
            return False
        count = self._gulp.of(wanted, self._flow.hungry)
        began = perf_counter()
        self._hold.inside()
        try:
            found = self._stock.shelf.read(count)
        finally:
            self._hold.outside()
        self._gulp.took(perf_counter() - began)
        with self._lock:
            served = self._flow.extend(found)
            if found < count:
                served += self._flow.close()
                if self._stock.shelf.failure is not None:
                    self._stock.source_failed(self._stock.shelf.known, self._stock.shelf.failure)
            self._desk.hand_out(served)
        return True

    # the root's own work

    def _work(self) -> bool:
        """Compute for a while; False when there is nothing to compute here."""
        if not self._computes:
            return False
        with self._lock:
            if self._own.batch is None and not self._open():
                return False
        self._hold.inside()
        batch, events = self._own.batch, self._call.events
        assert batch is not None, "it was opened"
        told, began = batch.told, perf_counter()
        try:
            done = self._own.work(_STRETCH)
        except Exception as exc:
            self._own_failed(exc)
            return True
        finally:
            self._hold.outside()
        ended = perf_counter()
        self._spent += ended - began
        if events is not None and batch.told > told:
            events.append((told, batch.told, 1, began, ended))
        if done:
            with self._lock:
                self._flow.done(self._world.rank, self._number, self._spent)
                self._stock.learn(self._items, self._spent)
        return True

    def _open(self) -> bool:
        """Begin the next batch of the root's own."""
        if self._outlet.failed_at is not None and not self._stock.mine:
            return False
        if not self._stock.mine:
            grant = self._flow.ready(self._world.rank)
            if grant is None:
                return False
            self._stock.keep(grant)
        grant, _ = self._stock.mine.pop(0)
        lot = self._stock.lot(grant)
        stop = grant.start + lot.n
        comprehension = self._call.comprehension
        batch = Batch(grant.number, grant.start, stop, comprehension.one_to_one, self._stock.splits)
        kind = self._stock.shelf.travelling(lot)[0]
        self._own.open(batch, self._pieces.values(batch, lot.source, kind))
        self._number, self._items, self._spent = grant.number, max(1, lot.n), 0.0
        if lot.problem is not None:
            self._flow.stop(stop)
            if stop > grant.start:
                self._desk.hand_out(self._flow.returned(self._world.rank, grant.number, stop))
            else:
                self._own.batch = None
                self._flow.failed(self._world.rank, grant.number, stop)
                return False
        return True

    def _own_failed(self, exc: Exception) -> None:
        batch = self._own.batch
        assert batch is not None, "it was at work"
        item, notes = self._pieces.failed_at(batch)
        with self._lock:
            run, found = batch.take()
            self._put(range(run.start, item), found)
            self._own.batch = None
            self._flow.failed(self._world.rank, batch.number, item)
            self._stock.failed(item, exc, notes)

    def _put(self, run: range, values: list[Any]) -> None:
        with self._lock:
            self._stock.put(run, values)

    # while the root does something else

    def _listen(self) -> None:
        while not self._over.wait(_LISTEN):
            with self._lock:
                if self._closed:
                    return
                try:
                    self._news = self._desk.serve() or self._news
                    self._unburden()
                except BaseException as exc:
                    self._problem = exc  # raised by the next next()
                    self._news = True
                    return

    def _unburden(self) -> None:
        """Let others do what waits at the root for long."""
        rank, now = self._world.rank, perf_counter()
        batch = self._own.batch
        if batch is not None and now - batch.began > SLOW:
            at = batch.give_back()
            if at is not None:
                self._desk.hand_out(self._flow.returned(rank, batch.number, at))
        for grant, since in [*self._stock.mine]:
            if now - since > SLOW:
                self._stock.mine.remove((grant, since))
                self._desk.hand_out(self._flow.returned(rank, grant.number, grant.start))
