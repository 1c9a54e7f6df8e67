"""Finding the engines, or starting them, and learning which rank each of them is.

Rules of this file: engine ids are not ranks; each engine is asked.  What was started here is
ended here, also when the start fails.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from mpicomp._version import version
from mpicomp.errors import LaunchError, OptionError
from mpicomp.installed import find_mpiexec
from mpicomp.launch import settings
from mpicomp.notebook.engine import About, about, ready
from mpicomp.record.picture import MissingExtra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 120  # seconds for the engines to register, and to say who they are
_ENDING = 2  # seconds for what a controller has started, when that itself has ended
_NEEDED = ("ipyparallel", "cloudpickle")


def check_extra() -> None:
    """Raise `MissingExtra` when what a notebook needs is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"connect needs {' and '.join(missing)}, not installed here; write pip install "
            '"mpicomp[notebook]"'
        )


def started(n: int, engines: str = "mpi") -> tuple[Any, Any]:
    """A cluster of *n* engines, started by mpiexec (or as *engines* says), and a client of it."""
    import logging

    from ipyparallel import Cluster  # type: ignore[import-untyped]  # it has no annotations
    from traitlets.config import Config

    config = Config()
    config.MPILauncher.mpi_cmd = [find_mpiexec()]
    config.MPILauncher.environment = settings(n, os.environ)
    cluster = Cluster(
        engines=engines,
        n=n,
        config=config,
        delay=0.0,
        log_level=logging.CRITICAL,  # it would print how engines are ended
        controller_args=["--HeartMonitor.period=300"],  # engines register at a heart beat
    )
    try:
        cluster.start_cluster_sync()
        client = cluster.connect_client_sync()
        client.wait_for_engines(n, timeout=_PATIENCE, interactive=False)
    except BaseException:
        end(cluster)
        raise
    return cluster, client


def end(cluster: Any) -> None:
    """End the engines and the controller of a cluster, and all that the controller has started.

    A controller that is slow to end is killed, and its schedulers would live on.
    """
    import psutil  # type: ignore[import-untyped]  # ipyparallel brings it, without annotations

    below: list[Any] = []
    with suppress(AttributeError, psutil.Error):  # it has not been started; it is gone
        below = psutil.Process(cluster.controller.pid).children(recursive=True)
    cluster.stop_cluster_sync()
    _, alive = psutil.wait_procs(below, timeout=_ENDING)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def attached(where: Any, profile: str | None) -> tuple[Any, bool]:
    """A client of engines that run already, and whether it was made here.

    Parameters
    ----------
    where : ipyparallel.Client, Cluster or DirectView, or None
    profile : str, optional
    """
    import ipyparallel

    if isinstance(where, ipyparallel.Client):
        return where, False
    if isinstance(where, ipyparallel.DirectView):
        return where.client, False
    if isinstance(where, ipyparallel.Cluster):
        return where.connect_client_sync(), True
    if where is not None:
        raise OptionError(
            f"connect takes a Client, a Cluster or a DirectView of ipyparallel, got {where!r}; "
            "write connect(n=4) to start engines"
        )
    return ipyparallel.Client(profile=profile or "default"), True


def ranked(client: Any) -> tuple[list[int], list[About]]:
    """The engines in the order of their ranks, and what each says of itself.

    Raises
    ------
    LaunchError
        They are not the ranks of one MPI job, or not all of them are there.
    """
    ids = list(client.ids)
    if not ids:
        raise LaunchError(f"there are no engines; {_CURE}")
    try:
        told = dict(zip(ids, client[ids].apply_async(about).get(_PATIENCE), strict=True))
    except ImportError as exc:
        raise LaunchError(f"the engines cannot import mpicomp or mpi4py: {exc}") from exc
    except Exception as exc:
        raise LaunchError(f"the engines do not say who they are: {exc}; {_CURE}") from exc
    order = sorted(ids, key=lambda engine: told[engine].rank)
    check([told[engine] for engine in order])
    return order, [told[engine] for engine in order]


_CURE = (
    "write connect(n=4), or start the engines with MPI: "
    "ipcluster start -n 4 --engines=mpi"
)


def check(engines: Sequence[About]) -> None:
    """Raise `LaunchError` unless these, in the order of their ranks, are one MPI job.

    Examples
    --------
    >>> from platform import python_version
    >>> alone = About(0, 1, "node", 7, "MPICH 5.0.2", python_version(), version)
    >>> check([alone])
    >>> check([alone, alone])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    mpicomp.errors.LaunchError: 2 engines are running, but each is rank 0 of 1: ...
    """
    many, sizes = len(engines), {engine.size for engine in engines}
    if sizes == {1} and many > 1:
        raise LaunchError(
            f"{many} engines are running, but each is rank 0 of 1: they were not started by MPI, "
            f"and cannot reach each other; {_CURE}"
        )
    if [engine.rank for engine in engines] != list(range(many)) or sizes != {many}:
        ranks = ", ".join(f"{engine.rank} of {engine.size}" for engine in engines)
        raise LaunchError(
            f"the engines are not all ranks of one MPI job, but rank {ranks}; end those that are "
            f"left over, then {_CURE}"
        )
    for engine in engines:
        if engine.version != version:
            raise LaunchError(
                f"mpicomp is {version} here and {engine.version} on rank {engine.rank}, "
                f"{engine.host}; install the same version for both"
            )
        if engine.python.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
            raise LaunchError(
                f"Python is {sys.version_info[0]}.{sys.version_info[1]} here and {engine.python} "
                f"on rank {engine.rank}, {engine.host}: code cannot travel between the two"
            )


def prepare(view: Any, cluster: Any) -> None:
    """Let all engines make their communicators.

    Parameters
    ----------
    view : ipyparallel.DirectView
    cluster : ipyparallel.Cluster or None
        One that was started here, and ends with this process, whatever ends it.

    Raises
    ------
    LaunchError
        One of them cannot.
    """
    try:
        owner = (os.uname().nodename, os.getpid(), cluster.controller.pid) if cluster else None
        view.apply_async(ready, owner).get(_PATIENCE)
    except Exception as exc:
        raise LaunchError(f"the engines cannot be made ready: {exc}") from exc


def in_ipython() -> bool:
    """Whether this is an IPython session."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
