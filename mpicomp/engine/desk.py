"""The rank that hands out batches and takes in what comes of them.

Rules of this file: who gets what is the `Flow`'s decision; here are the letters.  What a letter
holds is the caller's business.  Whoever calls from several threads holds a lock meanwhile.
Every rank is sent one END and answers one BYE, whatever happened: nothing is left under way.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from mpicomp.engine.hand import BACK, BYE, DONE, END, FAILED, HELLO, SOME, TAKE, UNFIT
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpicomp.plan.cutting import Grant
    from mpicomp.plan.flow import Flow
    from mpicomp.wire.mail import Mail


class Load(NamedTuple):
    """What goes out with a grant: items up to *stop*; *ends*: the next can never go out."""

    stop: int
    words: Sequence[int]
    blobs: Sequence[Any]
    ends: bool = False


class Owner(Protocol):
    """The other side of the desk: whose work it is."""

    def load(self, grant: Grant, rank: int) -> Load:
        """The items of a grant for *rank*; as many as are to go in one letter."""

    def keep(self, grant: Grant) -> None:
        """A grant for the rank at the desk itself."""

    def unload(self, run: range, words: Sequence[int], blobs: Sequence[Any], rank: int) -> None:
        """Values of some items have come."""

    def fail(self, item: int, blobs: Sequence[Any]) -> None:
        """An item has failed."""

    def unfit(self, rank: int, blobs: Sequence[Any]) -> None:
        """A rank cannot work; the failure says why."""

    def learn(self, items: int, seconds: float) -> None:
        """So many items took so long."""


class Desk:
    """Hands out, and takes in.

    Parameters
    ----------
    mail : Mail
    flow : Flow
    owner : Owner
    rank, size : int
        Of the desk itself, and the ranks in all.
    workers : int, optional
        How many other ranks are given work: those that come first; by default all.
    lost : callable, optional
        Is told of a rank that is lost, where that is looked for; gives what its loss lets go out.

    Attributes
    ----------
    hired : set of int
        Ranks that have come, and work.
    others : list of int
        The other ranks, without those that are lost.
    """

    def __init__(
        self,
        mail: Mail,
        flow: Flow,
        owner: Owner,
        rank: int,
        size: int,
        workers: int | None = None,
        lost: Callable[[int], list[tuple[int, Grant]]] | None = None,
    ) -> None:
        self._mail = mail
        self.flow = flow
        self._owner = owner
        self._rank = rank
        self.others = [other for other in range(size) if other != rank]
        self._workers = size if workers is None else workers
        self._lost = lost
        self.hired: set[int] = set()
        self._spare: list[int] = []
        self._gone: set[int] = set()

    def serve(self) -> bool:
        """Answer what has come; whether there was anything."""
        heard = False
        while (letter := self._mail.take()) is not None:
            heard = True
            self._hear(*letter)
        self._mail.sweep()
        if self._lost is not None:
            for rank in self._mail.lost():  # whose last letters have been heard
                heard = True
                self._bury(rank, self._lost)
        return heard

    def _bury(self, rank: int, lost: Callable[[int], list[tuple[int, Grant]]]) -> None:
        self.others.remove(rank)
        if rank in self._spare:
            self._spare.remove(rank)
        elif rank in self.hired:
            self.hired.remove(rank)
            if self._spare:
                self._hire(self._spare.pop(0))
        self.hand_out(lost(rank))

    def hand_out(self, served: list[tuple[int, Grant]]) -> None:
        """Give those who were hungry what the flow has for them."""
        for rank, grant in served:
            if rank == self._rank:
                self._owner.keep(grant)
            elif not self._send(rank, grant):
                self.give(rank)

    def give(self, rank: int) -> None:
        """Give *rank* as much as it may hold."""
        while (grant := self.flow.ready(rank)) is not None:
            self._send(rank, grant)

    def end(self, blobs: Sequence[Any] = ()) -> None:
        """Tell all ranks that the work is over (and why), and hear their farewells."""
        for rank in self.others:
            self._mail.post(rank, [END], blobs)
        while not self._gone.issuperset(self.others):
            if not self.serve():
                wait(self._mail.coming(), self._mail.heed)
        self._mail.settle()

    def _send(self, rank: int, grant: Grant) -> bool:
        """Send what a grant holds; False when that is nothing after all."""
        load = self._owner.load(grant, rank)
        something = load.stop > grant.start and bool(load.words)
        if load.ends:
            self.flow.stop(load.stop)
        if something:
            self._mail.post(rank, [TAKE, grant.number, grant.start, load.stop, *load.words],
                            load.blobs)  # fmt: skip
        if load.stop < grant.stop:
            self.hand_out(self.flow.returned(rank, grant.number, load.stop))
            self.flow.relieve(rank)
        if not something and load.stop > grant.start:
            self.flow.done(rank, grant.number, 0.0)
        return something

    def _hear(self, rank: int, words: list[int], blobs: list[Any]) -> None:
        if rank not in self.others:
            return  # it is lost: what it held is others' now
        kind, *rest = words
        if kind in (SOME, DONE):
            self._take_in(rank, kind, rest, blobs)
        elif kind == BACK:
            number, at = rest
            self.hand_out(self.flow.returned(rank, number, at))
        elif kind == FAILED:
            number, item = rest
            self.flow.failed(rank, number, item)
            self._owner.fail(item, blobs)
        elif kind == BYE:
            self._gone.add(rank)
        elif kind == UNFIT:
            self._owner.unfit(rank, blobs)
        elif kind == HELLO:
            if len(self.hired) == self._workers:
                self._spare.append(rank)
            else:
                self._hire(rank)
        if kind in (DONE, FAILED, BACK):
            self.give(rank)

    def _hire(self, rank: int) -> None:
        self.hired.add(rank)
        self.give(rank)

    def _take_in(self, rank: int, kind: int, rest: list[int], blobs: list[Any]) -> None:
        number, start, stop, computed, waited, *words = rest
        self._owner.unload(range(start, stop), words, blobs, rank)
        if kind == DONE:
            grant = self.flow.held(rank, number)
            self.flow.done(rank, number, computed / 1e9, waited / 1e9)
            self._owner.learn(grant.stop - grant.start, computed / 1e9)
