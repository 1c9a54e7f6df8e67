"""Ranks that are lost, where MPI can go on without them: Open MPI under ``--with-ft ulfm``.

Rules of this file: a rank that sees a loss revokes the communicator, so that all see it; whether a
call has gone well is agreed on by those that are left (`agreed`); if it has not, the communicator
shrinks to them (`renewed`).  Found by running Open MPI 5.0:

- mpi4py offers ``Shrink`` and its kin on every MPI; that they work is told by the environment;
- a receive or a collective from the dead raises, a probe does not: so `Watch` looks between naps;
- ``MPI_Finalize`` after a loss hangs, and so does ``MPI_Abort``: ranks end without them;
- a rank that exits with another code than 0 is not noticed to be gone; one that is killed is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from array import array
from functools import cache
from typing import Any, cast

from mpicomp.errors import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from mpi4py import MPI

    from mpicomp.wire.world import World

_MARK = "OMPI_MCA_mpi_ft_enable"  # set by the launcher
_NAP = 0.0005  # seconds
_UNSEEN = 5.0  # seconds after which a process that is gone should be known to MPI
_LOOK = 1.0  # seconds between two looks for such processes


class Lost(Exception):
    """A rank of the communicator is gone, or somebody has said so."""


@cache
def active() -> bool:
    """Whether the ranks were started so that MPI goes on when one is lost."""
    if os.environ.get(_MARK) != "1":
        return False
    from mpi4py import MPI

    return len({MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING, MPI.ERR_REVOKED}) == 3


def prepare() -> None:
    """Before MPI is imported: it is not to finalize at the end."""
    if os.environ.get(_MARK) == "1" and "mpi4py.MPI" not in sys.modules:
        import mpi4py

        mpi4py.rc.finalize = False


def ends_by_itself() -> bool:
    """Whether this process may end as others do: MPI will not be finalized."""
    import mpi4py

    return not mpi4py.rc.finalize or os.environ.get("MPI4PY_RC_FINALIZE") == "0"


def losses() -> tuple[type[BaseException], ...]:
    """What may be raised when a rank is lost."""
    from mpi4py import MPI

    return Lost, MPI.Exception


@cache
def _guarded() -> type[Any]:
    from mpi4py import MPI

    class Guarded(MPI.Intracomm):
        """A communicator whose probe tells of a loss, too."""

        def Iprobe(self, *args: Any, **kwargs: Any) -> bool:
            found: bool = super().Iprobe(*args, **kwargs)
            if not found and broken(self):
                raise Lost
            return found

    return Guarded


def living(comm: MPI.Intracomm) -> MPI.Intracomm:
    """A new communicator of those ranks of *comm* that are alive, in their order.

    Collective: every rank of *comm* that is alive calls.
    """
    from mpi4py import MPI

    made = cast("MPI.Intracomm", _guarded()(comm.Shrink()))
    made.Set_errhandler(MPI.ERRORS_RETURN)
    return made


def broken(comm: MPI.Intracomm) -> bool:
    """Whether a rank of *comm* is known to be gone."""
    return comm.Is_revoked() or bool(comm.Get_failed().size)


def gone(world: World) -> set[int]:
    """The ranks of *world* that are known to be gone."""
    from mpi4py import MPI

    assert world.comm is not None, "a serial world loses nobody"
    failed = world.comm.Get_failed()
    if not failed.size:
        return set()
    whole = world.comm.Get_group()
    return {*MPI.Group.Translate_ranks(failed, range(failed.size), whole)}


def unguarded(comm: MPI.Intracomm) -> MPI.Intracomm:
    """The same communicator, whose probe tells of letters alone."""
    from mpi4py import MPI

    return MPI.Intracomm(comm)


def settled(world: World) -> World:
    """The world as it is at the end of work in which ranks may have been lost.

    Collective: every rank of *world* that is alive calls.
    """
    # not revoked before all are here: farewells are under way
    if world.watch is None or agreed(world, True, all_come=True):
        return world
    return renewed(world)


def places(part: MPI.Intracomm, whole: MPI.Intracomm) -> tuple[int, ...]:
    """The ranks in *whole* of all processes of *part*."""
    from mpi4py import MPI

    found = MPI.Group.Translate_ranks(part.Get_group(), range(part.size), whole.Get_group())
    return tuple(found)


def agreed(world: World, well: bool, all_come: bool = False) -> bool:
    """Whether all ranks are alive and say that all went well; every one gets the same answer.

    Collective: every rank of the world that is alive calls.  *all_come*: of itself, so that
    nobody's messages need be cut off.
    """
    comm = world.comm
    assert comm is not None, "nobody to agree with"
    from mpi4py import MPI

    well = well and not broken(comm)
    if not well and not all_come:
        comm.Revoke()  # the others may wait for a message
    answer = array("i", [well])
    try:
        request = comm.Iagree(answer)
        while not request.Test():
            if world.watch is not None:
                world.watch.count()
            time.sleep(_NAP)
    except MPI.Exception:  # somebody is gone
        return False
    return bool(answer[0])


class Watch:
    """Looks for losses while this rank waits.

    Attributes
    ----------
    mates : list of (host, process id)
        Of every rank; empty until they have been told.
    """

    def __init__(self, world: World) -> None:
        assert world.comm is not None, "a serial world loses nobody"
        self._world = world
        self._comm = world.comm
        self._next = time.monotonic() + _LOOK
        self._gone: dict[int, float] = {}
        self.mates: list[tuple[str, int]] = []

    def waits(self) -> None:
        """A wait begins."""

    def look(self) -> None:
        """Between two looks of a wait.

        Raises
        ------
        Lost
        """
        if broken(self._comm):
            raise Lost
        self.count()

    def count(self) -> None:
        """See whether all processes of this machine are there; end this rank if MPI misses none."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK
        for rank, (host, pid) in enumerate(self.mates):
            if host != self._world.host or _exists(pid):
                continue
            since = self._gone.setdefault(rank, now)
            if now - since > _UNSEEN and not self._comm.Get_failed().size:
                self._give_up(rank, pid)

    def _give_up(self, rank: int, pid: int) -> NoReturn:
        print(
            f"mpicomp: rank {self._world.origin[rank]} (process {pid}) has ended in a way that MPI "
            "does not notice, as by _exit(1) of a C library; the others would wait for it for "
            "ever, and end",
            file=sys.stderr,
        )
        fall()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def fall() -> NoReturn:
    """End this rank so that the others notice it."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(0.2)  # the launcher passes on what was printed
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not here")


def renewed(world: World) -> World:
    """The world of those that are left; from now on it is that of the user's communicator.

    Collective: every rank of *world* that is alive calls.
    """
    from mpicomp.wire.world import World

    assert world.comm is not None, "a serial world loses nobody"
    world.comm.Revoke()
    heir = World(living(world.comm))
    assert heir.comm is not None, "this rank is among them"
    heir.origin = tuple(world.origin[rank] for rank in places(heir.comm, world.comm))
    heir.began_with = world.began_with
    heir.watch = Watch(heir)
    world.heir, world.closed = heir, True
    return heir


def first(comm: MPI.Intracomm) -> World:
    """The world of all ranks.

    Collective: every rank of *comm* calls.

    Raises
    ------
    OptionError
        It is not all ranks.
    """
    from mpi4py import MPI

    from mpicomp.wire.world import World

    if MPI.Comm.Compare(comm, MPI.COMM_WORLD) not in (MPI.IDENT, MPI.CONGRUENT):
        raise OptionError(
            "with lost ranks survived (--fault-tolerant), calls are made by all ranks or by one: "
            "leave out comm=, or run without --fault-tolerant"
        )
    made = World(living(comm))
    assert made.comm is not None, "this rank is among them"
    made.origin = places(made.comm, comm)
    made.watch = Watch(made)
    return made
