"""What every test runs under; under MPI, the ranks are kept in step.

A test that fails on one rank fails on all, at the same place: after each phase of each test,
and after each example of a property, the ranks tell one another how it went.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import pytest_mpi  # type: ignore[import-untyped]  # it ships none
from hypothesis.errors import UnsatisfiedAssumption

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

MPI_TESTS = Path(__file__).parent / "mpi"
ADDRESS = re.compile("0x[0-9a-f]+")  # alone differs between ranks that fail alike
LAST_WORDS = 5.0  # seconds, for all ranks to write their stacks


@pytest.fixture
def world() -> Intracomm:
    """COMM_WORLD."""
    from mpi4py import MPI

    return MPI.COMM_WORLD


@pytest.fixture(params=["world", "self"])
def comm(request: pytest.FixtureRequest) -> Intracomm:
    """COMM_WORLD in one run of the test, COMM_SELF in another."""
    from mpi4py import MPI

    return MPI.COMM_WORLD if request.param == "world" else MPI.COMM_SELF


def pytest_configure(config: pytest.Config) -> None:
    """Choose how properties are searched, and bind the ranks together."""
    hypothesis.settings.register_profile("serial", deadline=None)
    hypothesis.settings.register_profile(
        "mpi",
        # every rank tries the same examples
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=25,
        suppress_health_check=list(hypothesis.HealthCheck),  # they look at the clock of one rank
    )
    with_mpi = config.getoption("--with-mpi")
    hypothesis.settings.load_profile("mpi" if with_mpi else "serial")
    if with_mpi:
        from mpi4py import MPI

        config.pluginmanager.register(InStep(MPI.COMM_WORLD.Dup(), config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands under tests/mpi, before pytest-mpi reads the marks."""
    for item in items:
        if MPI_TESTS in item.path.parents:
            item.add_marker(pytest.mark.mpi)


class InStep:
    """The ranks collect the same tests, and each phase of a test ends alike on all of them.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        A duplicate of its own: no message of a test can be taken for one of these.
    config : pytest.Config
        Says after how many seconds a test ends the run.
    """

    def __init__(self, comm: Intracomm, config: pytest.Config) -> None:
        self.comm = comm
        self.config = config
        self.told = ""  # the error with which this rank waits for the others

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Start only when all ranks have collected the same, without an error."""
        mine = (session.testsfailed, [item.nodeid for item in session.items])
        ranks = self.comm.allgather(mine)
        if any(failed for failed, _ in ranks):
            pytest.exit(f"errors in collecting, by rank: {[failed for failed, _ in ranks]}", 1)
        if any(rank != mine for rank in ranks):
            differ = set.union(*(set(ids) for _, ids in ranks)) - set.intersection(
                *(set(ids) for _, ids in ranks)
            )
            pytest.exit(f"the ranks collected different tests, or in other order: {differ}", 1)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Let the ranks agree after each example of a property."""
        test = getattr(item, "obj", None)
        if hypothesis.is_hypothesis_test(test):
            handle = test.hypothesis  # type: ignore[union-attr]  # it has one
            if not hasattr(handle.inner_test, "in_step"):
                handle.inner_test = self._example(handle.inner_test)

    def _example(self, test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def example(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            refused, told = None, ""
            try:
                test(*args, **kwargs)
            except UnsatisfiedAssumption as error:
                refused, told = error, "assume() refused this example"
            except (Exception, pytest.fail.Exception):
                told = traceback.format_exc()
            ranks = self._allgather(told, told)
            if refused and all(rank == told for rank in ranks):
                raise refused
            if any(ranks):
                # the same error on every rank, or they would shrink to different examples
                lines = (f"rank {rank}: {told or 'passed'}" for rank, told in enumerate(ranks))
                raise AssertionError("\n".join(lines))

        example.in_step = True  # type: ignore[attr-defined]  # our mark
        return example

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """End the whole run when one test hangs; pytest's faulthandler has told where."""
        limit = float(self.config.getini("faulthandler_timeout"))
        timer = threading.Timer(limit + LAST_WORDS, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            return (yield)
        finally:
            timer.cancel()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make a phase that failed anywhere, or did not go alike everywhere, fail on all ranks."""
        report = yield
        text = "\n".join(filter(None, [report.longreprtext, report.capstdout, report.capstderr]))
        outcomes = self._allgather(report.outcome, text if report.failed else "")
        if set(outcomes) in ({"passed"}, {"skipped"}):
            return report
        texts = [ADDRESS.sub("0x...", text) for text in self.comm.allgather(text)]
        for rank, (outcome, text) in enumerate(zip(outcomes, texts, strict=True)):
            if outcome != "passed" and text != texts[self.comm.rank]:
                report.sections.append((f"{outcome} on rank {rank}", text))
        if report.outcome != "failed":
            report.longrepr = f"{report.outcome} here; by rank: {outcomes}"
            report.outcome = "failed"
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self) -> None:
        """Keep pytest-mpi from closing each run with a page about the MPI library."""
        for plugin in self.config.pluginmanager.get_plugins():
            if isinstance(plugin, pytest_mpi.MPIPlugin):
                plugin._is_testing_mpi = False

    def _allgather(self, word: str, told: str) -> list[str]:
        """*word* of all ranks; *told* is for `_give_up`, should they not come."""
        self.told = told
        words = self.comm.allgather(word)
        self.told = ""
        return words

    def _give_up(self) -> None:
        capture = self.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"rank {self.comm.rank} waited for the others with:", self.told or "no error")
            sys.stdout.flush()
            os._exit(1)
