"""The thread behind an executor: it hands out tasks and sets futures.

Rules of this file: it alone sends and receives, after the ranks have met; futures are set, and so
callbacks called, without the lock.  What a lost rank held is computed by others, where MPI goes on
without it; a task that was with two ranks that were lost is taken for what they were lost by.

    submit ── queue ──> office ── Flow ──> the ranks, and a thread of the root's if it computes too
    Future <── set ───  office <── results ──┘
"""

from __future__ import annotations

import logging
import pickle
import threading
import warnings
import weakref
from collections import deque
from concurrent.futures import BrokenExecutor, Future
from typing import Any

from mpicomp.engine.desk import Desk, Load
from mpicomp.errors import RankLostWarning
from mpicomp.fronts.own import OwnTasks, Task
from mpicomp.fronts.parcel import Slots, packed, unpacked
from mpicomp.fronts.worker import BAD, CANCELLED
from mpicomp.plan.flow import Flow
from mpicomp.wire import ulfm
from mpicomp.wire.mail import Mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpicomp.engine.alone import Hold
    from mpicomp.plan.cutting import Grant
    from mpicomp.wire.world import World

_LARGE = 1 << 22  # bytes in one letter, unless one task has more
_SHORT, _LONG = 2e-5, 1e-3  # seconds between two looks, while there is work
_IDLE = 0.1  # and while there is none


class Office:
    """Tasks in, futures out.

    Parameters
    ----------
    world : World
    hold : Hold
        Keeps the ranks until it closes.
    owner : object
        The executor: when it is gone, nobody submits any more.
    workers : int or None
        How many other ranks are given work.
    prepare : callable or None
        What the root's own thread does first; None: there is no such thread.
    """

    def __init__(
        self,
        world: World,
        hold: Hold,
        owner: object,
        workers: int | None,
        prepare: Callable[[], object] | None,
    ) -> None:
        self.rank, self._hold, self._world = world.rank, hold, world
        self._owner = weakref.ref(owner, lambda _: self._dropped())
        self.flow = Flow(world.size)
        self.flow.spared = world.rank
        mail = Mail(world, world.rank, lossy=True)
        self._desk = Desk(mail, self.flow, self, world.rank, world.size, workers, self.lost)
        self._losses: list[str] = []
        self._slots = [Slots() for _ in range(world.size)]
        self.queue: deque[Task] = deque()
        self._tasks: dict[int, Task] = {}
        self._known = 0
        self._settled: deque[tuple[Task, Any, BaseException | None]] = deque()
        self.lock = threading.RLock()
        self.wake = threading.Event()
        self.closing = False
        self.cancelling = False
        self.broken: BaseException | None = None
        self.own = OwnTasks(self, prepare) if prepare else None
        self._thread = threading.Thread(target=self._run, name="mpicomp-executor")
        self._thread.start()

    def _dropped(self) -> None:
        """Nobody can submit any more."""
        self._hold.ends(self._thread)
        self.wake.set()

    def join(self) -> None:
        """Wait until all is done."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            try:
                self._serve()
            except BaseException as exc:
                self._break(exc)
            finally:
                self._part()
        except BaseException as exc:
            self._break(exc)
        finally:
            ulfm.settled(self._world)
            self._hold.__exit__()

    def _part(self) -> None:
        """Let everybody go."""
        with self.lock:
            self.flow.stop(0)
            if self.own is not None:
                self.own.over.set()
            self._desk.end()
        if self.own is not None:
            self.own.thread.join()
        self._publish()

    def _serve(self) -> None:
        nap = _SHORT
        while True:
            self.wake.clear()
            with self.lock:
                over = self._over
                heard = self._admit()
                heard = self._desk.serve() or heard
                if self.own is not None:
                    self.own.unburden()
            heard = self._publish() or heard
            if self.broken is not None:
                self._break(self.broken)
                return
            if over and not self._tasks and not self.queue:
                return
            if not heard:
                self.wake.wait(nap if self._tasks else _IDLE)
            nap = _SHORT if heard else min(_LONG, nap * 1.5)

    @property
    def _over(self) -> bool:
        """Whether nothing will be submitted any more."""
        return self.closing or self._owner() is None or not threading.main_thread().is_alive()

    def _admit(self) -> bool:
        """Let the flow know of what was submitted."""
        count = len(self.queue)
        if count:
            for _ in range(count):
                self._tasks[self._known] = self.queue.popleft()
                self._known += 1
            self._desk.hand_out(self.flow.extend(count))
        if self.cancelling and (self._desk.hired or self.own):  # as if the workers had been there
            self._cancel()
        return bool(count)

    def _cancel(self) -> None:
        self.cancelling = False
        for task in [*self._tasks.values(), *self.queue]:
            if not task.running:
                task.future.cancel()

    def _publish(self) -> bool:
        """Set the futures of what is done, and tell of losses."""
        while self._losses:
            warnings.warn_explicit(self._losses.pop(0), RankLostWarning, "mpicomp", 1)
        some = False
        while True:
            try:  # a thread that submits to a broken executor publishes too
                task, value, exc = self._settled.popleft()
            except IndexError:
                return some
            some = True
            if exc is None:
                task.future.set_result(value)
            else:
                task.future.set_exception(exc)

    def submit(self, task: Task) -> Future[Any]:
        """Take in a task; when nothing can be computed any more, its future knows at once."""
        self.queue.append(task)
        if not self.wake.is_set():
            self.wake.set()
        if self.broken is not None:  # perhaps since the caller has looked
            self._break(self.broken)
        return task.future

    def _break(self, cause: BaseException) -> None:
        """Nothing can be computed any more: every future learns why."""
        with self.lock:
            self.broken = self.broken or cause
            left = [*self._tasks.values(), *self.queue]
            self._tasks.clear()
            self.queue.clear()
            self.flow.stop(0)
        self._publish()
        for task in left:
            if task.start():
                task.future.set_exception(self.error())

    def error(self) -> BrokenExecutor:
        """What to raise where it is broken."""
        error = BrokenExecutor(
            f"the executor is broken, and no task of it can be computed any more: {self.broken!r}"
        )
        error.__cause__ = self.broken
        return error

    def settle(self, number: int, value: Any, exc: BaseException | None = None) -> None:
        """A task is done."""
        task = self._tasks.pop(number, None)
        if task is not None:
            self._settled.append((task, value, exc))

    def begin(self, number: int) -> Task | None:
        """A task is about to be computed; None when it was cancelled."""
        task = self._tasks.get(number)
        if task is not None and not task.start():
            del self._tasks[number]
            return None
        return task

    def inside(self) -> None:
        """From now on this thread runs tasks."""
        self._hold.inside()

    def take_back(self, number: int, at: int) -> None:
        """The root's own thread gives back tasks."""
        self._desk.hand_out(self.flow.returned(self.rank, number, at))

    # what the desk asks

    def load(self, grant: Grant, rank: int) -> Load:
        slots = self._slots[rank]
        functions: list[int] = []
        words: list[int] = []
        sent: list[Any] = []
        blobs: list[Any] = []
        size, some, number = 0, False, grant.start
        for number in grant.items:
            task = self.begin(number)
            if task is None:
                words += CANCELLED, 0
                continue
            try:
                parts = packed((task.args, task.kwargs), "the arguments of a task")
                slot, new = slots.find(task.function)
            except BaseException as exc:
                self.settle(number, None, exc)
                words += CANCELLED, 0
                continue
            some = True
            if new:
                function = task.function.blobs()
                functions += slot, len(function)
                sent += function
            words += slot, len(parts)
            blobs += parts
            size += sum(map(len, parts))
            if size > _LARGE or len(functions) >= 2 * Slots.COUNT:
                break
        if not some:
            return Load(number + 1, (), ())
        return Load(number + 1, [len(functions) // 2, *functions, *words], sent + blobs)

    def keep(self, grant: Grant) -> None:
        assert self.own is not None, "a root that computes nothing asks for nothing"
        self.own.keep(grant)

    def unload(self, run: range, words: Sequence[int], blobs: Sequence[Any], rank: int) -> None:
        at = 0
        for number, kind, count in zip(words[::3], words[1::3], words[2::3], strict=True):
            try:
                value = unpacked(blobs[at : at + count])
            except BaseException as exc:
                self.settle(number, None, exc)
            else:
                if kind == BAD:
                    self.settle(number, None, value.exception())
                else:
                    self.settle(number, value)
            at += count

    def fail(self, item: int, blobs: Sequence[Any]) -> None:
        raise AssertionError("what a task raises is its result")

    def unfit(self, rank: int, blobs: Sequence[Any]) -> None:
        self.cannot_begin(pickle.loads(blobs[0]).exception())

    def cannot_begin(self, exc: BaseException) -> None:
        """A rank's initializer has failed."""
        # said as the standard library says it
        logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=exc)
        self.give_up(exc)

    def lost(self, rank: int) -> list[tuple[int, Grant]]:
        """A rank is gone: others get what it held, or nobody can go on."""
        world = self._world
        who = f"rank {world.origin[rank] if world.origin else rank} ({world.processes[rank]})"
        if world.watch is None:
            world.lost = (
                f"{who} has ended while it served an executor, and MPI cannot go on without it: "
                "the job ends with this program, with exit code 1"
            )
            self.give_up(BrokenExecutor(world.lost))
            return []
        held = self._held_by(rank)
        served = self.flow.lost(rank)
        others = len(self._desk.others)
        fate = f"are computed by the others, of which there are {others}"
        if not others:
            fate = "are not computed again, as no other rank is left"
        if not others and self.own is None:
            self.give_up(BrokenExecutor(f"{who} was lost, and no rank is left to work"))
        elif not others:  # what other ranks were lost with before waits as well
            why = f"{who}, the last that it could be given to, was lost"
            self._condemn(self.flow.waiting_alone(), why)
        self._losses.append(
            f"{who} was lost while it served an executor; {len(held)} tasks that it held {fate}"
        )
        return served

    def _held_by(self, rank: int) -> list[int]:
        """Tasks that a lost rank held, without those that were now lost for the second time."""
        held: list[int] = []
        again: list[int] = []
        for grant in self.flow.holding(rank):
            for number in grant.items:
                if (task := self._tasks.get(number)) is not None:
                    task.lost += 1
                    guilty = task.lost > 1 and self.flow.alone(grant.number)
                    (again if guilty else held).append(number)
        self._condemn(again, "two ranks were lost while they computed it")
        return held

    def _condemn(self, numbers: list[int], why: str) -> None:
        for number in numbers:
            self.settle(number, None, BrokenExecutor(f"the task is not computed again: {why}"))

    def give_up(self, exc: BaseException) -> None:
        """A rank cannot work: none does."""
        self.broken = self.broken or exc
        self.wake.set()

    def learn(self, items: int, seconds: float) -> None:
        pass  # the flow learns by itself
