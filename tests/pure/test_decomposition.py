"""Laws of the decompositions, and ScaLAPACK's index maps and numpy's array_split as oracles."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic, Decomposition

MAPS: dict[str, Callable[[int, int], Decomposition]] = {
    "block": Block,
    "cyclic": Cyclic,
    **{f"blocks of {b}": partial(BlockCyclic, b=b) for b in (1, 2, 3, 20)},
}
each_map = pytest.mark.parametrize("name", MAPS)
HUGE = 2**200


def small(name: str) -> Iterator[Decomposition]:
    """Every kind of remainder: n = 0, n < p, p = 1, last block short."""
    return (MAPS[name](n, p) for n, p in product([*range(14), 29, 64], [1, 2, 3, 4, 7, 13]))


def decompositions(largest: int, ranks: int) -> st.SearchStrategy[Decomposition]:
    n, p, b = st.integers(0, largest), st.integers(1, ranks), st.integers(1, largest)
    return st.builds(Block, n, p) | st.builds(Cyclic, n, p) | st.builds(BlockCyclic, n, p, b)


# ScaLAPACK TOOLS, 1-based as there; process numbers from 0, source process 0


def numroc(n: int, nb: int, iproc: int, nprocs: int) -> int:
    nblocks = n // nb
    num = nblocks // nprocs * nb
    extra = nblocks % nprocs
    if iproc < extra:
        num += nb
    elif iproc == extra:
        num += n % nb
    return num


def indxg2p(indxglob: int, nb: int, nprocs: int) -> int:
    return (indxglob - 1) // nb % nprocs


def indxg2l(indxglob: int, nb: int, nprocs: int) -> int:
    return nb * ((indxglob - 1) // (nb * nprocs)) + (indxglob - 1) % nb + 1


def indxl2g(indxloc: int, nb: int, iproc: int, nprocs: int) -> int:
    return (
        nprocs * nb * ((indxloc - 1) // nb)
        + (indxloc - 1) % nb
        + (nprocs + iproc) % nprocs * nb
        + 1
    )


@pytest.mark.parametrize("b", [1, 2, 3, 5, 40])
def test_block_cyclic_is_scalapacks(b: int) -> None:
    for n, p in product(range(32), range(1, 8)):
        ours = BlockCyclic(n, p, b)
        assert ours.counts == tuple(numroc(n, b, rank, p) for rank in range(p))
        for i in range(n):
            assert ours.owner(i) == indxg2p(i + 1, b, p)
            assert ours.local(i) == indxg2l(i + 1, b, p) - 1
        for rank in range(p):
            assert [ours.index(rank, at) for at in range(ours.count(rank))] == [
                indxl2g(at + 1, b, rank, p) - 1 for at in range(numroc(n, b, rank, p))
            ]


def test_block_is_numpys_array_split() -> None:
    for n, p in product(range(40), range(1, 12)):
        parts = np.array_split(np.arange(n), p)
        assert [list(Block(n, p).indices(rank)) for rank in range(p)] == [list(q) for q in parts]


def test_cyclic_is_a_slice_with_stride_p() -> None:
    for n, p in product(range(40), range(1, 12)):
        dealt = [list(range(n)[rank::p]) for rank in range(p)]
        assert [list(Cyclic(n, p).indices(rank)) for rank in range(p)] == dealt


@each_map
def test_every_item_has_one_place(name: str) -> None:
    for dec in small(name):
        held = [list(dec.indices(rank)) for rank in range(dec.p)]
        assert sorted(i for items in held for i in items) == list(range(dec.n))
        assert [(dec.owner(i), dec.local(i)) for items in held for i in items] == [
            (rank, at) for rank in range(dec.p) for at in range(len(held[rank]))
        ]
        assert [len(items) for items in held] == list(dec.counts)
        assert dec.counts == tuple(map(dec.count, range(dec.p)))
        packed = [i for items in held for i in items]
        for rank, (count, displ) in enumerate(zip(dec.counts, dec.displs, strict=True)):
            assert packed[displ : displ + count] == held[rank]


@each_map
def test_spans_are_the_indices_in_pieces(name: str) -> None:
    for dec in small(name):
        for rank in range(dec.p):
            spans = list(dec.spans(rank))
            assert [i for span in spans for i in span] == list(dec.indices(rank))
            assert all(span and span.step == 1 for span in spans)
        if dec.p == 1:
            assert list(dec.spans(0)) == ([range(dec.n)] if dec.n else [])


@each_map
def test_an_array_gives_what_its_items_give(name: str) -> None:
    for dec in small(name):
        items = np.arange(dec.n, dtype=np.int64)
        for of in (dec.owner, dec.local):
            assert of(items).dtype == np.int64
            assert of(items).tolist() == [of(i) for i in range(dec.n)]
        for rank in range(dec.p):
            places = np.arange(dec.count(rank), dtype=np.int64)
            assert dec.index(rank, places).tolist() == list(dec.indices(rank))


@given(decompositions(HUGE, 2**70), st.data())
def test_owner_and_local_undo_index_at_any_size(dec: Decomposition, data: st.DataObject) -> None:
    if dec.n:
        i = data.draw(st.integers(0, dec.n - 1))
        assert dec.index(dec.owner(i), dec.local(i)) == i
    rank = data.draw(st.integers(0, dec.p - 1))
    if count := dec.count(rank):
        at = data.draw(st.integers(0, count - 1))
        i = dec.index(rank, at)
        assert (dec.owner(i), dec.local(i)) == (rank, at)


@given(decompositions(HUGE, 500))
def test_counts_add_up_at_any_size(dec: Decomposition) -> None:
    assert sum(dec.counts) == dec.n
    assert dec.displs[-1] + dec.counts[-1] == dec.n


@given(decompositions(2**62, 2**31), st.data())
def test_arrays_are_exact_beyond_32_bits(dec: Decomposition, data: st.DataObject) -> None:
    items = data.draw(st.lists(st.integers(0, dec.n - 1), min_size=1)) if dec.n else []
    array = np.array(items, dtype=np.int64)
    assert dec.owner(array).tolist() == [dec.owner(i) for i in items]
    assert dec.local(array).tolist() == [dec.local(i) for i in items]


@given(st.integers(0, HUGE), st.integers(1, 1000))
def test_blocks_differ_by_one_at_most_and_shrink(n: int, p: int) -> None:
    counts = Block(n, p).counts
    assert counts[0] - counts[-1] <= 1
    assert list(counts) == sorted(counts, reverse=True)


@given(st.integers(0, 300), st.integers(1, 20), st.integers(0, 19))
def test_cyclic_behaves_as_block_cyclic_of_one(n: int, p: int, rank: int) -> None:
    rank %= p
    one, other = Cyclic(n, p), BlockCyclic(n, p, 1)
    assert one.counts == other.counts
    assert one.indices(rank) == other.indices(rank) == range(rank, n, p)
    assert list(one.spans(rank)) == list(other.spans(rank))
    assert one.dim_data(rank) == other.dim_data(rank)


def test_pieces_are_made_only_when_asked_for() -> None:
    n = 10**30
    assert list(Block(n, 1).spans(0)) == [range(n)]
    assert next(Cyclic(n, 7).spans(3)) == range(3, 4)
    assert next(BlockCyclic(n, 7, 10).spans(3)) == range(30, 40)
    assert Cyclic(n, 7).indices(3) == range(3, n, 7)
    assert BlockCyclic(n, 1, 10).indices(0) == range(n)


# Distributed Array Protocol: what a consumer reads out of a dimension dictionary


def consumed(dim: dict[str, Any]) -> list[int]:
    if dim["dist_type"] == "b":
        return list(range(dim["start"], dim["stop"]))
    size, period = dim["block_size"], dim["block_size"] * dim["proc_grid_size"]
    starts = range(dim["start"], dim["size"], period)
    return [i for start in starts for i in range(start, min(start + size, dim["size"]))]


@each_map
def test_dim_data_says_what_the_rank_holds(name: str) -> None:
    for dec in small(name):
        stop = 0
        for rank in range(dec.p):
            dim = dec.dim_data(rank)
            assert consumed(dim) == list(dec.indices(rank))
            assert (dim["size"], dim["proc_grid_size"], dim["proc_grid_rank"]) == (
                dec.n,
                dec.p,
                rank,
            )
            if dim["dist_type"] == "b":  # the protocol: each part starts where the last one stopped
                assert dim["start"] == stop
                stop = dim["stop"]
            else:  # its validator: whatever the size
                assert dim["start"] == rank * dim["block_size"]


# values


@pytest.mark.parametrize("dec", [Block(10, 3), Cyclic(10, 3), BlockCyclic(10, 3, 2)], ids=repr)
def test_a_decomposition_is_a_value(dec: Decomposition) -> None:
    assert eval(repr(dec)) == pickle.loads(pickle.dumps(dec)) == copy.deepcopy(dec) == dec
    assert hash(copy.copy(dec)) == hash(dec)
    with pytest.raises(AttributeError, match=r"frozen value; make a new"):
        dec.n = 11


def test_different_values_differ() -> None:
    values = [Block(10, 3), Cyclic(10, 3), BlockCyclic(10, 3, 2), Block(10, 4), Block(9, 3)]
    assert len(set(values)) == len(values)
    assert Block(10, 3) != (10, 3)


def test_a_decomposition_can_be_matched() -> None:
    match BlockCyclic(10, 3, 2):
        case BlockCyclic(n, p, b):
            assert (n, p, b) == (10, 3, 2)


# letters


@pytest.mark.parametrize(
    ("line", "error", "letter"),
    [
        ("Block(-1, 3)", ValueError, r"n must be >= 0, got -1"),
        ("Block(10, 0)", ValueError, r"p must be >= 1, got 0; write p=1 or more"),
        ("BlockCyclic(10, 3, 0)", ValueError, r"b must be >= 1, got 0"),
        ("Cyclic(10 / 2, 3)", TypeError, r"n must be a whole number, got 5\.0; write int"),
        ("Block(10, '3')", TypeError, r"p must be a whole number, got '3'"),
        ("Block(10, 3).owner(10)", IndexError, r"item must lie in range\(10\), got 10$"),
        ("Block(10, 3).local(-1)", IndexError, r"got -1; write 9 to count from the end"),
        ("Block(0, 3).owner(0)", IndexError, r"item must lie in range\(0\)"),
        ("Block(10, 3).owner(1.0)", TypeError, r"item must be a whole number, got 1\.0"),
        ("Block(10, 3).index(0, 4)", IndexError, r"local index must lie in range\(4\), got 4"),
        ("Block(10, 3).index(3, 0)", IndexError, r"rank must lie in range\(3\), got 3"),
        ("Cyclic(10, 3).count(-1)", IndexError, r"rank must lie .* write 2"),
        ("Cyclic(10, 3).count(np.arange(3))", TypeError, r"rank must be a whole number"),
        ("Cyclic(10, 3).spans(3)", IndexError, r"rank must lie"),
        ("BlockCyclic(10, 3, 2).indices(3)", IndexError, r"rank must lie"),
        ("Block(10, 3).dim_data(3)", IndexError, r"rank must lie"),
        ("Block(10, 3).owner(np.array([0, 12]))", IndexError, r"every item must .* got 12"),
        ("Block(10, 3).owner(np.array([0, -1]))", IndexError, r"every .* got -1; write 9 to"),
        ("Block(10, 3).owner(np.array([0.0]))", TypeError, r"must hold integers.* float64"),
    ],
)
def test_bad_arguments_get_a_letter(line: str, error: type[Exception], letter: str) -> None:
    with pytest.raises(error, match=letter):
        eval(line)


def test_numpy_integers_become_exact_ints() -> None:
    numbers: list[Any] = [np.int32(10), np.uint8(3), np.int16(9), np.array(9)]
    dec = Block(*numbers[:2])
    assert repr(dec) == "Block(10, 3)"
    assert [(owner := dec.owner(i), type(owner)) for i in numbers[2:]] == [(2, int), (2, int)]
