"""How much of a stream is read at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.gulp import Gulp

seconds = st.lists(st.one_of(st.floats(0, 1e-5), st.floats(1e-3, 10)), max_size=40)


@given(seconds, st.integers(1, 1000))
def test_nobody_waits_for_more_than_was_quick(took: list[float], wanted: int) -> None:
    gulp = Gulp()
    for each in took:
        before = gulp.of(1000, hungry=True)
        gulp.took(each)
        after = gulp.of(1000, hungry=True)
        assert 1 <= gulp.of(wanted, hungry=True) <= gulp.of(wanted, hungry=False) <= wanted
        assert after > before or after == 64 if each < 1e-4 else after <= max(1, before / 2)
        assert gulp.several == (after > 1)


def test_the_first_is_read_alone_while_somebody_waits() -> None:
    assert Gulp().of(100, hungry=True) == 1


def test_after_many_quick_ones_one_slow_one_halves_it() -> None:
    gulp = Gulp()
    for _ in range(20):
        gulp.took(0.0)
    assert gulp.of(1000, hungry=True) == 64
    gulp.took(1.0)
    assert gulp.of(1000, hungry=True) == 32
