"""From the hidden iterator of a comprehension back to the source it walks over.

Rules of this file: pure; nothing is consumed.

CPython's iterators give their source back through ``__reduce__``.  An iterator that stands
twice in one expression (the grouping idiom ``zip(*[iter(xs)] * 2)``) shares its position with
itself, so there the whole is taken as a stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import GeneratorType

from mpicomp.plan.cuttable import Cuttable
from mpicomp.plan.source import Data, Filter, Map, Picked, Range, Source, Stream, Zip, is_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


_PLAIN: tuple[type[Any], ...] = (list, tuple, str, bytes, bytearray)

_SAMPLES: tuple[Iterable[Any], ...] = (
    range(0), range(2**70), [], (), "", "\u20ac", b"", bytearray(), {}, {}.values(), {}.items(),
    set(), deque(), reversed([]), reversed({}), reversed({}.values()), reversed({}.items()),
    reversed(deque()), reversed(""),
)  # fmt: skip
_RANGE_ITERATOR = type(iter(range(0)))
# iterators whose __reduce__ names what they iterate over; itertools' own would warn on 3.12+
_TELLING = {type(iter(sample)) for sample in _SAMPLES}
_TELLING.add(type(iter(type("_", (), {"__getitem__": None})())))  # of whatever has items by number

# generators known to give what ``self[i]`` gives; another ``__iter__`` may do as it likes
_OF_SELF = (Sequence.__iter__.__code__, Cuttable.__iter__.__code__)


class _NotSliceableError(Exception):
    """Somewhere inside is a plain iterator."""


def find_source(origin: Iterable[Any]) -> Source:
    """The source behind an iterator (or behind an iterable that was not yet asked for one).

    Parameters
    ----------
    origin : iterable
        As found in a generator expression's frame, or given by the user.

    Returns
    -------
    Source
        A `Stream` when it cannot be cut.
    """
    if type(origin) is _RANGE_ITERATOR:  # the usual case, ten times quicker
        told: Any = origin.__reduce__()
        (items,), at = told[1:]
        return Range(items[at:] if at else items)
    try:
        return _find(origin, set())
    except _NotSliceableError:
        owner = _owner(origin)
        return owner.source if isinstance(owner, Cuttable) else Stream(iter(origin))


def _find(origin: Any, seen: set[int]) -> Source:
    kind = type(origin)
    if kind is range:
        return Range(origin)
    if isinstance(origin, Cuttable):
        return _found(origin.source)
    if kind in _PLAIN or is_array(origin):
        return Data(origin)
    if not hasattr(kind, "__next__"):
        return _find(iter(origin), seen)
    if id(origin) in seen:
        raise _NotSliceableError
    seen.add(id(origin))
    if kind in (zip, enumerate, map, filter):
        return _find_inside(kind, origin, seen)
    if kind is GeneratorType:
        return _find_self(origin)
    if kind not in _TELLING and kind.__name__ != "arrayiterator":
        raise _NotSliceableError
    return _find_told(origin)


def _find_inside(kind: type, origin: Any, seen: set[int]) -> Source:
    _, args, *strict = origin.__reduce__()
    if kind is enumerate:
        (child,) = _in_step(args[:1], seen, alone=False)
        return Zip([Range(range(args[1], args[1] + (child.n or 0))), child])
    function, *inner = args if kind is not zip else (None, *args)
    if kind is filter:
        return Filter([_find(inner[0], seen)], function)
    children = _in_step(inner, seen, alone=len(inner) == 1)
    if strict and len({child.n for child in children}) > 1:
        raise _NotSliceableError  # it will fail: where, the serial way knows
    return Zip(children) if kind is zip else Map(children, function)


def _in_step(origins: Iterable[Any], seen: set[int], alone: bool) -> list[Source]:
    """Sources walked side by side, which cutting must not shift against each other."""
    children = [_find(origin, seen) for origin in origins]
    if not alone and not all(child.one_to_one for child in children):
        raise _NotSliceableError
    for child in children:
        if child.n == min(other.n or 0 for other in children):
            break
        if child.functions():  # called once more, serially, before the end is noticed
            raise _NotSliceableError
    return children


def _find_self(origin: GeneratorType[Any, Any, Any]) -> Source:
    """One of our sequences, or one that has the ``__iter__`` of the abstract class."""
    owner = _owner(origin)
    if owner is None:
        raise _NotSliceableError
    return _found(owner.source) if isinstance(owner, Cuttable) else _data(owner)


def _owner(origin: Any) -> Any:
    """The sequence that walks in *origin*, if that is one of ours or has not begun to walk."""
    if type(origin) is not GeneratorType:
        return origin if isinstance(origin, Cuttable) else None
    if origin.gi_frame is None or origin.gi_suspended or origin.gi_code not in _OF_SELF:
        return None
    return origin.gi_frame.f_locals["self"]


def _found(source: Source) -> Source:
    if isinstance(source, Stream):
        raise _NotSliceableError
    return source


def _find_told(origin: Any) -> Source:
    maker, args, *state = origin.__reduce__()
    at = state[0] if state and state[0] is not None else 0
    items = _as_base(args[0])
    if maker is reversed:
        return Data([items[i] for i in range(at, -1, -1)] if state else [])
    if isinstance(maker, type):  # deque's iterators: (deque, items already taken)
        copy = list(items)
        return Data((copy[::-1] if "reverse" in maker.__name__ else copy)[args[1] :])
    if type(items) is range:
        return Range(items[at:])
    if not isinstance(items, Sequence) and not is_array(items):
        if not is_array(items, or_subclass=True):
            raise _NotSliceableError  # an object with items, and perhaps without an end
        items = list(items)
    return _data(items).cut(range(at, len(items))) if at else _data(items)


def _data(items: Any) -> Data:
    if type(items) in _PLAIN or is_array(items):
        return Data(items)
    return Picked(items, range(len(items)))


def _as_base(items: Any) -> Any:
    """A list (or tuple, text) of a subclass as its base, and so its iterator, sees it."""
    for base in _PLAIN:
        if isinstance(items, base) and type(items) is not base:
            whole: Any = base.__getitem__
            return whole(items, slice(None))
    return items
