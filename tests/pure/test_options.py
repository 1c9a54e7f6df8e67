"""Laws of the options: what a call may say, and what a ``with`` block says for it."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import numpy as np
import pytest

from mpicomp import plist, psum
from mpicomp.errors import MpicompError, OptionError
from mpicomp.options import Options, options


def chosen(**given: Any) -> tuple[int | None, str, str]:
    found = Options(given)  # type: ignore[arg-type]  # wrong ones too
    return found.root, str(found.schedule), found.errors


def test_what_nobody_says() -> None:
    assert chosen() == (0, "auto", "raise")


def test_a_call_says_more_than_a_block_and_the_inner_block_more_than_the_outer() -> None:
    with options(root=1, schedule="static,2", errors="return"):
        assert chosen() == (1, "static,2", "return")
        with options(schedule="static,3"):
            assert chosen() == (1, "static,3", "return")
            assert chosen(root=None, errors="raise") == (None, "static,3", "raise")
        assert chosen() == (1, "static,2", "return")
    assert chosen() == (0, "auto", "raise")


def test_a_block_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), options(root=1):
        raise KeyError
    assert chosen() == (0, "auto", "raise")


def test_one_object_may_be_entered_twice() -> None:
    twice = options(root=1)
    with twice, twice:
        assert chosen()[0] == 1
    assert chosen()[0] == 0


def test_a_block_is_that_of_its_own_thread_and_task() -> None:
    found: list[int | None] = []
    with options(root=1):
        thread = threading.Thread(target=lambda: found.append(chosen()[0]))
        thread.start()
        thread.join()
        found.append(contextvars.copy_context().run(lambda: chosen()[0]))
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"root": -1}, "root must be a rank or None .*got -1"),
        ({"root": 1.0}, "got 1.0"),
        ({"root": "0"}, "got '0'"),
        ({"root": True}, "got True"),
        ({"errors": "ignore"}, "errors must be .*got 'ignore'"),
        ({"errors": None}, "got None"),
        ({"errors": ["raise"]}, "got"),
        ({"schedule": "statc"}, 'write "static"'),
        ({"schedule": "static,0"}, "whole number >= 1, got"),
        ({"schedule": 4}, "a schedule is a text, got 4"),
        ({"schedule": ""}, "schedule"),
        ({"schedule": 0}, "schedule"),
        ({"shedule": "static"}, "no option is called 'shedule'"),
    ],
)
def test_a_bad_option_is_told_in_a_call_and_in_a_block(given: dict[str, Any], message: str) -> None:
    for use in (lambda: options(**given), lambda: plist((x for x in range(3)), **given)):
        with pytest.raises(OptionError, match=message) as caught:
            use()
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, MpicompError)


def test_a_rank_may_be_any_whole_number_type() -> None:
    assert chosen(root=np.int64(2)) == (2, "auto", "raise")


def test_a_verb_without_places_refuses_to_put_errors_there() -> None:
    with pytest.raises(OptionError, match="psum has no such places"):
        psum((x for x in range(3)), errors="return")
