"""A rank that serves an executor: its trade.

Rules of this file: whatever a task raises is its result; a rank that cannot begin says so.

    a batch     number of functions, (slot, blobs) for each; then for each task (slot, blobs),
                slot -1: it was cancelled
    values      (task, kind, blobs) for each
"""

from __future__ import annotations

import pickle
from typing import Any

from mpicomp.engine.batch import Batch
from mpicomp.fronts.parcel import Slots, packed, unpacked
from mpicomp.plan.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mpicomp.wire.world import World

GOOD, BAD = range(2)
CANCELLED = -1


def failure_of(exc: BaseException, world: World) -> list[Any]:
    """What a task has raised, as blobs."""
    return [pickle.dumps(Failure(exc, 0, (f"  in a task on rank {world.rank}, {world.host}",)))]


class Tasks:
    """What a rank does with a batch of tasks: a `Trade`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._functions: dict[int, tuple[Callable[..., Any] | None, BaseException | None]] = {}

    def open(self, words: Sequence[int], blobs: Sequence[Any]) -> tuple[Batch, Iterator[Any]]:
        number, start, stop, functions, *counts = words
        at = self._learn(counts[: 2 * functions], blobs)
        batch = Batch(number, start, stop, one_each=False)
        return batch, self._results(batch, counts[2 * functions :], blobs, at)

    def pass_by(self, words: Sequence[int], blobs: Sequence[Any]) -> None:
        self._learn(words[4 : 4 + 2 * words[3]], blobs)

    def _learn(self, counts: Sequence[int], blobs: Sequence[Any]) -> int:
        """Keep the functions of a letter; how many blobs they took."""
        at = 0
        for slot, count in zip(counts[::2], counts[1::2], strict=True):
            try:
                self._functions[slot] = unpacked(blobs[at : at + count]), None
            except BaseException as exc:
                self._functions[slot] = None, exc
            at += count
        for slot in [*self._functions][: -Slots.KEPT]:
            del self._functions[slot]
        return at

    def _results(
        self, batch: Batch, counts: Sequence[int], blobs: Sequence[Any], at: int
    ) -> Iterator[tuple[int, int, list[Any]]]:
        place = 0
        while batch.step():
            slot, count = counts[place : place + 2]
            if slot != CANCELLED:
                task = blobs[at : at + count]
                yield batch.start + place // 2, *self._result(slot, task)
                at += count
            place += 2

    def _result(self, slot: int, task: Sequence[Any]) -> tuple[int, list[Any]]:
        try:
            function, problem = self._functions[slot]
            if function is None:
                raise problem or AssertionError("a function was learnt")
            args, kwargs = unpacked(task)
            return GOOD, packed(function(*args, **kwargs), "the result of a task")
        except BaseException as exc:
            return BAD, failure_of(exc, self._world)

    def pack(self, found: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        words: list[int] = []
        blobs: list[Any] = []
        for task, kind, parts in found:
            words += task, kind, len(parts)
            blobs += parts
        return words, blobs

    def fail(self, batch: Batch, exc: BaseException) -> tuple[int, Sequence[Any]]:
        raise exc  # not of a task: this rank is at its end, and the guard tells of it

    def weight(self, value: Any) -> int:
        return sum(map(len, value[2]))
