"""The runs of tests/chaos are drawn from their seeds, and judged as they should be."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import BAD, Outcome, difference, judged, serial
from tests.chaos.cases import EXECUTORS, VERBS, WAYS, case_of
from tests.chaos.program import comprehension, source

SEEDS = range(200)


@pytest.mark.parametrize("mpi", WAYS)
def test_a_seed_gives_a_case_that_can_be_run(mpi: str) -> None:
    ways, verbs = set(), set()
    for seed in SEEDS:
        case = case_of(seed, mpi)
        assert case == case_of(seed, mpi)
        ways.add(case.way)
        verbs.add(case.verb)
        assert not (case.resumes and case.verb in EXECUTORS)
        for attempt in case.attempts:
            assert case.root is None or 0 <= case.root < attempt.ranks
            victims = [kill.rank for kill in attempt.kills]
            assert len(set(victims)) == len(victims)
            assert all(0 <= rank < attempt.ranks for rank in victims)
            assert [kill.after for kill in attempt.kills] == sorted(k.after for k in attempt.kills)
            assert case.way != "survive" or len(victims) < attempt.ranks
        assert not case.resumes or not case.attempts[-1].kills
    assert verbs == {*VERBS, *EXECUTORS}
    assert ways == set(WAYS[mpi])
    assert ways == {case_of(seed, mpi).way for seed in range(6)}, "the short run leaves one out"


@pytest.mark.parametrize(
    ("found", "word"),
    [("[1, 2]", "lost"), ("[1, 2, 3, 3]", "doubled"), ("[1, 2, 4]", "wrong"), ("[2]", "lost")],
)
def test_what_is_wrong_with_a_value(found: str, word: str) -> None:
    assert difference(found, "[1, 2, 3]") == word


def test_outcomes() -> None:
    journal = next(case for seed in SEEDS if (case := case_of(seed, "mpich")).way == "journal")
    plain = next(case for seed in SEEDS if (case := case_of(seed, "mpich")).way == "plain")
    survive = next(case for seed in SEEDS if (case := case_of(seed, "openmpi")).way == "survive")
    both = next(case for seed in SEEDS if (case := case_of(seed, "openmpi")).way == "both")
    good = Outcome(0, "[1]", "", 1)
    everyone = Outcome(9, None, "", both.attempts[0].ranks)
    assert judged(both, both.attempts[0], everyone, "[1]", last=False) == "ended"
    assert judged(survive, survive.attempts[0], good, "[1]", last=True) == "survived"
    assert judged(journal, journal.attempts[0], good, "[1]", last=True) == "resumed"
    ended = good._replace(code=9, value=None)
    assert judged(plain, plain.attempts[0], ended, "[1]", last=True) == "ended"
    for case, outcome in (
        (plain, good._replace(code=None)),
        (plain, good._replace(value=None)),  # MPICH's exit 0 with nothing to show
        (plain, good._replace(value="[1, 1]")),
        (plain, good._replace(code=9, killed=0)),
        (survive, good._replace(code=9)),
        (both, good._replace(code=9, killed=both.attempts[0].ranks - 1)),
    ):
        assert judged(case, case.attempts[0], outcome, "[1]", last=True) in BAD


def test_the_serial_values() -> None:
    def value(verb: str) -> str:
        return serial(verb, comprehension(verb, source("range"), 3, rests=False))

    assert value("plist").startswith("[10, 17, 31, 38")
    assert value("preduce").startswith("'31017")
    assert value("pgroup").startswith("{0: [3, 80,"), value("pgroup")
