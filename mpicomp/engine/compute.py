"""Running the comprehension's own code on the runs of one share.

Rules of this file: no collective call; between two pieces, and only there, a rank listens
whether it may stop.  How large a piece is: `mpicomp.engine.pace`.
"""

from __future__ import annotations

from functools import partial
from operator import length_hint
from sys import maxsize
from time import perf_counter
from typing import Any, NamedTuple

from mpicomp.engine import limit
from mpicomp.engine.careful import attempt, attempts_note
from mpicomp.engine.collect import Decided
from mpicomp.engine.pace import PACE, pieces
from mpicomp.engine.reducing import Searched
from mpicomp.errors import RemoteTraceback
from mpicomp.plan.failure import notes_for, tell, traceback_text
from mpicomp.plan.source import Branch, Map, Source, Zip, length
from mpicomp.plan.streams import Seeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from mpicomp.engine.call import Call
    from mpicomp.engine.keeping import Keeper
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

    _Step = Callable[[World, Call, Source, range], "Caught | None"]


class Caught(NamedTuple):
    """An item that ended this rank's work: with an exception, or by deciding the call."""

    item: int
    exception: BaseException | None
    notes: tuple[str, ...] = ()


def compute(
    world: World,
    call: Call,
    source: Source,
    runs: Iterable[range],
    cutoff: Cutoff | None = None,
    glance: Callable[[], None] | None = None,
    ascending: bool = True,
) -> Caught | None:
    """Compute *runs* of *source* into the call's collector.

    Where the runs are not *ascending*, those behind an item that fails may lie before it: they
    are computed too, and the lowest that fails is what counts.

    Returns
    -------
    Caught or None
        What ended it early; None when all was computed, or need not be.
    """
    try:
        if world.interrupted:
            raise KeyboardInterrupt
        if call.options.timeout is not None or call.options.reissue:
            with limit.listening():
                return _pieces_of(world, call, source, runs, cutoff, glance, ascending)
        return _pieces_of(world, call, source, runs, cutoff, glance, ascending)
    except KeyboardInterrupt as exc:  # between two items; in one it is told with the item
        return _caught(Caught(0, exc), cutoff)


def _pieces_of(
    world: World,
    call: Call,
    source: Source,
    runs: Iterable[range],
    cutoff: Cutoff | None,
    glance: Callable[[], None] | None,
    ascending: bool,
) -> Caught | None:
    keeper, meter = call.keeper, call.meter
    listened = perf_counter()
    limit = maxsize
    step = _item_by_item if call.options.careful else _step
    lowest: Caught | None = None
    for run in runs:
        for piece in pieces(call, run, listening=cutoff is not None or meter is not None):
            if cutoff is not None and perf_counter() - listened > PACE / 2:
                if glance is not None:
                    glance()
                limit = min(limit, cutoff.poll())
                listened = perf_counter()
            if piece.start >= limit:
                if ascending:
                    return None
                break
            if world.vigil is not None:
                world.vigil.items(piece)
            began = perf_counter()
            if keeper is None:
                caught = step(world, call, source, piece)
            else:
                caught = _kept(world, call, keeper, source, piece, step)
            if call.events is not None:
                call.events.append((piece.start, piece.stop, piece.step, began, perf_counter()))
            if meter is not None:
                meter.add(length(piece))
            if caught is not None:
                if lowest is None:  # a rank announces once
                    _caught(caught, cutoff)
                if ascending or not _is_of_items(caught):
                    return caught
                if lowest is None or caught.item < lowest.item:
                    lowest, limit = caught, min(limit, caught.item)
                break
    return lowest


def straight(world: World, call: Call, source: Source, runs: Iterable[range]) -> Caught | None:
    """The same for a `Call.plain` of which no other rank hears before it is over."""
    if world.interrupted:
        return Caught(0, KeyboardInterrupt())
    for run in runs:
        for piece in pieces(call, run, listening=False):
            caught = _step(world, call, source, piece)
            if caught is not None:
                return caught
    return None


def _is_of_items(caught: Caught) -> bool:
    """Whether an item before it would have ended the serial comprehension; not so for Ctrl-C."""
    return caught.exception is None or isinstance(caught.exception, Exception)


def _caught(caught: Caught, cutoff: Cutoff | None) -> Caught:
    if cutoff is not None:
        cutoff.announce(caught.item)
    return caught


def _step(world: World, call: Call, source: Source, piece: range) -> Caught | None:
    """Take one piece; with ``errors="return"`` go on behind each item that fails."""
    collector = call.collector
    make = _maker(call)
    while piece:
        probe: object = None
        try:
            items, probe = source.cut(piece).open()
            collector.take(piece, make(items))
            return None
        except Decided:
            return Caught(piece[_place(piece, probe)], None)
        except BaseException as exc:
            place = _place(piece, probe)
            index = piece[place]
            notes = _notes(world, call, index, source)
            if call.options.errors == "raise" or not isinstance(exc, Exception):
                return Caught(index, exc, notes)
            assert collector.keeps_errors, "options were checked"
            lost = piece if call.comprehension.whole_runs else piece[place : place + 1]
            collector.put(lost, settled(exc, notes))
            piece = piece[place + len(lost) :]
    return None


def _item_by_item(world: World, call: Call, source: Source, piece: range) -> Caught | None:
    """The same, each item by itself: tried again and stopped as the options say."""
    collector = call.collector
    each = collector.by_leaf or isinstance(collector, Searched)
    done: list[Any] = []
    at = 0  # from here on the values are in *done*
    for place, item in _items_of(call, piece):
        found: list[Any] = []
        exc, times = attempt(call, source, item, found, partial(_about, world, call, source, item))
        if exc is not None:
            notes = _notes(world, call, item.start, source) + attempts_note(times)
            if call.options.errors == "raise" or not isinstance(exc, Exception):
                return Caught(item.start, exc, notes)
        elif call.sampler is not None:
            call.sampler.note(world, call, source, item, found)
        done += found
        stop = place + len(item)
        if exc is None and not each:
            continue
        caught = _take(world, call, source, piece[at:stop], done)
        if caught is not None:
            return caught
        done, at = [], stop
        if exc is not None:
            assert collector.keeps_errors, "options were checked"
            collector.put(item, settled(exc, notes))
    return _take(world, call, source, piece[at:], done) if at < len(piece) else None


def _items_of(call: Call, piece: range) -> Iterable[tuple[int, range]]:
    if call.comprehension.whole_runs:
        return ((0, piece),)
    return ((place, piece[place : place + 1]) for place in range(len(piece)))


def _take(
    world: World, call: Call, source: Source, piece: range, values: list[Any]
) -> Caught | None:
    """Give the collector what *piece* gave; what it raises is told with the last item."""
    try:
        call.collector.take(piece, iter(values))
    except Decided:
        return Caught(piece[-1], None)
    except BaseException as exc:
        return Caught(piece[-1], exc, _notes(world, call, piece[-1], source))
    return None


def _about(world: World, call: Call, source: Source, item: range) -> str:
    return "\n".join(_notes(world, call, item.start, source))


def _kept(
    world: World, call: Call, keeper: Keeper, source: Source, piece: range, step: _Step
) -> Caught | None:
    """Take one piece into a collector of its own; what an item that fails left there is dropped."""
    part = call._replace(collector=call.collector.fresh())
    caught = step(world, part, source, piece)
    try:
        if caught is None:
            keeper.keep(call, piece, part.collector)
        elif caught.exception is None:
            call.collector.absorb(part.collector.kept())  # it decides the call
    except BaseException as exc:
        caught = Caught(piece.start, exc, (f"  when items {piece} were kept on {world!r}",))
    return caught


def _maker(call: Call) -> Callable[[Iterator[Any]], Iterator[Any] | list[Any]]:
    """Items -> values: all at once where nobody needs those before an item that fails."""
    eager = call.collector.eager and call.options.errors == "raise"
    return (eager and call.comprehension.listed) or call.comprehension.make


def settled(exc: Exception, notes: tuple[str, ...]) -> Exception:
    """An exception as a value: its traceback as text, so that no frame is kept alive."""
    exc.__cause__ = RemoteTraceback(traceback_text(exc))
    tell(exc, notes)
    return exc.with_traceback(None)


def _place(piece: range, probe: object) -> int:
    """Which item of *piece* is at work, from what its iterator has left."""
    if probe is None:
        return 0
    return max(0, length(piece) - length_hint(probe) - 1)


def _notes(world: World, call: Call, index: int | None, source: Source) -> tuple[str, ...]:
    return item_notes(world, call, index, source, index or 0)


def item_notes(
    world: World, call: Call, index: int | None, source: Source, place: int
) -> tuple[str, ...]:
    """The lines that say which item it was; it stands at *place* in *source*."""
    import linecache

    code = call.comprehension.code
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip() if code else ""
    value = _peek(source, place) if index is not None else None
    return notes_for(index, value, world.rank, world.host, call.comprehension.where, line)


def at_work(frame: FrameType | None) -> str:
    """For people: the item whose code is at work in *frame*, a thread's that is in a call."""
    while frame is not None:
        if frame.f_code is _step.__code__:
            here = frame.f_locals
            index = here["piece"][_place(here["piece"], here["probe"])]
            return "\n".join(_notes(here["world"], here["call"], index, here["source"]))
        frame = frame.f_back
    return "  between the items"


def _peek(source: Source, index: int) -> object:
    try:
        return next(bare(source).cut(range(index, index + 1)).open()[0])
    except BaseException as exc:  # what is being told matters more
        return exc


def bare(source: Source) -> Source:
    """*source* without its functions, which may be what failed, and without random streams."""
    if not isinstance(source, Branch):
        return source
    children = [bare(child) for child in source.children]
    if isinstance(source, Map):
        return Zip(children) if len(children) > 1 else children[0]
    if isinstance(source, Seeded):
        return children[0]
    return source.over(children)
