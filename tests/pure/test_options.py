"""Laws of the options: what a call may say, and what a ``with`` block says for it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mpicomp import plist, psum
from mpicomp.errors import MpicompError, OptionError
from mpicomp.options import Options, options, patience_of_job
from tests.launch import run_python


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


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """What the environment says, read anew."""

    def say(text: str | None) -> None:
        if text is None:
            monkeypatch.delenv("MPICOMP_PATIENCE", raising=False)
        else:
            monkeypatch.setenv("MPICOMP_PATIENCE", text)
        patience_of_job.cache_clear()

    yield say
    patience_of_job.cache_clear()


def test_a_call_has_the_patience_of_the_job_and_says_more_than_the_environment(
    patience: Callable[[str | None], None],
) -> None:
    for text, seconds in [(None, None), ("", None), ("30", 30.0), (" 2.5\n", 2.5), ("1e3", 1e3)]:
        patience(text)
        assert Options({}).patience == seconds
        assert Options({"patience": 7}).patience == 7
        assert Options({}).plain == (seconds is None)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon", "3 s", "1,5"])
def test_a_patience_that_is_none_is_told_at_each_call(
    text: str, patience: Callable[[str | None], None]
) -> None:
    patience(text)
    for _ in range(2):
        with pytest.raises(OptionError, match=f"must be seconds, more than 0, got {text!r}"):
            Options({})


def test_the_environment_is_read_when_a_call_is_made_and_not_before() -> None:
    program = """if True:
        import mpicomp
        try:
            mpicomp.plist(x for x in range(3))
        except mpicomp.OptionError as error:
            print(error)
        print(mpicomp.plist((x for x in range(3)), patience=9))
    """
    done = run_python(["-c", program], env={"MPICOMP_PATIENCE": "soon"})
    assert done.stdout == (
        "MPICOMP_PATIENCE must be seconds, more than 0, got 'soon'\n[0, 1, 2]\n"
    ), done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reissue": True, "deadline": 9.0}, "reissue=True interrupts .*got deadline="),
        ({"root": "stay", "reissue": True}, 'root="stay" leaves values .*leave one of them out'),
        ({"ranks_per_item": 2, "timeout": 1.0}, "an item of several ranks .*got timeout"),
        ({"dispatch": "counter", "schedule": "static"}, 'dispatch="counter" is for .*got static'),
        ({"cost": [1.0], "schedule": "static,2"}, "cost= says which items come first"),
        ({"cost": [1.0], "dispatch": "master"}, "cost= has chunks claimed .*leave one of them"),
    ],
    ids=map(str, range(6)),
)
def test_options_that_contradict_each_other_are_told(given: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Options(given)
