"""Laws of looking up: what is found is what Python finds, and nothing of the user's has run."""

from __future__ import annotations

import copy
import functools
import inspect
import random
from collections import Counter, OrderedDict, defaultdict, deque
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from mpicomp.plan.lookup import (
    UNKNOWN,
    attribute,
    dict_of,
    function_behind,
    identity,
    made_by,
    on_type,
)
from mpicomp.plan.shared import Const, Made, Shared, changed_by_call, element, empty


class Never:
    """Whose every hook ends the program."""

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(f"__getattr__ was run for {name}")

    def __eq__(self, other: object) -> bool:
        raise SystemExit("__eq__ was run")

    def __iter__(self) -> Any:
        raise SystemExit("__iter__ was run")

    __hash__ = None  # type: ignore[assignment]  # as a class with __eq__ has it


class Slotted:
    __slots__ = ("filled", "missing")

    def __init__(self, filled: Any) -> None:
        self.filled = filled

    def method(self) -> None: ...


class Base(Never):
    shared: Any = (1,)

    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @property
    def computed(self) -> Any:
        raise SystemExit("a property was run")


class Child(Base):
    def __init__(self) -> None:
        self.own = {"a": 1}
        self.shared = [2]


class Hidden:
    """Its dictionary is of its own making."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # on purpose
        raise SystemExit("__dict__ was run")


OBJECTS: list[Any] = [
    Slotted([1]), Slotted, Child(), Child, Base, functools, functools.partial(len, [1]),
    SimpleNamespace(x=1), 3, "text",
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(OBJECTS)))
def test_an_attribute_is_the_one_that_inspect_finds_without_running_anything(at: int) -> None:
    obj = OBJECTS[at]
    for name in ("filled", "missing", "method", "shared", "own", "static", "of_class", "computed",
                 "x", "func", "cache", "real", "upper", "nowhere"):  # fmt: skip
        found, bound = attribute(obj, name)
        expected = inspect.getattr_static(obj, name, UNKNOWN)
        if isinstance(expected, (staticmethod, classmethod)):
            assert (found, bound) == (expected.__func__, isinstance(expected, classmethod))
        elif isinstance(expected, property):
            assert (found, bound) == (UNKNOWN, False)
        elif inspect.ismemberdescriptor(expected) and not isinstance(obj, type):
            # a slot; where nothing is in it, nothing is known
            assert found is (UNKNOWN if name == "missing" else getattr(obj, name))
            assert not bound
        else:
            assert found is expected
            plain = isinstance(expected, FunctionType) and not isinstance(obj, type)
            assert bound == (plain and not inspect.ismodule(obj))


def test_of_what_is_unknown_everything_is() -> None:
    assert attribute(UNKNOWN, "append") == (UNKNOWN, False)
    assert on_type(Child, "nowhere") is UNKNOWN
    assert dict_of(Hidden()) == {} == dict_of(3)
    assert dict_of(Child()) == {"own": {"a": 1}, "shared": [2]}
    assert made_by(Child) == [Child.__init__]


def user(x: int) -> int:
    return x


class Wrapping:
    """A decorator of a library's: it says what it wraps."""

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function


@pytest.mark.parametrize("wrap", [Wrapping, functools.partial, functools.cache])
def test_what_runs_is_found_through_a_bounded_number_of_wrappers(wrap: Any) -> None:
    found = user
    for depth in range(15):
        flat = wrap is functools.partial  # which Python itself makes one of
        assert (function_behind(found)[0] is user) == (depth < 10 or flat)
        found = wrap(found)
    assert identity(functools.partial(user)) is user.__code__


def test_arguments_in_front_are_those_that_python_passes() -> None:
    child = Child()
    for called, first in [
        (child.method, (child,)),
        (functools.partial(user, 1), (1,)),
        (functools.partial(functools.partial(Base.method, child)), (child,)),
    ]:
        found, front = function_behind(called)
        assert found in (user, Base.method)
        assert len(front) == len(first)
        assert all(a is b for a, b in zip(front, first, strict=True))
    assert function_behind(3) == function_behind(int) == function_behind(len) == (None, ())


# what an item of a shared container is like


class Odd(list[Any]):
    def __iter__(self) -> Any:
        raise SystemExit("__iter__ was run")


@pytest.mark.parametrize(
    "container",
    [
        [[1], 2], ([1], 2), {"a": [1]}, OrderedDict(a=[1]), Counter(a=1), Odd([[1]]),
        defaultdict(list, a=[1]),
    ],
    ids=lambda container: type(container).__name__,
)  # fmt: skip
def test_an_item_of_a_container_is_like_its_first(container: Any) -> None:
    first = next(iter(container.values() if isinstance(container, dict) else list(container[:1])))
    assert element(Shared("d", container)) == Shared("d[...]", first)


@pytest.mark.parametrize(
    ("container", "like"),
    [
        ([], None), ((), None), ({}, None), (defaultdict(), None), (defaultdict(Never), None),
        (defaultdict(list), list), (defaultdict(set), set), (defaultdict(dict), dict),
        ({1}, None), ("text", None), (Never(), None), (UNKNOWN, None),
    ],
    ids=map(str, range(12)),
)  # fmt: skip
def test_of_an_empty_container_only_a_plain_factory_says_what_it_would_hold(
    container: Any, like: Any
) -> None:
    found = element(Shared("d", container)).obj
    assert found is UNKNOWN if like is None else type(found) is like


def test_no_class_of_the_users_is_asked_for_an_object() -> None:
    assert [empty(kind) for kind in (list, dict, set)] == [[], {}, set()]
    assert all(empty(kind) is UNKNOWN for kind in (Never, deque, 3, None))


# calls that change what is shared: each claim against Python itself

CALLS: dict[str, tuple[Any, str, tuple[Any, ...]]] = {  # a container, a method, its arguments
    "append": ([1], "append", (2,)),
    "index": ([1], "index", (1,)),
    "sort": ([2, 1], "sort", ()),
    "copy": ({"a": 1}, "copy", ()),
    "get": ({"a": 1}, "get", ("a",)),
    "popitem": ({"a": 1}, "popitem", ()),
    "update": ({"a": 1}, "update", ({"b": 2},)),
    "add": ({1}, "add", (2,)),
    "union": ({1}, "union", ({2},)),
    "rotate": (deque([1, 2]), "rotate", (1,)),
    "count": (deque([1, 2]), "count", (1,)),
    "extend": (bytearray(b"a"), "extend", (b"b",)),
    "upper": (bytearray(b"a"), "upper", ()),
    "random": (random.Random(1), "random", ()),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("bound", [True, False], ids=["through a name of its own", "as a method"])
def test_a_method_counts_as_a_change_where_it_is_one(name: str, bound: bool) -> None:
    kept, method, args = CALLS[name]
    container = copy.deepcopy(kept)
    call = getattr(container, method)
    callee = Shared("call", call)
    if not bound:
        held, to_self = attribute(container, method)
        callee = Shared(f"d.{method}", held, Shared("d", container), to_self)
    found = changed_by_call(callee, [*map(Const, args)], discarded=True)
    before = repr(container) if name != "random" else container.getstate()
    call(*args)
    after = repr(container) if name != "random" else container.getstate()
    assert (found is not None) == (before != after)


@pytest.mark.parametrize(
    ("discarded", "kind"), [(True, ("mutation", "cache.setdefault")), (False, None)]
)
def test_what_setdefault_gives_back_makes_it_a_cache(discarded: bool, kind: Any) -> None:
    cache: dict[int, int] = {}
    callee = Shared("cache.setdefault", cache.setdefault)
    assert changed_by_call(callee, [None, Made(list)], discarded) == kind


@pytest.mark.parametrize(("discarded", "kind"), [(True, ("mutation", "model.rows")), (False, None)])
def test_of_an_unknown_object_the_name_and_a_result_that_nobody_takes_decide(
    discarded: bool, kind: Any
) -> None:
    callee = Shared("model.rows.append", UNKNOWN, Shared("model.rows"))
    assert changed_by_call(callee, [None], discarded) == kind
    assert changed_by_call(callee._replace(text="model.rows.close"), [], discarded) is None
