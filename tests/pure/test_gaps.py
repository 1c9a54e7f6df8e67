"""What is missing, against sets of items."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.chunks import table
from mpicomp.plan.gaps import Gaps, Narrowed, apart, union

ITEMS = st.integers(0, 40)
SPANS = st.lists(st.tuples(ITEMS, ITEMS).map(lambda pair: (min(pair), max(pair))), max_size=8)


def items_of(spans: list[tuple[int, int]]) -> set[int]:
    return {item for span in spans for item in range(*span)}


@given(SPANS)
def test_a_union_has_all_items_in_order_and_no_two_spans_that_touch(
    spans: list[tuple[int, int]],
) -> None:
    whole = union(spans)
    assert items_of(whole) == items_of(spans)
    assert all(start < stop for start, stop in whole)
    assert all(left[1] < right[0] for left, right in pairwise(whole))


@given(SPANS, st.integers(0, 45), st.integers(0, 45), st.data())
def test_places_are_the_missing_items_in_order(
    done: list[tuple[int, int]], n: int, start: int, data: st.DataObject
) -> None:
    gaps = Gaps(done, n, start)
    missing = [item for item in range(start, n) if item not in items_of(done)]
    assert gaps.count == len(missing)
    for item in range(50):
        assert gaps.place(item) == sum(other < item for other in missing)
        assert gaps.has(item) == (item in missing)
    first = data.draw(st.integers(0, len(missing)))
    stop = data.draw(st.integers(first, len(missing)))
    runs = list(gaps.spread(range(first, stop)))
    assert [item for run in runs for item in run] == missing[first:stop]
    assert all(runs)
    assert all(left.stop < right.start for left, right in pairwise(runs))


@given(SPANS, ITEMS)
def test_of_a_stream_everything_behind_what_was_done_is_missing(
    done: list[tuple[int, int]], place: int
) -> None:
    gaps = Gaps(done, None)
    [run] = gaps.spread(range(place, place + 1))
    missing = [item for item in range(200) if item not in items_of(done)]
    assert gaps.count is None
    assert run == range(missing[place], missing[place] + 1)
    assert gaps.place(missing[place]) == place


@given(st.lists(SPANS.map(union), max_size=6))
def test_chunks_that_count_have_no_item_in_common_and_none_can_be_added(
    chunks: list[list[tuple[int, int]]],
) -> None:
    taken: set[int] = set()
    for fits, spans in zip(apart(chunks), chunks, strict=True):
        assert fits == (not taken & items_of(spans))
        if fits:
            taken |= items_of(spans)


@given(SPANS, st.integers(1, 45), st.integers(1, 5), st.sampled_from(["dynamic,3", "guided"]))
def test_a_narrowed_plan_hands_out_each_missing_item_once_in_its_own_chunk(
    done: list[tuple[int, int]], n: int, p: int, schedule: str
) -> None:
    plan, gaps = table(schedule, n, p), Gaps(done, n)
    narrow = Narrowed(plan, gaps)
    assert (narrow.n, narrow.p, narrow.nchunks) == (gaps.count, p, plan.nchunks)
    for (start, stop), (first, last) in zip(plan, narrow, strict=True):
        items = [item for run in gaps.spread(range(first, last)) for item in run]
        assert items == [item for item in range(start, stop) if gaps.has(item)]


@given(SPANS, st.integers(0, 45), st.integers(0, 9), st.integers(0, 9))
def test_places_beyond_the_last_missing_item_hold_nothing(
    done: list[tuple[int, int]], n: int, before: int, more: int
) -> None:
    gaps = Gaps(done, n)
    count = gaps.count or 0
    first = max(0, count - before)
    assert list(gaps.spread(range(count, count + more))) == []
    assert list(gaps.spread(range(first, count + more))) == list(gaps.spread(range(first, count)))
