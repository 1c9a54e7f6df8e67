"""``reissue=True``: chunks that several ranks compute, of which the first counts.

Rules of this file: the values of a chunk stay apart until the call ends, since another rank may
turn out to have been first; a rank is told so by a message (``DROP``), for which a thread listens
while it computes, and which interrupts the item at work.

    master -> worker    DROP for each chunk that another has done; END says how many there were
"""

from __future__ import annotations

import threading
import time
from array import array

from mpicomp.engine import limit
from mpicomp.engine.compute import Caught, compute
from mpicomp.engine.talk import DROP
from mpicomp.wire.library import mpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.engine.collect import Collector
    from mpicomp.engine.master import Master
    from mpicomp.engine.worker import Worker
    from mpicomp.plan.source import Source
    from mpicomp.wire.world import World

_LISTEN = 0.003  # seconds between two looks of the thread
_AGAIN = 1.0  # seconds until an item that has swallowed an interruption gets the next
_NONE = -1


class Parts:
    """One rank's chunks, each with a collector of its own.

    Parameters
    ----------
    world : World
    call : Call
    source : Source
    """

    def __init__(self, world: World, call: Call, source: Source) -> None:
        self._world, self._call, self._source = world, call, source
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[Collector, Caught | None, range]] = {}
        self._dropped: set[int] = set()
        self._current = _NONE
        self._rang = 0.0

    def run(self, number: int, items: range) -> Caught | None:
        """Compute chunk *number*; what ended it early, unless nobody needs it any more."""
        with self._lock:
            if number in self._dropped:
                return None
            self._current = number
            limit.resume()
        part = self._call._replace(collector=self._call.collector.fresh(), meter=None)
        caught = compute(self._world, part, self._source, [items])
        with self._lock:
            self._current = _NONE
            if caught is not None and isinstance(caught.exception, KeyboardInterrupt):
                self._dropped.discard(number)  # told, whoever has been first
            if number in self._dropped:
                return None
            self._kept[number] = part.collector, caught, items
            if self._call.meter is not None:  # which counts whole chunks, and each of them once
                self._call.meter.add(len(items))
        return caught

    def drop(self, number: int) -> None:
        """Another rank has done chunk *number*.  Called by any thread."""
        with self._lock:
            self._dropped.add(number)
            kept = self._kept.pop(number, None)
            if kept is not None and self._call.meter is not None:
                self._call.meter.take_back(len(kept[2]))
        self.remind()

    def remind(self) -> None:
        """Interrupt the chunk at work if nobody needs it; again if it goes on."""
        with self._lock:
            now = time.monotonic()
            if self._current in self._dropped and (
                not limit.is_abandoned() or now > self._rang + _AGAIN
            ):
                self._rang = now
                limit.abandon()

    def finish(self) -> Caught | None:
        """Give the call's collector what counts; the lowest item that ended a chunk early."""
        lowest: Caught | None = None
        for number in sorted(self._kept):
            collector, caught, items = self._kept[number]
            try:
                self._call.collector.absorb(collector.kept())
            except BaseException as exc:  # of the user's own code that combines values
                where = f"rank {self._world.rank}, {self._world.host}"
                caught = Caught(items.start, exc, (f"  when values were combined on {where}",))
            if caught is not None and (lowest is None or caught.item < lowest.item):
                lowest = caught
        return lowest


class Drops:
    """Hears, on a worker, which chunks nobody needs any more."""

    def __init__(self, world: World, master: int, parts: Parts) -> None:
        assert world.comm is not None, "a serial world has no master"
        self._comm = world.comm
        self._master = master
        self._parts = parts
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._number = array("q", [0])
        self._thread = threading.Thread(target=self._listen, name="mpicomp-drops", daemon=True)
        self._thread.start()
        self.heard = 0

    def _listen(self) -> None:
        while not self._over.wait(_LISTEN):
            self.hear()

    def hear(self) -> None:
        """Take in what has come."""
        with self._lock:
            while self._comm.Iprobe(self._master, DROP):
                self._comm.Recv([self._number, mpi().INT64_T], self._master, DROP)
                self.heard += 1
                self._parts.drop(self._number[0])
        self._parts.remind()

    def end(self, count: int) -> None:
        """Take in the rest, *count* in all."""
        while self.heard < count:
            self.hear()
        self._over.set()
        self._thread.join()


def compute_again(parts: Parts, hands: Worker | Master) -> Caught | None:
    """Compute all chunks that *hands* gets; Ctrl-C between two of them."""
    try:
        for run in hands.runs():
            hands.outcome = parts.run(hands.number, run)
    except KeyboardInterrupt as exc:
        return Caught(0, exc)
    return None


def lead_again(master: Master, parts: Parts) -> Caught | None:
    """The master's own part of such a call, and handing out the rest."""
    master.drop = parts.drop
    with limit.listening():
        interrupted = compute_again(parts, master)
        master.finish(interrupted)
    return interrupted or parts.finish()


def work_again(world: World, worker: Worker, master: int, parts: Parts) -> Caught | None:
    """A worker's part."""
    with limit.listening():
        drops = Drops(world, master, parts)
        interrupted = compute_again(parts, worker)
        worker.finish(interrupted)
        drops.end(worker.drops)
    return interrupted or worker.problem or parts.finish()
