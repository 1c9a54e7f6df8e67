"""Values brought together by key: combined on each rank, dealt out by key, combined, collected.

Rules of this file: what is dealt out has been computed by every rank without an error, or nothing
is; a rank that cannot send or combine its part goes on to the end, and says so there.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import place
from mpicomp.engine.call import MEET, Header, unpack
from mpicomp.engine.collect import Collector
from mpicomp.engine.compute import Caught
from mpicomp.plan.keyed import KeyFailure, Table, by_key
from mpicomp.wire.shuffle import shuffle
from mpicomp.wire.transport import NothingSent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpicomp.engine.call import Call
    from mpicomp.engine.computing import Computed
    from mpicomp.plan.keyed import Counts
    from mpicomp.wire.world import World


class Keyed(Collector):
    """A dict of what the values of each key give together.

    Parameters
    ----------
    way : Counts, Groups or Folds
    build : callable
        An iterable of pairs, or a dict -> the result.
    sort : bool
        Keys in increasing order, instead of that of their first appearance.
    """

    contiguous = True
    meets = True
    can_stay = True

    def __init__(
        self, way: Counts, build: Callable[[Any], Any] = dict, sort: bool = False
    ) -> None:
        self.way = way
        self.build = build
        self.sort = sort
        self.by_leaf = way.by_leaf
        self.table = Table(way)
        self._settled: list[Any] | None = None

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        self.table.take(piece.start, piece.stop, values)

    def fresh(self) -> Keyed:
        return Keyed(self.way, self.build, self.sort)

    def kept(self) -> Any:
        return list(self.table.entries.values())

    def absorb(self, part: Any) -> None:
        self.table.join(part)

    def meet(self, world: World) -> None:
        """Deal the keys out to the ranks, and take in those that are this rank's.

        Collective: every rank of the world calls.
        """
        mine, self.table = self.table, Table(self.way)
        parts: list[list[Any]] = []

        def make(rank: int) -> list[Any]:
            if not parts:
                parts.extend(_dealt(mine, world.size))
                mine.entries.clear()  # what has been sent is not held any more
            part, parts[rank] = parts[rank], []
            return part

        shuffle(world, make, self.table.join)
        self._settled = self.table.settled()

    def _entries(self) -> list[Any]:
        if self._settled is None:  # this rank is alone
            try:
                _dealt(self.table, 1)  # the same keys are refused for any number of ranks
                self._settled = self.table.settled()
            except KeyFailure as failure:
                failure.exception.add_note(_note(failure))
                raise failure.exception from failure.exception.__cause__
        return self._settled

    def export(self) -> Any:
        return [list(column) for column in zip(*self._entries(), strict=True)]

    def stayed(self) -> tuple[Any, list[Any]]:
        firsts, keys, values = self.export() or ([], [], [])
        return [*zip(keys, values, strict=True)], firsts

    def finish(self, exports: list[Any], n: int) -> Any:
        if len(exports) == 1:
            _, keys, values = exports[0] or ([], [], [])
            found = dict(zip(keys, values, strict=True))
        else:
            entries = [entry for export in exports for entry in zip(*export, strict=True)]
            entries.sort(key=_first)
            found = {key: value for _, key, value in entries}
        return self.build(by_key(found) if self.sort else found)


def _first(entry: Any) -> Any:
    return entry[0]


def _dealt(table: Table, p: int) -> list[list[Any]]:
    """The entries of each rank."""
    from mpicomp.plan.bucket import bucket_of  # late: what it needs is not needed otherwise

    parts: list[list[Any]] = [[] for _ in range(p)]
    for entry in table.entries.values():
        try:
            parts[bucket_of(entry[1], p)].append(entry)
        except BaseException as exc:
            raise KeyFailure(entry[0][0], entry[1], exc) from exc
    return parts


def meet(world: World, call: Call, done: Computed) -> Computed:
    """Bring the values of each key together on one rank, unless the call has failed.

    Collective: every rank of the world calls.
    """
    collector = call.collector
    assert isinstance(collector, Keyed), "nothing else has keys"
    mine = place(done.caught, True) or place(done.caught, False)
    if any(header.failed for header in unpack(world.exchange(Header(MEET, mine).pack()))):
        return done
    try:
        collector.meet(world)
    except NothingSent:
        return done
    except KeyFailure as failure:
        return done._replace(caught=_caught(world, failure))
    except BaseException as exc:
        note = f"  while values were brought together by key, on rank {world.rank}, {world.host}"
        return done._replace(caught=Caught(0, exc, (note,)))
    return done


def _caught(world: World, failure: KeyFailure) -> Caught:
    where = f"  on rank {world.rank}, {world.host}"
    return Caught(failure.item, failure.exception, (_note(failure), where))


def _note(failure: KeyFailure) -> str:
    return f"  with the key {failure.key!r:.100}, first seen in item {failure.item} or soon after"
