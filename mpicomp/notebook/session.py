"""``mpi = connect(n=4)``: the verbs, made on engines, with their values in the notebook.

Rules of this file: a call is sent to all engines or to none; while it is waited for, the stop
button works; the next call is refused rather than queued behind one that does not end.
"""

from __future__ import annotations

import signal
import sys
import time
from functools import wraps
from typing import Any

from mpicomp import loop, mapreduce, reductions, verbs
from mpicomp.engine.agree import check_root
from mpicomp.engine.watch import watch
from mpicomp.errors import LaunchError, MpicompError, OptionError
from mpicomp.notebook import starting
from mpicomp.notebook.bar import Bar
from mpicomp.notebook.engine import answered, error_of, perform
from mpicomp.notebook.show import Info
from mpicomp.notebook.travel import pack
from mpicomp.plan.value import whole
from mpicomp.record.recording import record, recording

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.call import Call
    from mpicomp.notebook.engine import Answer

_LOOK = 0.2  # seconds between two looks at engines that may have died
_STOPPING = 20.0  # seconds that the engines have to come to an end when they are stopped


def connect(where: Any = None, /, *, n: int | None = None, profile: str | None = None) -> Session:
    """Engines of ipyparallel that are the ranks of one MPI job.

    Parameters
    ----------
    where : ipyparallel.Client, Cluster or DirectView, optional
        Engines that run already.
    n : int, optional
        Start so many engines on this machine, with the mpiexec of this environment.  They end
        with the notebook, or with `Session.close`.
    profile : str, optional
        The profile of a cluster that runs already, as of ``ipcluster start --profile=...``.

    Returns
    -------
    Session

    Raises
    ------
    MissingExtra
        Without ipyparallel or cloudpickle.
    LaunchError
        The engines are not the ranks of one MPI job; says what to write.

    Examples
    --------
    ::

        from mpicomp.notebook import connect
        mpi = connect(n=4)
        squares = mpi.plist(x * x for x in range(1000))
    """
    starting.check_extra()
    if n is None:
        client, mine = starting.attached(where, profile)
        return Session(client, None, mine)
    if where is not None or profile is not None:
        raise OptionError(
            "n= starts engines, and these run already; write connect(n=4), or connect(client)"
        )
    cluster, client = starting.started(whole("n", n, 1))
    return Session(client, cluster, mine=True)


def _verb(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def verb(self: Verbs, /, *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True  # IPython leaves this line out
        try:
            return function(*args, **{"comm": self.ranks, **options})
        except BaseException as exc:
            told = isinstance(exc, (MpicompError, KeyboardInterrupt)) or exc.__cause__
            raise exc.with_traceback(None if told else exc.__traceback__)  # noqa: B904  # the same

    return verb


class Verbs:
    """The verbs of `mpicomp`, made by *ranks*."""

    @property
    def ranks(self) -> Any:
        return None

    pall = _verb(reductions.pall)
    pany = _verb(reductions.pany)
    parray = _verb(verbs.parray)
    pcount = _verb(mapreduce.pcount)
    pdict = _verb(verbs.pdict)
    pfor = _verb(loop.pfor)
    pgroup = _verb(mapreduce.pgroup)
    plist = _verb(verbs.plist)
    pmap = _verb(verbs.pmap)
    pmax = _verb(reductions.pmax)
    pmin = _verb(reductions.pmin)
    preduce = _verb(reductions.preduce)
    preduce_by_key = _verb(mapreduce.preduce_by_key)
    pset = _verb(verbs.pset)
    psum = _verb(reductions.psum)


class Inside(Verbs):
    """What a session becomes in an item on an engine: there verbs run serially, as everywhere."""


class Session(Verbs):
    """Engines that are the ranks of one MPI job; made by `connect`.

    Its verbs (``mpi.plist`` and so on) are those of `mpicomp`, with all their options.  The value
    is the root's, and comes to the notebook; the other ranks' ``None`` does not.  Use it as a
    context manager, or `close` it.

    Attributes
    ----------
    client : ipyparallel.Client
    engines : list of int
        Ids of the engines, in the order of their ranks.
    view : ipyparallel.DirectView
        Of the engines in that order; ``%%px`` uses it.
    size : int
        Number of ranks.
    info : Info
        Who the engines are, as a table in a notebook.
    """

    record = staticmethod(record)

    def __init__(self, client: Any, cluster: Any, mine: bool) -> None:
        self.client, self._cluster, self._mine = client, cluster, mine
        self._busy: list[Any] = []
        self._renew = self._closed = False
        try:
            self.engines, about = starting.ranked(client)
            self.size = len(self.engines)
            self.info = Info(list(zip(self.engines, about, strict=True)))
            self.view = client[self.engines]
            starting.prepare(self.view, cluster)
        except BaseException:
            self.close()
            raise
        if cluster is not None and starting.in_ipython():
            self.view.block = True  # a cell under %%px waits, and shows what was printed
            self.view.activate()

    @property
    def ranks(self) -> Session:
        return self

    def __repr__(self) -> str:
        return f"<{self.info!r}>"

    def _repr_html_(self) -> str:
        return self.info._repr_html_()

    def __reduce__(self) -> Any:
        return Inside, ()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started here: the engines that `connect` started, and the connection."""
        self._closed = True
        if self._mine:
            self.client.close()
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            starting.end(cluster)

    def restart(self) -> None:
        """End the engines, at once, and start as many new ones; they know nothing any more."""
        if self._cluster is None:
            raise LaunchError("these engines were not started here; end them where they were")
        n = self.size
        self.close()
        cluster, client = starting.started(n)
        Session.__init__(self, client, cluster, mine=True)

    def __mpicomp_run__(self, verb: str, build: Callable[[], Call]) -> Any:
        """Make a call on the engines, and give back the value of its root."""
        __tracebackhide__ = True
        self._check_free()
        call = build()
        check_root(call.options.root, self)  # type: ignore[arg-type]  # it asks for the size
        if call.options.stays:
            raise OptionError(
                'root="stay" leaves values on ranks where a notebook does not see them; leave it '
                "out, or write it in a %%px cell"
            )
        watch(call, call.options.root or 0)
        head, leaves, problem = pack(call)
        root = self.engines[call.options.root or 0]
        others = [engine for engine in self.engines if engine != root]
        told = (verb, self._renew, call.events is not None, head)
        self._renew = False
        self._busy = [self.client[[root]].apply_async(perform, *told, *leaves)]
        if others:
            self._busy.append(self.client[others].apply_async(perform, *told))
        replies = self._replies(Bar(call) if call.options.progress else None)
        return self._concluded(call, replies, problem)

    def _check_free(self) -> None:
        if self._closed:
            raise LaunchError("this session has been closed; write mpi = connect(n=4)")
        if any(not sent.ready() for sent in self._busy):
            raise LaunchError(
                "the engines are still in a call that was stopped and does not end; wait for it, "
                "or write mpi.restart(), which ends them and starts new ones"
            )

    def _replies(self, bar: Bar | None) -> list[list[Any]]:
        """What all engines have answered, the root first.

        Raises
        ------
        KeyboardInterrupt
            The stop button; the engines have been stopped before it goes on.
        LaunchError
            An engine has died.
        """
        __tracebackhide__ = True
        try:
            while not all(sent.ready() for sent in self._busy):
                self._await(_LOOK)
                self._check_alive()
                if bar is not None:
                    bar.show(self._busy[0].data[0])
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            if bar is not None:
                bar.close(self._busy[0].data[0] if self._busy else {})
        self._check_alive()
        replies = [reply for sent in self._busy for reply in sent.get()]
        self.client.purge_local_results(self._busy)  # it would keep them for ever
        return replies

    def _await(self, seconds: float) -> None:
        for sent in self._busy:
            if not sent.ready():
                sent.wait(seconds)
                return

    def _check_alive(self) -> None:
        for sent in self._busy:
            if sent.ready() and not sent.successful():
                problem = sent.exception()
                self._busy = []
                raise LaunchError(
                    f"an engine has failed, and all ranks with it: {problem}; write mpi.restart()"
                ) from problem

    def _stop(self) -> None:
        """Interrupt the engines, and wait until they are ready for the next call."""
        self._renew = True
        self.client.send_signal(signal.SIGINT, targets=self.engines, block=False)
        until = time.monotonic() + _STOPPING
        while any(not sent.ready() for sent in self._busy) and time.monotonic() < until:
            self._await(_LOOK)

    def _concluded(
        self, call: Call, replies: list[list[Any]], problem: BaseException | None
    ) -> Any:
        __tracebackhide__ = True
        answer, value = answered(replies[0])
        answers = [answer, *(answered(reply)[0] for reply in replies[1:])]
        root = call.options.root or 0
        ranks = [root, *(rank for rank in range(self.size) if rank != root)]
        for _, said in sorted(zip(ranks, answers, strict=True), key=lambda pair: pair[0]):
            _show(_, said)
        record = recording()
        if record is not None:
            for timeline in answer.calls:
                record.add(timeline)
        for said in answers:
            failure = error_of(said)
            if failure is not None:
                raise failure
        decided = {"pany": True, "pall": False}.get(call.verb, ...)
        if problem is not None and value is not decided:
            raise problem
        return value


def _show(rank: int, answer: Answer) -> None:
    """Print what an engine has printed, each line with its rank."""
    for stream, text in zip((sys.stdout, sys.stderr), answer.printed, strict=True):
        for line in text.splitlines():
            print(f"[{rank}] {line}", file=stream)
