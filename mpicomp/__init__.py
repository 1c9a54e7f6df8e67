"""mpicomp: a list comprehension on every core of a cluster.

    from mpicomp import plist
    squares = plist(x * x for x in range(1000))

Start the file with ``python``, ``mpiexec`` or ``srun``: rank 0 gets what the serial
comprehension gives.  Importing this package starts no MPI.
"""

from mpicomp._version import version as __version__
from mpicomp.common import SharedCounter, counter, share
from mpicomp.engine.distributed import Distributed
from mpicomp.engine.state import state
from mpicomp.engine.teams import item_comm
from mpicomp.errors import (
    BatchError,
    CollectiveMismatch,
    ComprehensionError,
    ConcurrentCallError,
    JournalError,
    JournalWarning,
    LaunchError,
    MpicompError,
    OptionError,
    PatienceError,
    RankLostWarning,
    RemoteError,
    ScheduleError,
    SideEffectError,
    SideEffectWarning,
    Stopped,
    TransportError,
)
from mpicomp.fronts.joblib import register_joblib
from mpicomp.fronts.pool import Pool
from mpicomp.iterating import piter
from mpicomp.journal.journal import Journal
from mpicomp.loop import Outcome, pfor
from mpicomp.mapreduce import pcount, pgroup, preduce_by_key
from mpicomp.options import options
from mpicomp.parts import Part, gather, scatter
from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic
from mpicomp.plan.product import product
from mpicomp.plan.seeded import seeded
from mpicomp.record.recording import Record, record
from mpicomp.record.simulate import simulate
from mpicomp.reductions import pall, pany, pmax, pmin, preduce, psum
from mpicomp.verbs import parray, pdict, plist, pmap, pset
from mpicomp.wire import guard as _guard
from mpicomp.wire import started as _started
from mpicomp.wire.world import World, world

if _started.launched():
    _guard.watch()

__all__ = [
    "BatchError",
    "Block",
    "BlockCyclic",
    "CollectiveMismatch",
    "ComprehensionError",
    "ConcurrentCallError",
    "Cyclic",
    "Distributed",
    "Journal",
    "JournalError",
    "JournalWarning",
    "LaunchError",
    "MpicompError",
    "OptionError",
    "Outcome",
    "Part",
    "PatienceError",
    "Pool",
    "RankLostWarning",
    "Record",
    "RemoteError",
    "ScheduleError",
    "SharedCounter",
    "SideEffectError",
    "SideEffectWarning",
    "Stopped",
    "TransportError",
    "World",
    "__version__",
    "counter",
    "gather",
    "item_comm",
    "options",
    "pall",
    "pany",
    "parray",
    "pcount",
    "pdict",
    "pfor",
    "pgroup",
    "piter",
    "plist",
    "pmap",
    "pmax",
    "pmin",
    "preduce",
    "preduce_by_key",
    "product",
    "pset",
    "psum",
    "record",
    "register_joblib",
    "scatter",
    "seeded",
    "share",
    "simulate",
    "state",
    "world",
]
