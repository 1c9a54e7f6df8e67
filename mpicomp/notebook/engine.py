"""What runs on the engines: who they are, and the calls that a notebook sends them.

Rules of this file: every function is called by `mpicomp.notebook` on all engines at once; it
answers with plain values and buffers, also when something fails.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from typing import Any, NamedTuple

from mpicomp._version import version
from mpicomp.engine import metering
from mpicomp.engine.call import Call
from mpicomp.engine.run import run
from mpicomp.errors import RemoteTraceback, TransportError
from mpicomp.installed import library_name
from mpicomp.notebook.bar import Sent
from mpicomp.notebook.travel import by_value, joined, split, unpack
from mpicomp.plan import pickling
from mpicomp.plan.failure import pack, revive, traceback_text
from mpicomp.record.recording import record
from mpicomp.wire import cells
from mpicomp.wire.forms import PICKLED, decode, encode
from mpicomp.wire.library import mpi
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpicomp.record.timeline import Timeline


class About(NamedTuple):
    """What an engine says of itself."""

    rank: int
    size: int
    host: str
    pid: int
    library: str
    python: str
    version: str


def about() -> About:
    """Who this engine is.  Not collective: it may be one that is no rank of anything."""
    found = mpi()
    said = library_name(found.Get_library_version())
    python = ".".join(map(str, sys.version_info[:3]))
    comm = found.COMM_WORLD
    return About(comm.rank, comm.size, os.uname().nodename, os.getpid(), said, python, version)


def ready(owner: tuple[str, int, int] | None) -> None:
    """Make this engine ready for calls.

    Collective: every rank of ``COMM_WORLD`` calls.

    Parameters
    ----------
    owner : (str, int, int), optional
        Host and process id of the notebook that has started the engines, and the process id of
        their controller.  They end with the notebook, also when that is killed.
    """
    pickling.by_value = by_value
    vars(metering)["Display"] = Sent  # what it draws is drawn in the notebook
    ranks = world()
    if owner is not None and ranks.rank == 0 and ranks.host == owner[0]:
        threading.Thread(target=_end_with, args=owner[1:], daemon=True).start()


def _end_with(owner: int, controller: int) -> None:
    import psutil  # type: ignore[import-untyped]  # ipyparallel brings it, without annotations

    with suppress(psutil.NoSuchProcess):  # it is gone already
        psutil.Process(owner).wait()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(controller).terminate()
    os.kill(os.getpid(), signal.SIGKILL)  # the launcher ends the others


class Answer(NamedTuple):
    """What an engine answers to a call, beside the buffers of its value.

    Attributes
    ----------
    failed : tuple or None
        An exception: packed, its notes, and the text of its traceback.
    form : int
        Of the value, as `mpicomp.wire.forms` has it; -1: this engine has none to give.
    printed : tuple of str
        Standard output and standard error.
    calls : list of Timeline
        Where the call was recorded, on the root.
    """

    failed: tuple[bytes, tuple[str, ...], str] | None
    form: int
    printed: tuple[str, str]
    calls: list[Timeline]


def perform(verb: str, renew: bool, recorded: bool, head: list[Any], *leaves: Any) -> list[Any]:
    """Make the call that `mpicomp.notebook.travel.pack` has packed.

    Collective: every engine is sent it.

    Parameters
    ----------
    verb : str
    renew : bool
        The last call was interrupted: talk over a new duplicate of the communicator.
    recorded : bool
        Send back the timeline.
    head, *leaves : buffers

    Returns
    -------
    list
        A pickled `Answer`, and the buffers of the value.
    """
    if renew:
        world().closed = True
    if cells.cells is not None:
        cells.cells.begin(verb)
    call: list[Call] = []

    def build() -> Call:
        call.append(unpack(head, leaves))
        return call[0]

    out, err = StringIO(), StringIO()
    failed, form, blobs, calls = None, -1, [], []
    try:
        with redirect_stdout(out), redirect_stderr(err):
            with record() if recorded else nullcontext() as rec:
                value = run(verb, None, build)
            ranks, options = world(), call[0].options
            if ranks.rank == (options.root or 0):
                payload = encode(value, options.errors == "return" and type(value) is list)
                form, blobs = payload.form, joined(payload.blobs)
                calls = rec.calls if rec is not None else []
    except BaseException as exc:
        failed = _told(exc)
    if cells.cells is not None:
        cells.cells.end(failed is not None)
    printed = (out.getvalue(), err.getvalue())
    return [pickle.dumps(Answer(failed, form, printed, calls)), *blobs]


def _told(exc: BaseException) -> tuple[bytes, tuple[str, ...], str]:
    cause = exc.__cause__
    text = str(cause) if isinstance(cause, RemoteTraceback) else traceback_text(exc)
    return pack(exc), tuple(getattr(exc, "__notes__", ())), text


def answered(reply: Sequence[Any]) -> tuple[Answer, Any]:
    """In the notebook: what `perform` has given, and the value."""
    answer: Answer = pickle.loads(reply[0])
    if answer.form < 0:
        return answer, None
    blobs = split(reply[1:])
    if answer.form == PICKLED:
        blobs[1:] = map(bytearray, blobs[1:])  # arrays can be written to
    try:
        return answer, decode(answer.form, blobs)
    except Exception as exc:
        raise TransportError(
            f"the value has come, and cannot be read here: {exc}; import its class in the "
            "notebook, or define it in a cell (not under %%px)"
        ) from exc


def error_of(answer: Answer) -> BaseException | None:
    """The exception with which the call ended."""
    return revive(*answer.failed) if answer.failed is not None else None
