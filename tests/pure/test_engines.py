"""A notebook's side of its engines, and an engine's side of a call, without ipyparallel between."""

from __future__ import annotations

import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpicomp
from mpicomp._version import version
from mpicomp.errors import LaunchError, TransportError
from mpicomp.notebook import starting, travel
from mpicomp.notebook.bar import Bar
from mpicomp.notebook.engine import About, answered, error_of, perform
from mpicomp.notebook.session import Inside
from mpicomp.notebook.show import Info
from mpicomp.notebook.travel import as_known, by_value, pack, unpack
from mpicomp.plan.source import Data
from tests.launch import environment, run_python

PYTHON = ".".join(map(str, sys.version_info[:3]))


def said(rank: int = 0, size: int = 1, **other: Any) -> About:
    return About(rank, size, "node", 70 + rank, "MPICH 5.0.2", PYTHON, version)._replace(**other)


class Answering:
    """A client whose engines, each by its id, answer what they are given; or fail."""

    def __init__(self, engines: dict[int, Any]) -> None:
        self.ids, self.engines = list(engines), engines

    def __getitem__(self, ids: list[int]) -> Answering:
        return Answering({engine: self.engines[engine] for engine in ids})

    def apply_async(self, *_: Any) -> Answering:
        return self

    def get(self, timeout: float) -> list[Any]:
        for answer in self.engines.values():
            if isinstance(answer, BaseException):
                raise answer
        return list(self.engines.values())


REFUSED: dict[str, tuple[dict[int, Any], str]] = {
    "none": ({}, "there are no engines; write connect(n=4), or start the engines with MPI"),
    "they have no mpicomp": (
        {0: said(), 1: ImportError("No module named 'mpicomp'")},
        "the engines cannot import mpicomp or mpi4py: No module named 'mpicomp'",
    ),
    "they do not answer": (
        {0: TimeoutError("no answer")}, "do not say who they are: no answer; write connect(n=4)",
    ),
    "no MPI": ({0: said(), 1: said()}, "each is rank 0 of 1: they were not started by MPI"),
    "one is missing": ({3: said(0, 3), 4: said(2, 3)}, "but rank 0 of 3, 2 of 3; end those"),
    "two jobs": ({0: said(0, 2), 1: said(1, 2), 2: said()}, "rank 0 of 2, 0 of 1, 1 of 2"),
    "another mpicomp": (
        {0: said(0, 2), 1: said(1, 2, version="0.0.9")},
        f"mpicomp is {version} here and 0.0.9 on rank 1, node; install the same",
    ),
    "another Python": (
        {0: said(0, 2), 1: said(1, 2, python="3.9.9")}, "3.9.9 on rank 1, node: code cannot travel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_engines_that_cannot_be_used_are_told_with_what_to_write(case: str) -> None:
    engines, text = REFUSED[case]
    with pytest.raises(LaunchError) as raised:
        starting.ranked(Answering(engines))
    assert text in str(raised.value)


def test_engines_are_taken_in_the_order_of_their_ranks() -> None:
    engines = {4: said(2, 3), 7: said(0, 3), 9: said(1, 3)}
    order, told = starting.ranked(Answering(engines))
    assert order == [7, 9, 4]
    assert told == [engines[engine] for engine in order]
    shown = str(Info([*zip(order, told, strict=True)])).splitlines()
    assert shown == [
        f"mpicomp {version}: 3 MPI ranks (3 on node), MPICH 5.0.2, Python {PYTHON}",
        "  rank 0: engine 7, pid 70 on node",
        "  rank 1: engine 9, pid 71 on node",
        "  rank 2: engine 4, pid 72 on node",
    ]


def test_engines_that_cannot_make_a_communicator_are_told() -> None:
    with pytest.raises(LaunchError, match="cannot be made ready: MPI_ERR_COMM"):
        starting.prepare(Answering({0: None, 1: RuntimeError("MPI_ERR_COMM")}), None)


def test_what_connect_needs_is_told_with_the_line_to_write() -> None:
    program = """if True:
        import sys
        from mpicomp.notebook import connect
        from mpicomp.record.picture import MissingExtra
        for hidden in (["cloudpickle"], ["cloudpickle", "ipyparallel"]):
            sys.modules |= dict.fromkeys(hidden)
            try:
                connect(n=2)
            except MissingExtra as exc:
                print(exc)
    """
    needs = 'connect needs {}, not installed here; write pip install "mpicomp[notebook]"'
    expected = [needs.format(names) for names in ("cloudpickle", "ipyparallel and cloudpickle")]
    assert run_python(["-c", program]).stdout.splitlines() == expected


def test_where_no_controller_runs_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with pytest.raises(OSError, match="no Controller could be found"):
        mpicomp.notebook.connect(profile="nosuch")


# --- engines end with their notebook -------------------------------------------------------------

ENGINE = """if True:
    import sys
    import psutil
    from mpicomp.notebook.engine import _end_with
    print("waits", flush=True)
    _end_with(*map(int, sys.argv[1:]))
"""


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("gone", ["nobody", "notebook", "controller"])
def test_engines_end_with_their_notebook_whoever_is_gone_before(gone: str) -> None:
    notebook, controller = sleeper(), sleeper()
    try:
        end(*{"notebook": [notebook], "controller": [controller]}.get(gone, []))
        command = [sys.executable, "-c", ENGINE, str(notebook.pid), str(controller.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as engine:
            assert engine.stdout is not None
            assert engine.stdout.readline() == b"waits\n"
            if gone != "notebook":
                assert engine.poll() is None, "it lives as long as its notebook"
                end(notebook)
            assert engine.wait(60) == -signal.SIGKILL
        expected = -signal.SIGKILL if gone == "controller" else -signal.SIGTERM
        assert controller.wait(60) == expected
    finally:
        end(notebook, controller)


# --- a call, packed, made, and answered ----------------------------------------------------------


class Here:
    """One engine, which is this process: what a session sends and gets, with nothing between."""

    def __mpicomp_run__(self, verb: str, build: Any) -> Any:
        packed = pack(build())
        message = [bytes(part) for part in packed.head], [bytes(part) for part in packed.leaves]
        answer, value = answered(perform(verb, False, False, message[0], *message[1]))
        self.printed = answer.printed
        failure = error_of(answer) or packed.problem
        if failure is not None:
            raise failure
        return value


HERE: Any = Here()


def test_a_call_that_has_travelled_gives_what_the_serial_line_gives() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    many = [np.full(3000, k) for k in range(40)]  # more buffers than a message has
    assert mpicomp.plist((x * x for x in range(9) if x % 2), comm=HERE) == [1, 9, 25, 49]
    assert mpicomp.pmap(divmod, [7, 8], (2, 3), comm=HERE) == [(3, 1), (2, 2)]
    got = mpicomp.parray((2 * row for row in rows), comm=HERE)
    assert np.array_equal(got, 2 * rows)  # type: ignore[arg-type]  # the root has it
    back = mpicomp.plist((each[::-1] for each in many), comm=HERE)
    assert back is not None
    assert all(np.array_equal(a, b) for a, b in zip(back, many, strict=True))
    assert mpicomp.plist((print("said", x) or x for x in "ab"), comm=HERE) == ["a", "b"]
    assert HERE.printed == ("said a\nsaid b\n", "")
    with pytest.raises(ZeroDivisionError) as raised:
        mpicomp.psum((1 // x for x in (1, 0)), comm=HERE)
    assert "in item 1 (x=0)" in raised.value.__notes__[0]
    assert "1 // x" in str(raised.value.__cause__)


def test_a_session_that_has_travelled_to_an_engine_computes_there_serially() -> None:
    assert Inside().plist(x * x for x in range(4)) == [0, 1, 4, 9]
    assert Inside().ranks is None


def test_a_value_of_a_module_that_is_missing_here_is_told() -> None:
    module = types.ModuleType("only_there")
    exec("class Thing: pass", vars(module))
    sys.modules["only_there"] = module

    class Alone(Here):
        def __mpicomp_run__(self, verb: str, build: Any) -> Any:
            packed = pack(build())
            reply = perform(verb, False, False, packed.head, *packed.leaves)
            del sys.modules["only_there"]  # the engine has it
            return answered(reply)[1]

    def make(_: int) -> Any:
        return vars(sys.modules["only_there"])["Thing"]()

    alone: Any = Alone()
    with pytest.raises(TransportError, match=r"only_there.*; import its class in the notebook"):
        mpicomp.plist((make(x) for x in range(3)), comm=alone)


def test_a_class_of_a_cell_comes_back_as_the_class_that_it_was() -> None:
    class Cell:
        pass

    def function(x: int) -> int:
        return x + 7

    for _ in range(2):  # the first time it has no key yet
        make, arguments = by_value(Cell)
        assert make is as_known
        assert make(*arguments) is Cell
    key, pickled = arguments
    assert as_known(key, b"not looked at") is Cell
    assert as_known("never heard of", pickled) is Cell
    make, arguments = by_value(function)
    assert make(*arguments)(1) == 8


class Kept:
    """Keeps the call that it is to make."""

    def __mpicomp_run__(self, verb: str, build: Any) -> None:
        self.call = build()


def test_a_function_has_the_code_that_it_had_the_last_time_and_old_ones_go() -> None:
    kept: Any = Kept()

    def arrived(function: Any) -> Any:
        mpicomp.pmap(function, range(3), comm=kept)
        packed = pack(kept.call)
        come: Any = unpack(packed.head, packed.leaves).comprehension.function
        return come.__code__

    def usual(x: int) -> int:
        return x

    code = arrived(usual)
    assert code == usual.__code__
    assert arrived(usual) is code, "what is known of a code goes with the object"
    for number in range(1010):
        travel.built(None, Data([]), False, eval(f"lambda x: x + {number}"), None, None, 0)
    assert len(travel._codes) <= 1001
    assert arrived(usual) == code


def test_a_bar_that_is_told_nothing_draws_nothing_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept: Any = Kept()
    mpicomp.plist((x for x in range(8)), comm=kept)
    bar = Bar(kept.call)
    bar.show({})
    bar.show({"done": 3, "busy": 2, "total": 8, "ranks": 2})
    bar.close({})
    assert "3/8" in capsys.readouterr().err
