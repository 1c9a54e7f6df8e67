"""Digests: the same in every process, and another for whatever makes another result."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.digest import Digester
from mpicomp.plan.fingerprint import Fingerprint, differences, fingerprint
from tests.launch import run_python

PROGRAM = """
import functools, fractions, datetime, threading
import numpy as np
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.digest import Digester
from mpicomp.plan.fingerprint import fingerprint
class Model:
    def __init__(self): self.weights = {"b": {1, "x", 2.5}, "a": [1.0] * 3}; self.me = self
    def __call__(self, x): return helper(x) + len(self.weights)
def helper(x, names=frozenset(["one", "two", "three"])): return helper(x - 1) if x else len(names)
@functools.lru_cache
def cached(x): return helper(x) in {"p", "q", "r"}
model, words = Model(), {"some", "words", "in", "a", "set"}
values = [model, words, cached, np.arange(5.0), datetime.date(2020, 1, 1), threading.Lock(),
          fractions.Fraction(1, 3), functools.partial(helper, 2), Model, len, np.float32(2), np]
print(*(Digester().of(value).hex() for value in values))
gen = (model(x) + cached(x) for x in range(9) if x not in words)
apart = take_apart(gen, "plist")
print(fingerprint("plist", apart, apart.source))
"""


def test_every_process_finds_the_same() -> None:
    said = [run_python(["-c", PROGRAM], env={"PYTHONHASHSEED": seed}) for seed in "123"]
    assert all(done.returncode == 0 for done in said), said[0].stderr
    first, *others = (done.stdout for done in said)
    digests = first.partition("\n")[0].split()
    assert len(set(digests)) == len(digests)
    assert [other.partition("\n")[0] for other in others] == [" ".join(digests)] * 2
    assert len({text.partition("key='")[2][:16] for text in (first, *others)}) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=8,
)  # fmt: skip


@given(VALUES, VALUES)
def test_equal_digests_mean_equal_values(one: Any, other: Any) -> None:
    assert (Digester().of(one) == Digester().of(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: Any) -> str:
    """A text that tells types and values, but not the order of a dict."""
    if isinstance(value, dict):
        return f"dict{sorted((repr_of(k), repr_of(v)) for k, v in value.items())}"
    if isinstance(value, (list, tuple)):
        return f"{type(value)}{[repr_of(item) for item in value]}"
    return f"{type(value)}{value!r}"


def of(make: Callable[[], Any]) -> Fingerprint:
    apart = take_apart(make(), "plist")
    return fingerprint("plist", apart, apart.source)


def shifted(by: Any, xs: Any) -> Any:
    return (x + by for x in xs)


def deep(x: int) -> int:
    return deeper(x) + 1


def deeper(x: int) -> int:
    return x + FACTOR


FACTOR = 3


def test_the_place_of_a_line_does_not_count() -> None:
    namespaces: list[dict[str, Any]] = []
    for text in ("f = lambda xs: (x * x for x in xs)", "\n\n\nf = lambda xs: (x * x for x in xs)"):
        namespaces.append({})
        exec(compile(text, "script.py", "exec"), namespaces[-1])
    one, other = (of(lambda names=names: names["f"](range(3))) for names in namespaces)  # type: ignore[misc]  # bound at once
    assert one.key == other.key


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (lambda: shifted(1, range(5)), lambda: shifted(2, range(5)), "by in the comp"),
        (lambda: shifted(1, range(5)), lambda: shifted(1.0, range(5)), "by in the comp"),
        (lambda: shifted(1, range(5)), lambda: shifted(1, range(6)), "kept range(0, 5)"),
        (lambda: shifted(1, [1, 2]), lambda: shifted(1, [1, 3]), "the source: changed"),
        (lambda: shifted(1, np.ones(2)), lambda: shifted(1, np.ones(3)), "the source"),
        (lambda: map(abs, range(3)), lambda: map(hex, range(3)), "kept <built-in function abs>"),
        (lambda: map(functools.partial(pow, 2), [1]), lambda: map(functools.partial(pow, 3), [1]),
         "the comprehension"),
    ],
    ids=map(str, range(7)),
)  # fmt: skip
def test_what_differs_is_told(
    first: Callable[[], Any], second: Callable[[], Any], told: str
) -> None:
    before, after = of(first), of(second)
    assert before.key != after.key
    assert before.key == of(first).key
    assert any(line.startswith(told) or told in line
               for line in differences(before.parts, after.parts))  # fmt: skip


def test_a_global_far_below_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = of(lambda: (deep(x) for x in range(3)))
    names = [part.name for part in before.parts]
    assert "FACTOR in deeper in deep in the comprehension" in names
    monkeypatch.setitem(globals(), "FACTOR", 4)
    after = of(lambda: (deep(x) for x in range(3)))
    [line] = differences(before.parts, after.parts)
    assert line == "FACTOR in deeper in deep in the comprehension: kept 3, now 4"


def test_dtypes_and_arrays_of_numpy_differ_in_all_that_they_are() -> None:
    record = [("number", "i4"), ("what", "f8")]
    values: list[Any] = [
        np.dtype("f4"), np.dtype("f8"), np.dtype(">f8"), np.dtype(record), np.dtype(record[::-1]),
        np.dtype("M8[s]"), np.dtype("M8[ms]"), np.float64(1), np.float32(1), np.int64(1),
        np.array(1.0), np.array([1.0]), np.array([[1.0]]), np.array([1.0], dtype=">f8"),
        np.array([1, "a"], dtype=object), np.array([1.0, "a"], dtype=object),
        np.array([[1, "a"]], dtype=object), np.array([(1, 2.0)], dtype=record),
        np.sum, np.float64, np.random.default_rng, np.poly1d([1, 2]), np.poly1d([1, 3]),
    ]  # fmt: skip
    digests = [Digester().of(value) for value in values]
    assert len(set(digests)) == len(digests)
    assert digests == [Digester().of(copy.deepcopy(value)) for value in values]


def cells(bound: bool) -> Any:
    def function() -> Any:
        return value

    if bound:
        value = None
    return function


def test_a_name_not_yet_bound_is_not_one_that_is_bound_to_nothing() -> None:
    assert Digester().of(cells(False)) == Digester().of(cells(False))
    assert Digester().of(cells(False)) != Digester().of(cells(True))


class Ring:
    """In itself."""

    def __init__(self, number: int) -> None:
        self.number, self.me = number, [self]


def test_what_holds_itself_is_the_same_wherever_it_stands() -> None:
    alone, digester = Digester().of(Ring(1)), Digester()
    for before in ([1, [2]], {"x": (Ring(2),)}, Ring(1)):
        digester.of(before)
        assert digester.of(Ring(1)) == alone
    one, other = Ring(1), Ring(2)
    assert Digester().of({"a": one, "b": other}) == Digester().of({"b": other, "a": one})
    assert Digester().of([{one}, {other}]) == Digester().of([{one}, {Ring(2)}])
    assert Digester().of(one) != Digester().of(other)


def test_what_cannot_be_looked_into_is_named_and_of_one_kind_all_are_alike() -> None:
    digester = Digester()
    assert digester.of(threading.Lock()) == digester.of(threading.Lock())
    assert digester.of([iter("a").__next__]) != digester.of(threading.RLock())
    assert set(digester.opaque) == {type(threading.Lock()).__qualname__, "RLock"}
