"""Functions, arguments and results on their way between an executor and its ranks.

Rules of this file: each task is pickled by itself, so that what cannot travel is its own future's
error and nobody else's; pickle comes first (a function of a module goes by its name), and only
what it refuses goes to cloudpickle, if that is installed.  Nothing of `MPI.pickle` is touched.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from mpicomp.errors import TransportError
from mpicomp.wire.forms import OUT_OF_BAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_REFUSED = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError)
"""What pickle itself raises, and the objects of the standard library."""


def packed(value: Any, what: str) -> list[Any]:
    """*value* as blobs: its pickle, and the large buffers beside it.

    Raises
    ------
    TransportError
        It cannot be pickled; *what* it is stands in the text.
    Exception
        What a method of its own has raised, such as ``__reduce__``.
    """
    try:
        return _pickled(value)
    except Exception as exc:
        why = exc
    if not isinstance(why, _REFUSED):
        why.add_note(f"  while {what} were pickled, to be sent to another rank")
        raise why
    if find_spec("cloudpickle") is None:
        raise TransportError(
            f"{what} cannot be sent to another rank: {why}; for lambdas and functions inside "
            'functions: pip install "mpicomp[executor]"'
        ) from why
    try:
        return _by_value(value)
    except Exception as exc:
        raise TransportError(f"{what} cannot be sent to another rank: {exc}") from exc


def _pickled(value: Any) -> list[Any]:
    buffers: list[Any] = []
    return [pickle.dumps(value, 5, buffer_callback=_keeper(buffers)), *buffers]


def _by_value(value: Any) -> list[Any]:
    file = BytesIO()
    buffers: list[Any] = []
    pickler = import_module("cloudpickle").CloudPickler
    pickler(file, 5, buffer_callback=_keeper(buffers)).dump(value)
    return [file.getvalue(), *buffers]


def _keeper(buffers: list[Any]) -> Callable[[pickle.PickleBuffer], bool]:
    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    return keep


def unpacked(blobs: Sequence[Any]) -> Any:
    """The value that was `packed`."""
    return pickle.loads(blobs[0], buffers=blobs[1:])


class Function:
    """A function on its way: pickled once, when it is first sent.

    Attributes
    ----------
    function : callable
    """

    __slots__ = ("_blobs", "function", "key")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._blobs: list[Any] | None = None
        self.key = b""

    def blobs(self) -> list[Any]:
        """Its pickle; ``key`` is then what tells it from others."""
        if self._blobs is None:
            from hashlib import blake2b

            blobs = packed(self.function, f"the function {self.function!r}")
            digest = blake2b(digest_size=16)
            for blob in blobs:
                digest.update(blob)
            self._blobs, self.key = blobs, digest.digest()
        return self._blobs


class Slots:
    """Which functions a rank has: the last `COUNT` that it was sent, each under a number."""

    COUNT = 64
    KEPT = 4 * COUNT
    """What a rank has to keep, so that none is given up that a letter under way still names."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._next = 0

    def find(self, function: Function) -> tuple[int, bool]:
        """Its number, and whether the rank has to be sent it."""
        function.blobs()
        slot = self._known.get(function.key)
        if slot is not None:
            return slot, False
        if len(self._known) == self.COUNT:
            del self._known[next(iter(self._known))]
        self._known[function.key] = slot = self._next
        self._next += 1
        return slot, True
