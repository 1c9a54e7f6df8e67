"""`piter`: the values of a comprehension while the ranks work.

Rules of this file: what the iterator is on which rank; how it works is `engine.flowing`.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

from mpicomp.engine import limit
from mpicomp.engine.agree import Agreement, check_root
from mpicomp.engine.alone import Hold, nested
from mpicomp.engine.call import Call
from mpicomp.engine.collect import Listed
from mpicomp.engine.flowing import Iterating, work
from mpicomp.engine.pieces import one_by_one
from mpicomp.engine.run import install_guard
from mpicomp.engine.state import Setup
from mpicomp.engine.watch import watch
from mpicomp.errors import OptionError
from mpicomp.options import AUTO, Options, chosen
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.cutting import cut_of
from mpicomp.plan.own import OwnPlan
from mpicomp.plan.value import whole
from mpicomp.record.recording import under_way, wanted
from mpicomp.wire.waiting import watched_by
from mpicomp.wire.world import World, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from typing import Self, TypeVar, Unpack

    from mpicomp.options import Common
    from mpicomp.plan.cutting import Cut

    T = TypeVar("T")

_NOT_HERE = ("cost", "progress", "deadline")
_open: weakref.WeakSet[Flowing] = weakref.WeakSet()
_registered: list[bool] = []


def piter(
    gen: Iterable[T],
    /,
    *,
    ordered: bool = True,
    window: int | None = None,
    **options: Unpack[Common],
) -> Iterator[T]:
    """An iterator over the values of *gen*, which come while all ranks work.

    Collective: every rank of *comm* calls, and iterates.  On the root the iterator gives the
    values; on the others it gives none: its first ``next`` works until the root's is over.  So
    the loop is the same line on all ranks, and its body runs on the root alone.

    The source is read on the root by who iterates: lazily, once, in order, and never more than
    *window* items ahead; so it may be endless.  A ``break`` out of the loop, an exception in it,
    ``close()`` and dropping the iterator stop the work: the items at work are finished, and the
    other ranks leave their loops.  What an item raises, every rank raises: on the root in its
    place, behind the values before it, as the serial generator would.

    Parameters
    ----------
    gen : generator expression or map object
        Not yet started.
    ordered : bool, default True
        Values come in the serial order; else as they are done.
    window : int, optional
        Items that may have been read besides those whose values have been given out: what bounds
        memory.  By default as many as keep all ranks busy for some milliseconds.
    **options
        Of those of `mpicomp.options`: *comm*, *root* (a rank), *schedule* (without one, items go
        out in batches of a few milliseconds, as measured), *dispatch* (``"master-only"``: the
        root computes nothing), *setup*, *errors*, *effects*, *retries*, *timeout*, and *patience*
        for ranks that do not come to the call (once there, they wait for the loop's body).

    Returns
    -------
    iterator
        With ``close()``, and a context manager.  Alone, without MPI or in an item: *gen* itself.

    Raises
    ------
    ConcurrentCallError
        By another call while the iterator is open: the ranks work for it.

    Examples
    --------
    >>> from itertools import count
    >>> from mpicomp import piter
    >>> for square in piter(x * x for x in count()):
    ...     if square > 30:
    ...         break
    >>> square
    36
    """
    if nested():
        return _serially(World(), gen, ordered, window, options, recorded=False)
    ranks = world(Options.comm_of(options))
    if ranks.comm is None or ranks.size == 1:
        return _serially(ranks, gen, ordered, window, options, wanted())
    if ranks.watch is not None:
        raise OptionError(
            "the values that piter has given cannot be taken back, so there is no piter where "
            "lost ranks are survived (--fault-tolerant); write plist"
        )
    return Flowing(ranks, gen, ordered, window, options)


def _call(
    gen: object,
    ordered: object,
    window: int | None,
    options: Common,
    setup: Setup | None,
    recorded: bool,
) -> Call:
    asked = chosen(options, AUTO)
    apart = take_apart(gen, "piter")
    if not isinstance(ordered, bool):
        raise OptionError(f"ordered must be True or False, got {ordered!r}")
    if asked.root is None and not asked.stays:
        raise OptionError("piter gives values on one rank; write root=0, and send them on")
    if apart.source.spread is not None:
        raise OptionError("piter hands out the root's items, and these lie on all ranks; gather()")
    for name in _NOT_HERE:
        if not any(getattr(asked, name) is nothing for nothing in (None, False)):
            raise OptionError(f"piter has no {name}=; leave it out, or use plist")
    if asked.dispatch == "counter":
        raise OptionError('piter has a master, got dispatch="counter"; leave it out')
    if asked.check is not None:
        raise OptionError(
            f"piter gives values before it could check them, got check={asked.check!r}; "
            "try it with plist"
        )
    if asked.reissue:
        raise OptionError("piter hands out each chunk once, got reissue=True; leave it out")
    if asked.stays:
        raise OptionError('piter gives its values away, got root="stay"; write plist')
    if asked.ranks_per_item > 1:
        raise OptionError("piter computes an item on one rank, got ranks_per_item=; write plist")
    if asked.journal is not None:
        raise OptionError("piter gives its values away, got journal=; write plist, or leave it out")
    if isinstance(asked.schedule, OwnPlan):
        raise OptionError(
            f"piter does not know how many items there are, got the plan {asked.schedule}; "
            'write schedule="dynamic,4"'
        )
    if window is not None and whole("window", window, 1) < asked.schedule.least:
        raise OptionError(
            f"a window of {window} items cannot hold a chunk of schedule={asked.schedule}; "
            f"write window={asked.schedule.least}, or more"
        )
    detail = f"ordered={bool(ordered)}, window={window}"
    events: list[Any] | None = [] if recorded else None
    call = Call("piter", apart, Listed(keeps_errors=True), asked, detail, events)
    return call if setup is None else setup.before_items_of(call)


def _setup_of(options: Common) -> Setup | None:
    function = Options.setup_of(options)
    return None if function is None else Setup(function)


def _serially(
    ranks: World,
    gen: Iterable[T],
    ordered: bool,
    window: int | None,
    options: Common,
    recorded: bool,
) -> Iterator[T]:
    setup = _setup_of(options)
    call = _call(gen, ordered, window, options, setup, recorded)
    check_root(call.options.root, ranks)
    limit.check(call.options)
    watch(call, ranks.rank)
    plain = call.options.errors == "raise" and not call.options.careful
    if plain and setup is None and call.events is None:
        return iter(gen)
    values = one_by_one(ranks, call)
    if call.events is not None:
        values = _inside(under_way(), values)
    return values if setup is None else _inside(setup, values)


def _inside(around: AbstractContextManager[object], values: Iterator[T]) -> Iterator[T]:
    """*values*, computed inside *around*; what is done with them is outside."""
    nothing = object()
    while True:
        with around:
            value: Any = next(values, nothing)
        if value is nothing:
            return
        yield value


class Flowing(Iterator[Any]):
    """What `piter` gives on a rank of several."""

    def __init__(
        self, ranks: World, gen: object, ordered: bool, window: int | None, options: Common
    ) -> None:
        self._over = True  # until there is something to end
        setup, recorded = _setup_of(options), wanted()
        hold = Hold("piter", "a piter is under way, for which the other ranks work: end its loop "
                    "first, or close() it", setup)  # fmt: skip
        hold.__enter__()
        try:
            install_guard(ranks)
            build = partial(_call, gen, ordered, window, options, setup, recorded)
            agreed = Agreement(ranks, "piter", build)
            agreed.settle()
            watched_by(None)  # from now on the ranks wait for the loop's body, however long
        except BaseException:
            hold.__exit__()
            raise
        self._ranks, self._call, self._hold = ranks, agreed.call, hold
        self._around = setup or nullcontext()
        self._root = agreed.root
        self._values: Iterating | None = None
        self._over = False
        _open.add(self)
        if not _registered:
            _registered.append(True)
            atexit.register(_close_all)  # before the guard's, which was registered earlier
        if ranks.rank == self._root:
            cut = _cut(self._call.options, ranks.size)
            self._values = Iterating(ranks, self._call, cut, ordered, window, hold)
            hold.outside()

    def __next__(self) -> Any:
        if self._values is not None:
            return next(self._values)
        self.close()
        raise StopIteration

    def close(self) -> None:
        """End it.  On the root: stop the work; on the others: work until the root's is over."""
        if self._over:
            return
        self._over = True
        if self._values is not None:
            self._values.close()
            return
        try:
            with self._around:
                work(self._ranks, self._call, self._root)
        finally:
            self._hold.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _cut(options: Options, p: int) -> Cut | None:
    schedule = options.schedule
    assert not isinstance(schedule, OwnPlan), "it was refused"
    return None if schedule.kind == "auto" else cut_of(schedule, None, p)


def _close_all() -> None:
    """At the end of the program: no rank is left working for nobody."""
    for flowing in [*_open]:
        flowing.close()
