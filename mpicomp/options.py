"""What every verb accepts, the same words everywhere, and their defaults.

An option that is left out of a call is as the innermost `options` says.
"""

from __future__ import annotations

import os
from contextvars import ContextVar, Token
from functools import cache
from math import inf

from mpicomp import checks
from mpicomp.errors import OptionError
from mpicomp.plan.own import OwnPlan
from mpicomp.plan.schedule import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from os import PathLike
    from typing import Any, TypedDict, Unpack

    from mpi4py.MPI import Intracomm
    from numpy.typing import ArrayLike

    from mpicomp.journal.journal import Journal
    from mpicomp.journal.stores import Store
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.schedule import Schedule

    class Common(TypedDict, total=False):
        """What every verb accepts."""

        comm: Intracomm | None
        root: int | str | None
        setup: Callable[[], Any] | None
        ranks_per_item: int
        schedule: str | Schedule | PlanLike
        errors: str
        dispatch: str | None
        effects: str
        retries: int
        timeout: float | None
        cost: Callable[[Any], float] | ArrayLike | None
        patience: float | None
        progress: bool
        journal: str | PathLike[str] | Store | Journal | None
        reissue: bool
        check: str | None
        deadline: float | datetime | None


AUTO, WHOLE, SPREAD = "auto", "static", "static,16"
"""The schedule of a verb for which nothing is said: as measured; one run for each rank; for those
that stop early, all ranks near the front of the serial order."""


class options:  # reads as a verb: with options(...)
    """Set defaults for the calls inside a ``with`` block (of this thread or task).

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        The ranks that take part; None is ``COMM_WORLD``.
    root : int, None or "stay", optional
        The rank that gets the value; None: every rank does; ``"stay"``: nobody, each rank keeps
        what it has computed, as a `Distributed`.
    schedule : str, optional
        ``"static"``, ``"static,b"``, ``"dynamic,b"``, ``"guided"``, ``"weighted,weights=2:1"``, …:
        see docs/schedules.md.
        Or a plan of your own: an object with ``n``, ``p``, ``nchunks`` and ``span(k)``.
        None or ``"runtime"``: what the environment variable ``MPICOMP_SCHEDULE`` says at the
        first call, else ``"auto"`` (for verbs that stop early ``"static,16"``, for batched
        functions and `scatter` ``"static"``).
    errors : {"raise", "return"}, optional
        What becomes of an item that raises.
    dispatch : {"counter", "master", "master-only"}, optional
        Who hands out the chunks of a schedule that is not static: nobody, or the root, who computes
        as well, or does not.  None: nobody, except for streams and for schedules that adapt to
        measured times.
    effects : {"warn", "raise", "ignore"}, optional
        What becomes of a side effect that is found in the code before anything runs: a
        `SideEffectWarning` on the root, a `SideEffectError` on all ranks, or nothing.
    retries : int, optional
        How often an item that raises an `Exception` is tried again, by itself, on its rank.
    timeout : float, optional, seconds
        What an item may take (each attempt of it); one that takes longer raises `TimeoutError`.
        See docs/stragglers.md for what can be interrupted.
    cost : callable or array_like of float, shape (n,), optional
        What items cost, in any unit: a function of an item, or a number for each, such as
        ``rec.costs()`` of the last run.  The root's counts.  Then the dearest items come first;
        with ``schedule="static"`` each rank gets a contiguous share of about the same cost.
    patience : float, optional, seconds
        How long ranks wait for one that does not come, before they say which and where it was last
        seen, with a `PatienceError` that ends the job.  None: what the environment variable
        ``MPICOMP_PATIENCE`` says, else for ever.
    progress : bool, optional
        Whether to show on the root, while the ranks compute, how far they are: a bar on a
        terminal, else a line now and then; ``pip install "mpicomp[progress]"``.
    setup : callable, optional
        Called without arguments, once on each rank, before the first item that it computes; what it
        makes is `state` in the items.  Once for each function: the next call with it finds it made.
    ranks_per_item : int, default 1
        How many ranks compute an item together, with `item_comm` to speak to each other.  All run
        it; the values of the first count.
    journal : path, Journal or store, optional
        Where finished items are kept, so that the same line run again computes only what is
        missing, on any number of ranks: see docs/resume.md.
    reissue : bool, optional
        Near the end, ranks that are free compute again what others have not finished, and the
        first counts.  For items without side effects.
    check : {"shuffle"}, optional
        Run some items again, in another order and on another rank, and say what differs: a
        `SideEffectWarning` on the root, or with ``effects="raise"`` a `SideEffectError`.
    deadline : float or datetime, optional
        When to stop: so many seconds from the beginning of the call, or at that moment.  Then all
        ranks stop, and raise `Stopped`, which ends the program with exit code 85.

    Raises
    ------
    OptionError
        A value that no call could use, or a name that is no option.

    Examples
    --------
    >>> from mpicomp import options, plist
    >>> with options(errors="return"):
    ...     plist(1 // x for x in (1, 0))
    [1, ZeroDivisionError('integer division or modulo by zero')]
    """

    def __init__(self, **defaults: Unpack[Common]) -> None:
        Options(defaults)
        self._defaults = defaults
        self._tokens: list[Token[Mapping[str, Any]]] = []

    def __enter__(self) -> options:
        self._tokens.append(_current.set({**_current.get(), **self._defaults}))
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._tokens.pop())


class Options:
    """The options of one call, checked as far as one rank can."""

    __slots__ = (
        "careful",
        "check",
        "comm",
        "cost",
        "deadline",
        "dispatch",
        "effects",
        "errors",
        "journal",
        "patience",
        "plain",
        "progress",
        "ranks_per_item",
        "reissue",
        "retries",
        "root",
        "schedule",
        "setup",
        "stays",
        "timeout",
    )
    careful: bool  # each item is computed by itself
    check: str | None
    comm: Intracomm | None
    cost: Any
    deadline: float | None  # in seconds since 1970
    dispatch: str | None
    effects: str
    errors: str
    journal: Journal | None
    patience: float | None
    plain: bool  # nothing is asked for but a root, a schedule and how to tell of side effects
    progress: bool
    reissue: bool
    retries: int
    root: int | None
    schedule: Schedule | OwnPlan
    ranks_per_item: int
    setup: Callable[[], Any] | None
    stays: bool  # the value; then the root is None
    timeout: float | None

    def __init__(self, given: Common, usual: str = AUTO) -> None:
        chosen: Mapping[str, Any] = {**_current.get(), **given} if given else _current.get()
        if len(chosen) > len(_DEFAULTS):
            unknown = next(name for name in chosen if name not in _DEFAULTS)
            raise OptionError(f"no option is called {unknown!r}; there are {', '.join(_DEFAULTS)}")
        for name, (_, checked) in _TABLE.items():
            setattr(self, name, checked(name, chosen[name]))
        if self.patience is None:
            self.patience = patience_of_job()
        self.careful = self.retries > 0 or self.timeout is not None or self.reissue
        self.careful = self.careful or self.check is not None
        if self.reissue and self.dispatch in ("counter", "master-only"):
            raise OptionError(
                "reissue=True needs a master who knows what is unfinished; write "
                'dispatch="master", or leave it out'
            )
        if self.reissue and self.journal is not None:
            raise OptionError(
                "journal= keeps what each rank has finished, and with reissue=True some items are "
                "finished by several; leave one of them out"
            )
        if self.reissue and self.deadline is not None:
            raise OptionError(
                "reissue=True interrupts ranks in a way of its own, got deadline=; leave one of "
                "them out"
            )
        if self.reissue:
            self.dispatch = "master"
        self.stays = isinstance(chosen["root"], str)
        if self.stays:
            self.root = None
        if self.ranks_per_item > 1:
            self._check_team()
        if self.stays and self.reissue:
            raise OptionError(
                'root="stay" leaves values with the rank that computed them, and with reissue=True '
                "that can be several; leave one of them out"
            )
        self.schedule = _schedule(chosen["schedule"], usual)
        if self.dispatch == "counter" and self.schedule.kind in ("static", "adaptive"):
            raise OptionError(
                f'dispatch="counter" is for schedules whose chunks are known and whose ranks are '
                f'not, got {self.schedule}; write schedule="dynamic,4" or dispatch="master"'
            )
        if self.cost is not None:
            self._check_cost()
        self.plain = self.patience is None and not self.stays
        self.plain &= all(chosen[name] is _DEFAULTS[name] for name in _MATTERS)

    def _check_cost(self) -> None:
        schedule = self.schedule
        dealt = schedule.kind == "static" and schedule.chunk is not None
        if dealt or schedule.kind == "adaptive" or isinstance(schedule, OwnPlan):
            raise OptionError(
                f"cost= says which items come first, and so does schedule={schedule}; write "
                'schedule="auto", or "static" for contiguous shares of equal cost'
            )
        if self.dispatch in ("master", "master-only"):
            raise OptionError(
                'cost= has chunks claimed in an order of its own, and dispatch="master" hands '
                "them out in that of the items; leave one of them out"
            )

    def _check_team(self) -> None:
        for name, said in (("timeout", self.timeout is not None), ("reissue", self.reissue),
                           ('root="stay"', self.stays)):  # fmt: skip
            if said:
                raise OptionError(
                    f"an item of several ranks cannot be left by one of them, got {name} beside "
                    f"ranks_per_item={self.ranks_per_item}; leave one of them out"
                )

    @staticmethod
    def setup_of(given: Common) -> Any:
        """What a call's ranks make first, before anything else about it is looked at."""
        return given["setup"] if "setup" in given else _current.get()["setup"]

    @staticmethod
    def comm_of(given: Common) -> Intracomm | None:
        """The communicator of a call, before anything else about it is looked at."""
        comm: Intracomm | None = given["comm"] if "comm" in given else _current.get()["comm"]
        return comm


@cache
def unsaid(usual: str) -> Options:
    """The options of a call that says nothing, where nothing was said around it either.

    So the environment is read once, as OpenMP reads its own.
    """
    return Options({}, usual)


def chosen(given: Common, usual: str = AUTO) -> Options:
    """The options of a call, whose schedule is *usual* where nobody says another."""
    if not given and _current.get() is _DEFAULTS:
        return unsaid(usual)
    return Options(given, usual)


def _schedule(asked: Any, usual: str) -> Schedule | OwnPlan:
    """The schedule that is asked for, by the call or, where it says nothing, from outside."""
    if asked is None or asked == "runtime":
        asked = os.environ.get("MPICOMP_SCHEDULE") or usual
    return OwnPlan(asked) if hasattr(asked, "nchunks") else parse(asked)


@cache
def patience_of_job() -> float | None:
    """What the environment says for all calls."""
    said = os.environ.get("MPICOMP_PATIENCE")
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise OptionError(f"MPICOMP_PATIENCE must be seconds, more than 0, got {said!r}")
    return seconds


_TABLE: Mapping[str, tuple[Any, Callable[[str, Any], Any]]] = {
    "comm": (None, checks.as_given),
    "root": (0, checks.rank),
    "schedule": (None, checks.as_given),
    "errors": ("raise", checks.one_of("raise", "return")),
    "dispatch": (None, checks.one_of(None, "counter", "master", "master-only")),
    "effects": ("warn", checks.one_of("warn", "raise", "ignore")),
    "retries": (0, checks.whole_number),
    "setup": (None, checks.a_function),
    "ranks_per_item": (1, checks.team),
    "timeout": (None, checks.seconds),
    "cost": (None, checks.costs),
    "patience": (None, checks.seconds),
    "progress": (False, checks.true_or_false),
    "journal": (None, checks.journal),
    "reissue": (False, checks.true_or_false),
    "check": (None, checks.one_of(None, "shuffle")),
    "deadline": (None, checks.moment),
}
"""Each option: what it is where nobody says it, and what its value goes through."""
_DEFAULTS: Mapping[str, Any] = {name: default for name, (default, _) in _TABLE.items()}
_MATTERS = tuple(name for name in _DEFAULTS if name not in {"comm", "root", "schedule", "effects"})
_current: ContextVar[Mapping[str, Any]] = ContextVar("mpicomp.options", default=_DEFAULTS)
