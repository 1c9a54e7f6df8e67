"""Places of entries that lie on several ranks, against a sort of all of them."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.ranking import bounds, cuts, numbered, sampled

Entries = list[tuple[int, int]]


def placed(ranks: list[Entries]) -> tuple[list[list[int]], list[int]]:
    """What each rank gets for its entries, and how many each rank had to number."""
    p = len(ranks)
    begins = cuts([entry for mine in ranks for entry in sampled(mine)], p)
    shares: list[Entries] = []
    for mine in ranks:
        ends = bounds(mine, begins)
        shares += [mine[ends[rank] : ends[rank + 1]] for rank in range(p)]
    parts = [[np.array(share, np.int64).reshape(-1, 2) for share in shares[r::p]] for r in range(p)]
    counts = [sum(map(len, part)) for part in parts]
    answers = [numbered(part, sum(counts[:r])) for r, part in enumerate(parts)]
    found = [np.concatenate([answers[r][k] for r in range(p)]).tolist() for k in range(p)]
    return found, counts


@given(
    st.sets(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=300),
    st.integers(1, 6),
    st.integers(0, 10**6),
)
def test_each_entry_gets_its_place(entries: set[tuple[int, int]], p: int, seed: int) -> None:
    rng = random.Random(seed)
    ranks: list[Entries] = [[] for _ in range(p)]
    whole = sorted(entries)
    for entry in whole:
        ranks[rng.randrange(rng.choice([1, p]))].append(entry)
    found, _ = placed(ranks)
    assert found == [[whole.index(entry) for entry in mine] for mine in ranks]


def test_no_rank_numbers_much_more_than_its_share_however_the_entries_lie() -> None:
    rng = random.Random(5)
    early = [(int(1e6 ** rng.random()), i) for i in range(20_000)]  # most keys are met at once
    ranks = [sorted(early[k::4]) for k in range(4)]
    _, counts = placed(ranks)
    assert sum(counts) == 20_000
    assert max(counts) < 1.2 * 5000
