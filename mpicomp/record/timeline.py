"""What one call did, when and where: a value that is measured, simulated, stored and drawn.

Rules of this file: facts only; what follows from them is computed in `mpicomp.record.summary`.

In a file, timelines are numpy's ``.npz``: ``calls`` is a JSON text, a list with one object per
call that holds all but its events; ``events0``, ``events1``, … are their arrays of `EVENT`.
"""

from __future__ import annotations

from typing import Any

from mpicomp.errors import MpicompError
from mpicomp.plan.value import Frozen, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    Events = NDArray[np.void]
    Row = tuple[int, int, int, int, float, float]
    Path = str | PathLike[str]

EVENT = [
    ("rank", "<i4"),
    ("start", "<i8"),
    ("stop", "<i8"),
    ("step", "<i8"),
    ("begin", "<f8"),
    ("end", "<f8"),
]
"""Fields of an event: *rank* computed ``range(start, stop, step)`` from *begin* to *end*."""


class RecordError(MpicompError, ValueError):
    """Facts that contradict one another, or a file that is no record.

    Examples
    --------
    >>> from mpicomp.record.timeline import RecordError
    >>> issubclass(RecordError, ValueError)
    True
    """


class Timeline(Frozen):
    """One call: which rank computed which items from when to when.

    Parameters
    ----------
    verb : str
        ``"plist"`` and so on; ``"simulate"`` for what never ran.
    schedule : str
        Its text, as in ``schedule="guided,8"``.
    dispatch : {"static", "counter", "master", "serial"}
        Who decided who takes what.
    reason : str
        Why this dispatch, for people to read.
    n : int
        Number of items, below 2**63.
    hosts : sequence of str
        Where each rank ran; as many as there were ranks.
    paths : sequence of str
        How each rank's result travelled.
    began, ended : float
        Seconds on the root's clock: all of the call, with its agreement and collecting.
    events : iterable of tuple, or array
        One ``(rank, start, stop, step, begin, end)`` for each run of items, in any order; begin
        and end in seconds from the call's start.  Kept as an array of `EVENT` that cannot be
        written to.
    threads : str
        What was done about the threads of numerical libraries, for people to read.

    Raises
    ------
    RecordError
        Events of ranks that do not exist; hosts and paths of different numbers of ranks.

    Examples
    --------
    >>> call = Timeline(
    ...     "plist", "static", "static", "as asked for", n=10, hosts=["a", "b"],
    ...     paths=["memory", "message"], began=50.0, ended=50.75,
    ...     events=[(0, 0, 5, 1, 0.125, 0.25), (1, 5, 10, 1, 0.125, 0.5)])
    >>> call
    <Timeline: plist of 10 items, "static" (static) on 2 ranks, 2 runs in 500 ms>
    >>> call.ranks, call.seconds, call.makespan
    (2, 0.75, 0.5)
    >>> call.events["end"].tolist(), call.items.tolist()
    ([0.25, 0.5], [5, 5])
    """

    __slots__ = ("began", "dispatch", "ended", "events", "hosts", "n", "paths", "reason",
                 "schedule", "threads", "verb")  # fmt: skip
    __match_args__ = ("verb", "schedule", "dispatch", "reason", "n", "hosts", "paths", "began",
                      "ended", "events", "threads")  # fmt: skip
    verb: str
    schedule: str
    dispatch: str
    reason: str
    n: int
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    began: float
    ended: float
    events: Events
    threads: str

    def __init__(
        self,
        verb: str,
        schedule: str,
        dispatch: str,
        reason: str,
        n: int,
        hosts: Sequence[str],
        paths: Sequence[str],
        began: float,
        ended: float,
        events: Iterable[Row] | Events,
        threads: str = "",
    ) -> None:
        table = event_table(events)
        self._set(verb=verb, schedule=schedule, dispatch=dispatch, reason=reason)
        self._set(n=whole("n", n, 0), hosts=tuple(hosts), paths=tuple(paths))
        self._set(began=float(began), ended=float(ended), events=table, threads=threads)
        if len(self.hosts) != len(self.paths):
            raise RecordError(
                f"{len(self.hosts)} hosts and {len(self.paths)} paths were given; "
                "write one of each for each rank"
            )
        ranks = table["rank"]
        if table.size and not 0 <= ranks.min() <= ranks.max() < self.ranks:
            raise RecordError(
                f"there are events of ranks {ranks.min()} to {ranks.max()}, and {self.ranks} "
                "hosts; write one host for each rank"
            )

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return len(self.hosts)

    @property
    def seconds(self) -> float:
        """How long the whole call took."""
        return self.ended - self.began

    @property
    def makespan(self) -> float:
        """Seconds from the call's start until the last rank had computed its last item."""
        return float(self.events["end"].max()) if self.events.size else 0.0

    @property
    def items(self) -> NDArray[np.int64]:
        """Number of items of each event."""
        events = self.events
        counts: NDArray[np.int64] = -((events["start"] - events["stop"]) // events["step"])
        return counts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timeline):
            return NotImplemented
        return self._facts() == other._facts() and bool((self.events == other.events).all())

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        from mpicomp.record.units import counted, duration

        return (
            f'<Timeline: {self.verb} of {counted(self.n, "item")}, "{self.schedule}" '
            f"({self.dispatch}) on {counted(self.ranks, 'rank')}, "
            f"{counted(len(self.events), 'run')} in {duration(self.makespan)}>"
        )

    def _facts(self) -> tuple[Any, ...]:
        return (*(getattr(self, name) for name in FACTS), len(self.events))


FACTS = tuple(name for name in Timeline.__match_args__ if name != "events")
"""The fields of a timeline that a file keeps as text."""


def event_table(events: Iterable[Row] | Events) -> Events:
    """Events as an array of `EVENT` that cannot be written to.

    Examples
    --------
    >>> event_table([(1, 0, 10, 2, 0.5, 1.5)])["end"].tolist()
    [1.5]
    """
    import numpy as np

    if isinstance(events, np.ndarray):
        table = events.astype(EVENT)
    else:
        table = np.fromiter(events, np.dtype(EVENT))
    table.flags.writeable = False
    return table


def save(calls: Iterable[Timeline], path: Path) -> None:
    """Write timelines to one file, by custom ``*.npz``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> call = Timeline("psum", "static", "serial", "one rank", 3, ["a"], [""], 0.0, 1.0, [])
    >>> with TemporaryDirectory() as folder:
    ...     save([call, call], f"{folder}/run.npz")
    ...     load(f"{folder}/run.npz") == [call, call]
    True
    """
    import json

    import numpy as np

    calls = list(calls)
    facts = [{name: getattr(call, name) for name in FACTS} for call in calls]
    arrays: dict[str, Any] = {f"events{k}": call.events for k, call in enumerate(calls)}
    with open(path, "wb") as file:  # a name given to numpy would get a suffix
        np.savez_compressed(file, calls=np.array(json.dumps(facts)), **arrays)


def load(path: Path) -> list[Timeline]:
    """Read the timelines that `save` has written.

    Raises
    ------
    RecordError
        The file is something else.
    """
    import json
    from zipfile import BadZipFile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["calls"]))
            return [Timeline(**fact, events=file[f"events{k}"]) for k, fact in enumerate(facts)]
    except (EOFError, KeyError, TypeError, ValueError, BadZipFile) as exc:
        raise RecordError(
            f"{str(path)!r} is no record ({exc}); write rec.save(path) to make one"
        ) from exc
