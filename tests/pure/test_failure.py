"""Laws of failures: whatever an exception holds, it travels and is told."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from mpicomp.errors import RemoteError, RemoteTraceback
from mpicomp.plan.failure import Failure, notes_for, pack, revive, tell, unpack


class Other(Exception):
    """Its ``__init__`` has other parameters than its args."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason


class NoArgs(ValueError):
    def __init__(self, path: str) -> None:
        self.path = path


class Locked(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()
        self.name = "kept"


class BadText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class BadPickle(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not this way")


class Address:
    """Its repr differs from process to process."""


@pytest.mark.parametrize(
    "exc",
    [
        ValueError(),
        KeyError("k", 2),
        ZeroDivisionError("division by zero"),
        OSError(2, "No such file", "here"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal"),
        StopIteration(5),
        SystemExit(3),
        KeyboardInterrupt(),
        ExceptionGroup("both", [ValueError(1), KeyError(2)]),
        Other(3, reason="because"),
        NoArgs("here"),
        BadPickle(1, "two"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_type_arguments_and_attributes_travel(exc: BaseException) -> None:
    back = unpack(pack(exc))
    assert type(back) is type(exc)
    assert repr(back.args) == repr(exc.args)
    assert str(back) == str(exc)
    assert {key: repr(value) for key, value in vars(back).items()} == {
        key: repr(value) for key, value in vars(exc).items()
    }


def test_what_cannot_travel_is_told_by_its_repr() -> None:
    back = unpack(pack(Locked("first", threading.Lock())))
    assert type(back) is Locked
    assert back.args[0] == "first"
    assert "lock" in back.args[1]
    assert back.name == "kept"
    assert "lock" in str(back.lock)


def test_an_argument_with_an_address_in_its_repr_stays_itself() -> None:
    back = unpack(pack(ValueError(Address())))
    assert type(back.args[0]) is Address


def test_a_class_that_others_cannot_find_is_told_by_name_and_text() -> None:
    class Local(ValueError):
        pass

    back = unpack(pack(Local("x", 4)))
    assert type(back) is RemoteError
    assert "Local: ('x', 4)" in str(back)


def test_a_broken_text_hides_nothing() -> None:
    class Local(BadText):
        pass

    assert type(unpack(pack(BadText(1)))) is BadText
    assert "Local: (1,)" in str(unpack(pack(Local(1))))


def test_bytes_that_make_no_exception_are_told() -> None:
    assert type(unpack(b"nonsense")) is RemoteError


def raised() -> ZeroDivisionError:
    try:
        1 / 0  # noqa: B018  # for its error
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_a_failure_pickles_and_brings_notes_and_traceback() -> None:
    failure = Failure(raised(), 417, ("  in item 417",))
    exc = pickle.loads(pickle.dumps(failure)).exception()
    assert type(exc) is ZeroDivisionError
    assert exc.args == ("division by zero",)
    assert exc.__notes__ == ["  in item 417"]
    assert type(exc.__cause__) is RemoteTraceback
    assert "1 / 0" in str(exc.__cause__)
    assert "Traceback" in str(exc.__cause__)
    assert failure.index == 417


@pytest.mark.parametrize(("others", "text"), [(1, "another item"), (2, "2 other items")])
def test_other_failures_are_counted(others: int, text: str) -> None:
    assert text in Failure(raised(), 0, ()).exception(others).__notes__[-1]


def test_notes_are_added_once_and_the_users_stay() -> None:
    exc = ValueError()
    exc.add_note("the user's")
    tell(exc, ("one", "two"))
    tell(exc, ("one", "two"))
    assert exc.__notes__ == ["the user's", "one", "two"]
    assert Failure(exc, 0, ("two", "three")).exception().__notes__ == [
        *exc.__notes__, "three",
    ]  # fmt: skip


def test_a_returned_exception_is_revived_as_it_was() -> None:
    exc = revive(pack(KeyError("k")), ("note",), "its traceback")
    assert repr(exc) == "KeyError('k')"
    assert exc.__notes__ == ["note"]
    assert str(exc.__cause__) == "its traceback"


def test_notes_say_which_item_where_and_what_line() -> None:
    notes = "\n".join(notes_for(417, 0.0, 5, "node03", "script.py:12", "f(x) for x in grid"))
    for part in ("item 417", "x=0.0", "rank 5", "node03", "script.py:12", "f(x) for x in grid"):
        assert part in notes
    assert "in the source itself" in notes_for(None, None, 0, "here", "script.py:1", "")[0]


def test_a_value_is_told_briefly_and_its_broken_repr_too() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise KeyError("repr")

    assert len(notes_for(0, list(range(10**6)), 0, "h", "w", "")[0]) < 200
    assert "Broken" in notes_for(0, Broken(), 0, "h", "w", "")[0]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_repr_that_would_end_the_program_ends_nothing(raised: type[BaseException]) -> None:
    class Ending:
        def __repr__(self) -> str:
            raise raised

        def __reduce__(self) -> Any:
            raise TypeError("it cannot travel either")

    text = f"<Ending, whose repr raises {raised.__name__}>"
    assert notes_for(3, Ending(), 1, "h", "w", "")[0] == f"  in item 3 (x={text}) on rank 1, h"
    back = unpack(pack(ValueError("first", Ending())))
    assert type(back) is ValueError
    assert back.args == ("first", text)
