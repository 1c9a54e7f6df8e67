"""What an item can get at that other items can too, and which uses of it change it.

Rules of this file: pure; only types, names and identities are looked at.
"""

from __future__ import annotations

import sys
from _thread import _local
from collections import defaultdict, deque
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple

from mpicomp.plan.lookup import UNKNOWN, on_type


class Shared(NamedTuple):
    """A value that exists outside the item; *text* is what the user wrote to get it.

    *owner* is what it is an attribute of; *bound*: as a function it gets the owner first.
    """

    text: str
    obj: Any = UNKNOWN
    owner: Any = None
    bound: bool = False

    @property
    def name(self) -> str:
        return self.text.rpartition(".")[2]


class Made(NamedTuple):
    """An object that the item itself has made."""

    kind: type


class Derived(NamedTuple):
    """A value that was computed from shared ones."""

    texts: tuple[str, ...]


class Const(NamedTuple):
    """A constant of the code."""

    value: Any


Value = Shared | Made | Derived | Const | None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ORDERED = _words("append extend insert pop remove clear sort reverse")
_MAPPED = _words("update pop popitem clear setdefault subtract move_to_end")
_TAKING = _words("read readline readlines readinto read1 seek truncate")
_PUTTING = _words("write writelines")
MUTATORS: tuple[tuple[type, frozenset[str]], ...] = (
    (list, _ORDERED),
    (dict, _MAPPED),
    (set, _words("add update discard remove pop clear difference_update intersection_update "
                 "symmetric_difference_update")),
    (deque, _ORDERED | _words("appendleft extendleft popleft rotate")),
    (bytearray, _ORDERED),
)  # fmt: skip
_OF_ARRAYS = _words("fill sort partition put itemset resize")
_ANYWHERE = _words("append extend appendleft add insert update setdefault discard")
_FIRST_ARGUMENT = {
    ("_heapq", name) for name in ("heappush", "heappop", "heapify", "heapreplace", "heappushpop")
} | {
    ("_bisect", "insort_right"), ("_bisect", "insort_left"),
    ("builtins", "setattr"), ("builtins", "delattr"), ("_operator", "setitem"),
}  # fmt: skip
_TAKERS = _words("next list tuple set frozenset sorted sum min max any all dict")


def is_a(obj: Any, module: str, *names: str) -> bool:
    """Whether *obj* is of one of the classes, if their module has been imported at all."""
    found = sys.modules.get(module)
    kinds = (getattr(found, name, None) for name in names) if found is not None else ()
    return any(isinstance(kind, type) and issubclass(type(obj), kind) for kind in kinds)


def is_stream(obj: Any) -> bool:
    """Whether *obj* is a stream of random numbers: what it gives depends on who asked before."""
    if is_a(obj, "random", "Random"):
        return not is_a(obj, "random", "SystemRandom")
    return is_a(obj, "numpy.random", "Generator", "RandomState")


def is_file(obj: Any) -> bool:
    """Whether *obj* is an open file."""
    return is_a(obj, "_io", "_IOBase")


def is_iterator(obj: Any) -> bool:
    """Whether what *obj* gives next depends on who asked before."""
    return obj is not UNKNOWN and on_type(type(obj), "__next__") is not UNKNOWN


def is_of_a_thread(obj: Any) -> bool:
    """Whether *obj* keeps its attributes for each thread apart, and so for each rank."""
    return issubclass(type(obj), _local)


def seeds(callee: Shared) -> bool:
    """Whether the call gives a global random stream a start of the item's own."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None and callee.obj is numpy.seed:
        return True
    return callee.name == "seed" and is_stream(_self_of(callee))


def _self_of(callee: Shared) -> Any:
    if type(callee.obj) in (BuiltinFunctionType, MethodType):
        return callee.obj.__self__
    return callee.owner.obj if isinstance(callee.owner, Shared) else UNKNOWN


def changed_by_call(callee: Shared, args: list[Value], discarded: bool) -> tuple[str, str] | None:
    """The kind of side effect that a call has, and the name it is on.

    Parameters
    ----------
    callee : Shared
        Not a function of the user's.
    args : list
    discarded : bool
        Nobody looks at the result.
    """
    if is_stream(_self_of(callee)):
        return "random", callee.text
    name, owner = callee.name, callee.owner
    if type(callee.obj) is BuiltinFunctionType and not isinstance(owner, Shared):
        name, owner = callee.obj.__name__, Shared(callee.text, callee.obj.__self__)
    if isinstance(owner, Shared) and (kind := _by_method(owner.obj, name, discarded)):
        return kind, owner.text
    first = args[0] if args else None
    if type(callee.obj) in (BuiltinFunctionType, FunctionType, type):
        if callee.obj is input:
            return "file", "input"
        if isinstance(first, Shared):
            place = (callee.obj.__module__, callee.obj.__name__)
            if place in _FIRST_ARGUMENT:
                return "mutation", first.text
            if place[0] == "builtins" and place[1] in _TAKERS:
                return taken(first)
    return None


def taken(value: Shared) -> tuple[str, str] | None:
    """The side effect of asking *value* for its items."""
    if is_file(value.obj):
        return "file", value.text
    return ("iterator", value.text) if is_iterator(value.obj) else None


def _by_method(obj: Any, name: str, discarded: bool) -> str | None:
    if is_file(obj):
        if name in _PUTTING and obj is not sys.stdout and obj is not sys.stderr:
            return "writing"
        return "file" if name in _TAKING else None
    if name == "setdefault" and not discarded:
        return None  # a cache's way of storing and reading back
    if is_a(obj, "numpy", "ndarray"):
        return "mutation" if name in _OF_ARRAYS else None
    for kind, names in MUTATORS:
        if issubclass(type(obj), kind):
            return "mutation" if name in names else None
    if obj is UNKNOWN and discarded and name in _ANYWHERE:
        return "mutation"
    return None


def is_changed_in_place(obj: Any) -> bool:
    """Whether ``+=`` and its like change *obj* itself."""
    kinds = tuple(kind for kind, _ in MUTATORS)
    return issubclass(type(obj), kinds) or is_a(obj, "numpy", "ndarray")


def element(container: Shared) -> Shared:
    """What an item of a shared container is like."""
    return Shared(f"{container.text}[...]", _sample(container.obj))


def empty(kind: Any) -> Any:
    """An empty list, dict or set; no other class is asked for an object."""
    return next((made() for made in (list, dict, set) if made is kind), UNKNOWN)


def _sample(obj: Any) -> Any:
    kind = type(obj)
    if issubclass(kind, dict):
        for value in dict.values(obj):
            return value
        if issubclass(kind, defaultdict):
            return empty(vars(defaultdict)["default_factory"].__get__(obj))
    if issubclass(kind, (list, tuple)):
        base: Any = list if issubclass(kind, list) else tuple
        for value in base.__iter__(obj):
            return value
    return UNKNOWN
