"""Laws of pickling: by name where that works, by value only where that is asked for."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # it has no annotations
import numpy as np
import pytest

from mpicomp.plan import pickling
from mpicomp.plan.pickling import dumps, has_name
from tests.launch import run_python


def function(x: int) -> int:
    return x + 1


class Named:
    class Inner:
        pass


def nameless() -> Any:
    return lambda x: x + 1


def made(name: str) -> type:
    return type(name, (), {"method": function})


@pytest.fixture
def by_value(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What went by value, while that is asked for."""
    gone: list[Any] = []

    def way(obj: Any) -> tuple[Any, ...]:
        gone.append(obj)
        return pickle.loads, (cloudpickle.dumps(obj),)

    monkeypatch.setattr(pickling, "by_value", way)
    return gone


def test_what_has_a_name_is_what_its_module_has_under_it() -> None:
    assert all(map(has_name, (function, Named, Named.Inner, int, np.ndarray, pickle.Pickler)))
    assert not any(map(has_name, (nameless(), made("Named"), made("Other"))))


@pytest.mark.parametrize("value", [nameless(), made("Other")(), made("Named")])
def test_without_being_asked_nothing_goes_by_value(value: Any) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        dumps([1, value])


def test_only_what_has_no_name_goes_by_value_when_asked(by_value: list[Any]) -> None:
    plain = [function, Named(), {1: 2.5}]
    assert bytes(dumps(plain)) == pickle.dumps(plain, 5)
    assert by_value == []
    kind, lone = made("Other"), nameless()
    back = pickle.loads(dumps([kind(), lone, function, Named]))
    assert by_value == [kind, lone]
    assert (back[0].method.__func__(1), back[1](1), back[2:]) == (2, 2, [function, Named])


def test_a_second_start_keeps_no_buffer_of_the_first(by_value: list[Any]) -> None:
    kept: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        kept.append(buffer.raw())
        return False

    array = np.arange(1000)
    data = dumps([array, nameless()], keep, kept.clear)
    assert len(kept) == 1
    back = pickle.loads(data, buffers=kept)
    assert np.array_equal(back[0], array)
    assert back[1](1) == 2


def test_what_neither_way_can_pickle_raises_what_pickle_does(by_value: list[Any]) -> None:
    with pytest.raises(TypeError, match="generator"):
        dumps([nameless(), (x for x in range(3))])


def test_another_process_runs_what_went_by_value(by_value: list[Any]) -> None:
    data = bytes(dumps([nameless(), made("Other")]))
    program = f"import pickle; f, kind = pickle.loads({data!r}); print(f(1), kind.__name__)"
    done = run_python(["-c", program])
    assert done.stdout == "2 Other\n", done.stderr
