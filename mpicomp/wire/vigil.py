"""``patience=``: a rank that waits too long finds out for whom, and says where it was last seen.

Rules of this file: nobody is asked but while this rank waits, and nothing is waited for; what to
say is decided in `mpicomp.plan.rollcall`.  What was said too late for a wait is taken in when this
or the next call is left, so that nothing piles up on the communicator.
"""

from __future__ import annotations

import time
from struct import Struct

from mpicomp.errors import PatienceError
from mpicomp.plan.rollcall import VERDICT, RollCall, Said
from mpicomp.wire.board import Board
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mpi4py import MPI

    from mpicomp.wire.world import World

_TAG = 11
_SAID = Struct("<qq")
_GRACE = 2.0  # seconds


def begin(world: World, call: str, patience: float | None) -> None:
    """A call begins; its waits are looked after if it has *patience*."""
    if patience is None:
        watched_by(world.watch)
        return
    if world.vigil is None:
        world.vigil = Vigil(world)
    world.vigil.begin(call, patience)
    watched_by(world.vigil)


def can_be_seen(world: World) -> bool:
    """Whether the ranks have met once (`Vigil.meet`)."""
    return world.vigil is not None and world.vigil.board is not None


class Vigil:
    """One call's patience, and what is known of the others.

    Parameters
    ----------
    world : World
    """

    def __init__(self, world: World) -> None:
        assert world.comm is not None, "a serial world waits for nobody"
        self._comm = world.comm
        self._world = world
        self._roll = RollCall(world.rank, world.size, 0.0, 0.0)
        self._sends: list[tuple[MPI.Request, Any]] = []
        self._call = ""
        self.board: Board | None = None

    def begin(self, call: str, patience: float) -> None:
        """A call begins."""
        self._call = call
        self._roll.patience, self._roll.grace = patience, _GRACE + patience / 10
        self.write(f"it called {call}")

    def meet(self) -> None:
        """Collective the first time: every rank of the world calls, when all are known to be there.

        From then on they can be seen.
        """
        if self.board is None:
            self.board = Board(self._world)
            self.write(f"it called {self._call}")

    def write(self, text: str) -> None:
        """Let the others see what this rank does."""
        if self.board is not None:
            self.board.write(text)

    def items(self, piece: range) -> None:
        """Let the others see at which items this rank is."""
        if self.board is not None:
            self.board.items(piece[0], piece[-1])

    def left(self) -> None:
        """A call is over, with patience or without."""
        self.write(f"it left {self._call}")
        self._world.lost = self._take_in() or self._world.lost

    def waits(self) -> None:
        """A wait begins."""
        self._roll.waits(time.monotonic())

    def look(self) -> None:
        """Between two looks of a wait.

        Raises
        ------
        PatienceError
            A rank is missing.
        """
        text = self._take_in()
        if not text:
            told = self._roll.look(time.monotonic())
            text = self._verdict() if self._roll.missing else ""
            self._say(told, text)
        if text:
            self._world.lost = text
            raise PatienceError(text)

    def _take_in(self) -> str:
        """Hear and answer what the others say; the verdict, if it is one."""
        status = mpi().Status()
        while self._comm.Iprobe(mpi().ANY_SOURCE, _TAG, status):
            message = bytearray(status.Get_count(mpi().BYTE))
            self._comm.Recv([message, mpi().BYTE], status.Get_source(), _TAG)
            said = Said(status.Get_source(), *_SAID.unpack_from(message))
            if said.kind == VERDICT:
                return message[_SAID.size :].decode()
            self._say(self._roll.hear(said), "")
        return ""

    def _verdict(self) -> str:
        roll = self._roll
        ranks = ", ".join(map(str, roll.missing))
        lines = [
            f"rank {ranks} of {roll.size} did not come to {self._call} within "
            f"patience={roll.patience:g} seconds, for which rank {roll.rank} waited"
        ]
        for rank in roll.missing[:8]:
            seen = "has made no call with patience= on this communicator before"
            lines.append("  " + (self.board.read(rank) if self.board else f"rank {rank} {seen}"))
        if len(roll.missing) > 8:
            lines.append(f"  and {len(roll.missing) - 8} more")
        lines.append("  the ranks cannot go on together from here; end the program")
        return "\n".join(lines)

    def _say(self, told: list[Said], text: str) -> None:
        self._sends = [sent for sent in self._sends if not sent[0].Test()]
        for said in told:
            message = _SAID.pack(said.kind, said.number) + text.encode()
            request = self._comm.Isend([message, mpi().BYTE], said.rank, _TAG)
            self._sends.append((request, message))
