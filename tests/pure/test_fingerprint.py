"""Laws of the fingerprint: a journal gives back values of this call, and of no other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpicomp import JournalError, plist, product, seeded
from mpicomp.notebook.travel import dump, load
from mpicomp.plan.again import Everywhere
from mpicomp.plan.comprehension import Comprehension, take_apart
from mpicomp.plan.fingerprint import Fingerprint, Part, differences, fingerprint
from mpicomp.plan.source import Data


def over(xs: Any, a: Any = None, b: Any = None) -> Fingerprint:
    apart = take_apart(((x, a, b) for x in xs), "plist")
    return fingerprint("plist", apart, apart.source)


def told(before: Fingerprint, after: Fingerprint) -> list[str]:
    """The names of the parts that differ."""
    return [line.partition(":")[0] for line in differences(before.parts, after.parts)]


def stream(n: int) -> Iterator[int]:
    return (y for y in range(n) if y >= 0)


FACTORS = st.lists(st.integers(0, 2), max_size=3)


@settings(max_examples=50)
@given(FACTORS, FACTORS, FACTORS, FACTORS)
def test_products_are_the_same_call_only_if_their_factors_are(
    a: list[int], b: list[int], c: list[int], d: list[int]
) -> None:
    assert (over(product(a, b)).key == over(product(c, d)).key) == ((a, b) == (c, d))


SOURCES: dict[str, tuple[Callable[[Any], Any], bool]] = {  # and whether its items are known before
    "list": (lambda x: [0, x], True),
    "array": (lambda x: np.array([0, x]), True),
    "range": (lambda x: range(x), True),
    "zip": (lambda x: zip([1, 2], [3, x], strict=False), True),
    "map": (lambda x: map(abs, [x]), True),
    "filter": (lambda x: filter(None, [x]), True),
    "product of ranges": (lambda x: product(range(2), range(x)), True),
    "product of others": (lambda x: product([x], "ab", np.arange(3)), True),
    "product in a zip": (lambda x: zip(product([1, x], [3]), range(2), strict=False), True),
    "seed": (lambda x: seeded([1, 2], x), True),
    "seed in a zip": (lambda x: zip(seeded([1, 2], x), range(2), strict=False), True),
    "seeded items": (lambda x: seeded([1, x], 1), True),
    "seed over a stream": (lambda x: seeded(stream(3), x), True),
    "stream": (lambda x: stream(x), False),
}


@pytest.mark.parametrize("name", SOURCES)
def test_another_source_is_another_call(name: str) -> None:
    make, known = SOURCES[name]
    one, again, other = over(make(4)), over(make(4)), over(make(5))
    assert one.key == again.key
    assert (one.key != other.key) == known
    assert told(one, other) == ["the source"] * known


def test_a_mapped_function_over_seeded_items_counts_and_so_does_the_seed() -> None:
    def of(seed: int) -> Fingerprint:
        apart = take_apart(map(len, seeded(stream(3), seed)), "plist")
        return fingerprint("plist", apart, apart.source)

    assert of(1).key == of(1).key
    assert told(of(1), of(2)) == ["the source"]


def test_on_the_engines_of_a_notebook_the_seed_counts_as_well() -> None:
    def of(seed: int) -> Fingerprint:
        apart = take_apart((rng.random() for _, rng in seeded(stream(3), seed)), "plist")
        apart.source = Data([(0, 0), (1, 1)])  # as the kernel has read it, with its numbers
        there: Comprehension = load(dump(apart, "it")[0])
        assert there.digest == apart.digest
        return fingerprint("plist", there, there.source)

    assert of(1).key == of(1).key
    assert told(of(1), of(2)) == ["the source"]


def test_a_source_that_every_rank_has_by_now_is_the_one_it_was() -> None:
    apart = take_apart((x for x in product([1, 2], [3])), "plist")
    there = fingerprint("plist", apart, Everywhere(apart.source))
    assert there.key == fingerprint("plist", apart, apart.source).key


@pytest.mark.parametrize(
    "make",
    [lambda x: product([1, x], [3]), lambda x: seeded(stream(2), x)],
    ids=["product", "seed"],
)
def test_a_journal_refuses_the_values_of_other_items(
    make: Callable[[int], Any], tmp_path: Path
) -> None:
    def run(x: int, where: str) -> list[str] | None:
        return plist((repr((a, getattr(b, "random", int)())) for a, b in make(x)), journal=where)

    assert run(2, str(tmp_path / "run.mpj")) != run(5, str(tmp_path / "other.mpj"))
    program = (tmp_path / "run.mpj").rename(tmp_path / "again.mpj")  # as another program finds it
    assert run(2, str(program)) == run(2, str(tmp_path / "new.mpj"))
    other = program.rename(tmp_path / "once more.mpj")
    with pytest.raises(JournalError, match="the source: kept"):
        run(5, str(other))


class Tree:
    """In itself: each node knows the one above."""

    def __init__(self, above: Tree | None = None) -> None:
        self.above = above
        self.below = [Tree(self)] if above is None else []


def even(x: int) -> bool:
    return x == 0 or odd(x - 1)


def odd(x: int) -> bool:
    return x != 0 and even(x - 1)


def test_functions_that_call_each_other_are_told_once_each() -> None:
    apart = take_apart((even(x) for x in range(3)), "plist")
    names = [part.name for part in fingerprint("plist", apart, apart.source).parts]
    assert names[2:-1] == [
        "the comprehension", "even in the comprehension", "odd in even in the comprehension",
    ]  # fmt: skip


def test_only_what_differs_is_told_though_other_values_hold_themselves() -> None:
    tree = Tree()
    assert told(over([1], 1, tree), over([1], [1, [2]], tree)) == ["a in the comprehension"]
    assert told(over([1], Tree(), Tree()), over([1], Tree(), Tree())) == []


class Unreadable:
    def __init__(self, inside: int) -> None:
        self.inside = inside

    def __repr__(self) -> str:
        raise ValueError("no text")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        (Unreadable(1), Unreadable(2), "Unreadable"),
        (10**5000, 10**5000 + 1, "a int" if sys.version_info < (3, 14) else "int"),
        ([10**5000], [10**5000 + 1], "a list" if sys.version_info < (3, 14) else "int"),
    ],
    ids=["a broken repr", "a great number", "a list of great numbers"],
)
def test_what_has_no_text_counts_all_the_same(one: Any, other: Any, text: str) -> None:
    before, after = over([1], one), over([1], other)
    assert told(before, over([1], one)) == []
    [line] = differences(before.parts, after.parts)
    assert line.startswith("a in the comprehension: ")
    assert text in line


def test_a_name_that_is_bound_later_counts_once_it_is_bound() -> None:
    def of(bind: bool) -> Fingerprint:
        if bind:
            later = 3
        apart = take_apart((x + later for x in [1]), "plist")
        return fingerprint("plist", apart, apart.source)

    assert of(False).key == of(False).key
    assert differences(of(False).parts, of(True).parts) == [
        "later in the comprehension: kept 'not yet bound', now 3"
    ]


PARTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4).map(
    lambda found: [Part(name, digest, f"<{digest}>") for name, digest in found.items()]
)


@given(PARTS, PARTS)
def test_each_part_that_differs_or_that_one_side_has_not_is_told_in_a_line(
    kept: list[Part], now: list[Part]
) -> None:
    before, after = ({part.name: part.digest for part in side} for side in (kept, now))
    lines = dict(line.split(": ", 1) for line in differences(kept, now))
    assert len(lines) == len(differences(kept, now))
    assert lines.keys() == {n for n in before | after if before.get(n) != after.get(n)}
    for name, text in lines.items():
        assert ("not kept" in text) == (name not in before)
        assert ("not there now" in text) == (name not in after)
