"""A rank that works for a desk: takes batches, gives back values while they come.

Rules of this file: the trade (what a batch is made of, what values look like) is the caller's.
Between the first letter and the last a rank does nothing else.  A second thread looks at a
batch whose item takes long: it tells what is done, and gives back what waits behind that item.

    hand -> desk    HELLO; SOME values …, DONE or FAILED for each batch, BACK; BYE
    desk -> hand    TAKE a batch, …; END
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

from mpicomp.engine.batch import Batch
from mpicomp.wire.ulfm import Lost
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mpicomp.wire.mail import Mail

HELLO, SOME, DONE, FAILED, BACK, BYE, UNFIT = range(7)
TAKE, END = range(2)
SLOW = 0.02  # seconds after which an item is not waited for by those behind it
_TELL = 0.01  # seconds after which values are sent before their batch is done
_HEAVY = 1 << 20  # bytes likewise


class Trade(Protocol):
    """What a hand has to know of its work."""

    def open(self, words: Sequence[int], blobs: Sequence[Any]) -> tuple[Batch, Iterator[Any]]:
        """The batch that a letter holds, and the values of its items, computed as asked for."""

    def pass_by(self, words: Sequence[int], blobs: Sequence[Any]) -> None:
        """A batch is given back as it came: keep what else its letter holds."""

    def pack(self, found: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Values as words and blobs."""

    def fail(self, batch: Batch, exc: BaseException) -> tuple[int, Sequence[Any]]:
        """Which item has failed, and its failure as blobs."""

    def weight(self, value: Any) -> int:
        """Bytes of a value, where they are known; else 0."""


class Hand:
    """One rank at work.

    Parameters
    ----------
    mail : Mail
    trade : Trade
    """

    def __init__(self, mail: Mail, trade: Trade) -> None:
        self._mail = mail
        self._trade = trade
        self._lock = threading.RLock()  # of the mail
        self._batch: Batch | None = None
        self._inbox: list[tuple[int, list[int], list[Any]]] = []
        self._over = threading.Event()
        self._asked = perf_counter()

    def serve(
        self, prepare: Callable[[], Sequence[Any] | None] | None = None
    ) -> tuple[int, list[int], list[Any]]:
        """Work until the desk says END; that letter.  `Lost` where the desk is gone.

        *prepare* comes before the first batch; what it gives is told as the reason why this rank
        cannot work.
        """
        watcher = threading.Thread(target=self._watch, name="mpicomp-hand", daemon=True)
        watcher.start()
        try:
            problem = prepare() if prepare else None
            self._post(HELLO if problem is None else UNFIT, blobs=problem or ())
            while (letter := self._next())[0] != END:
                self._work(*letter)
        finally:
            self._over.set()
            watcher.join()
        self._post(BYE)
        return letter

    def _next(self) -> tuple[int, list[int], list[Any]]:
        while True:
            with self._lock:
                letter = self._inbox.pop(0) if self._inbox else self._mail.take()
            if letter is not None:
                return letter[1][0], letter[1], letter[2]
            self._mail.heed()
            wait(self._mail.coming(), self._mail.heed)

    def _work(self, _: int, words: list[int], blobs: list[Any]) -> None:
        began = perf_counter()
        waited = began - self._asked
        batch, values = self._trade.open(words[1:], blobs)
        self._batch = batch
        failed: tuple[int, Sequence[Any]] | None = None
        try:
            self._compute(batch, values)
        except Untellable as exc:
            failed = exc.item, exc.blobs
        except BaseException as exc:
            failed = self._trade.fail(batch, exc)
        with self._lock:
            self._batch = None
            if failed is None:
                batch.end()
                failed = self._tell(batch, DONE, perf_counter() - began, waited)
            if failed is not None:
                self._tell(batch, SOME)
                self._post(FAILED, batch.number, failed[0], blobs=failed[1])
        self._asked = perf_counter()

    def _compute(self, batch: Batch, values: Iterator[Any]) -> None:
        told, heavy = perf_counter(), 0
        weight, lock = self._trade.weight, batch.lock
        for value in values:
            with lock:
                batch.found.append(value)
            heavy += weight(value)
            if perf_counter() - told > _TELL or heavy > _HEAVY:
                with self._lock:
                    failed = self._tell(batch, SOME)
                if failed is not None:
                    raise Untellable(*failed)
                told, heavy = perf_counter(), 0

    def _tell(
        self, batch: Batch, kind: int, seconds: float = 0.0, waited: float = 0.0
    ) -> tuple[int, Sequence[Any]] | None:
        """Send the values found so far; what failed, where one of them cannot be sent."""
        run, found = batch.take()
        failed = None
        try:
            words, blobs = self._trade.pack(found)
        except BaseException as exc:
            run, words, blobs, failed = self._sendable(batch, run, found, exc)
            kind = SOME
        if kind == DONE or run or found:
            times = int(seconds * 1e9), int(waited * 1e9)
            self._post(kind, batch.number, run.start, run.stop, *times, *words, blobs=blobs)
        return failed

    def _sendable(
        self, batch: Batch, run: range, found: list[Any], exc: BaseException
    ) -> tuple[range, Sequence[int], Sequence[Any], tuple[int, Sequence[Any]]]:
        """What comes before the first value that cannot be packed, and what becomes of that."""
        good = 0
        for value in found:
            try:
                self._trade.pack([value])
            except BaseException:
                break
            good += 1
        item = run.start + good if batch.one_each else run.start
        batch.told = batch.at = item + 1
        words, blobs = self._trade.pack(found[:good])
        return range(run.start, item), words, blobs, (item, self._trade.fail(batch, exc)[1])

    def _post(self, kind: int, *words: int, blobs: Sequence[Any] = ()) -> None:
        with self._lock:
            self._mail.post(self._mail.master, [kind, *words], blobs)
            self._mail.settle()

    def _watch(self) -> None:
        while not self._over.wait(SLOW):
            with self._lock:
                batch = self._batch
                if batch is not None and perf_counter() - batch.began > SLOW:
                    with suppress(Lost):  # this rank finds out by itself
                        self._unburden(batch)

    def _unburden(self, batch: Batch) -> None:
        """Keep the item at work; tell what is done, give back everything else."""
        if batch.found:
            run, found = batch.take()
            try:
                words, blobs = self._trade.pack(found)
            except BaseException:  # told by the thread that computes, when it comes to it
                with batch.lock:
                    batch.found[:0] = found
                    batch.told = run.start
            else:
                self._post(SOME, batch.number, run.start, run.stop, 0, 0, *words, blobs=blobs)
        at = batch.give_back()
        if at is not None:
            self._post(BACK, batch.number, at)
        while (letter := self._mail.take()) is not None:
            if letter[1][0] == TAKE:
                self._trade.pass_by(letter[1][1:], letter[2])
                self._post(BACK, letter[1][1], letter[1][2])
            else:
                batch.give_back()
                self._inbox.append(letter)


class Untellable(Exception):
    """A value that cannot be packed: what to tell instead."""

    def __init__(self, item: int, blobs: Sequence[Any]) -> None:
        super().__init__(item)
        self.item, self.blobs = item, blobs


class Own:
    """The same for the rank at the desk: a batch that is worked at now and then.

    Parameters
    ----------
    put : callable
        Takes a run of items and their values.
    """

    def __init__(self, put: Callable[[range, list[Any]], None]) -> None:
        self._put = put
        self.batch: Batch | None = None
        self._values: Iterator[Any] = iter(())

    def open(self, batch: Batch, values: Iterator[Any]) -> None:
        """Begin a batch."""
        self.batch, self._values = batch, values

    def work(self, seconds: float) -> bool:
        """Work for about so long; True when the batch is done.  What an item raises is raised."""
        batch = self.batch
        assert batch is not None, "there is a batch to work at"
        until = perf_counter() + seconds
        for value in self._values:
            batch.found.append(value)
            if perf_counter() > until:
                self._put(*batch.take())
                return False
        batch.end()
        self._put(*batch.take())
        self.batch = None
        return True
