"""What values look like on their way.

Rules of this file: no message is sent here.  Which form, and why, is measured in
docs/design.md: lists of more than `TYPED` floats, ints or equal numpy scalars become one typed
buffer; all others are pickled with protocol 5, buffers of `OUT_OF_BAND` bytes or more outside
the pickle, without a copy.
"""

from __future__ import annotations

import pickle
import sys
from array import array
from io import BytesIO
from typing import Any

from mpicomp.errors import TransportError
from mpicomp.plan.failure import Failure, revive
from mpicomp.plan.pickling import ByValue, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OUT_OF_BAND = 1 << 16
"""Bytes from which a buffer travels by itself."""
_BLOCK = 1 << 14
_FEW = 1000  # numbers up to which array is quicker than numpy
TYPED = 16
"""Length from which a list of numbers is worth looking through."""


class Payload:
    """Values on their way: *form* says how to read the *blobs*."""

    __slots__ = ("blobs", "form", "nbytes")

    def __init__(self, form: int, blobs: list[Any]) -> None:
        self.form = form
        self.blobs = [memoryview(blob).cast("B") if len(blob) else b"" for blob in blobs]
        self.nbytes = sum(map(len, self.blobs))


PICKLED, FLOATS, INTS, SCALARS, FAILED = range(5)
_NUMBERS = {float: (FLOATS, "f8"), int: (INTS, "i8")}
_CODES = {"f8": "d", "i8": "q"}


def encode(values: Any, has_exceptions: bool = False, plain: bool = False) -> Payload:
    """*values* ready to travel (*plain*: as a pickle, whatever they are).

    Raises
    ------
    TransportError
        Something in them cannot be pickled; says which item and why.
    """
    if type(values) is list and len(values) >= TYPED and not (has_exceptions or plain):
        typed = _encode_typed(values)
        if typed is not None:
            return typed
    buffers: list[Any] = []
    main: Any

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    try:
        if has_exceptions:
            file = BytesIO()
            _ExceptionPickler(file, 5, buffer_callback=keep).dump(values)
            main = file.getvalue()
        else:
            main = dumps(values, keep, buffers.clear)
    except Exception as exc:
        raise TransportError(_what_failed(values, exc)) from exc
    return Payload(PICKLED, [main, *buffers])


def _encode_typed(values: list[Any]) -> Payload | None:
    first = type(values[0])
    numpy = sys.modules.get("numpy")
    scalar = numpy is not None and issubclass(first, numpy.generic)
    if scalar and values[0].dtype.kind not in "biufc":  # dates have units of their own
        return None
    if not scalar and first is not float and first is not int:
        return None
    form, dtype = _NUMBERS.get(first, (SCALARS, first))
    try:
        packed = _packed_numbers(values, first, dtype)
    except OverflowError:  # beyond 64 bits
        return None
    if packed is None:
        return None
    return Payload(form, [packed] if form != SCALARS else [pickle.dumps(packed.dtype), packed])


def _packed_numbers(values: list[Any], kind: type, dtype: Any) -> Any:
    """The values as a buffer, if all are of this kind; in blocks, which a cache holds."""
    if len(values) <= _FEW and dtype in _CODES:
        return array(_CODES[dtype], values) if _alike(values, kind) else None
    import numpy as np

    packed = np.empty(len(values), dtype)
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK]
        if not _alike(block, kind):
            return None
        packed[at : at + _BLOCK] = np.fromiter(block, dtype, len(block))
    return packed


def _alike(values: list[Any], kind: type) -> bool:
    return list(map(type, values)).count(kind) == len(values)


def decode(form: int, blobs: Sequence[Any]) -> Any:
    """The values, of the types they had."""
    if form == PICKLED:
        return pickle.loads(blobs[0], buffers=blobs[1:])
    import numpy as np

    if form == SCALARS:
        return list(np.frombuffer(blobs[1], pickle.loads(blobs[0])))
    return np.frombuffer(blobs[0], np.float64 if form == FLOATS else np.int64).tolist()


class _ExceptionPickler(ByValue):
    """For values some of which are exceptions: they keep notes and cause, and always pickle."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, BaseException) or not hasattr(obj, "__notes__"):
            return super().reducer_override(obj)
        failure = Failure(obj, 0, tuple(obj.__notes__))
        return revive, (failure.packed, failure.notes, str(obj.__cause__))


def _what_failed(values: Any, exc: Exception) -> str:
    if isinstance(values, list):
        for place, value in enumerate(values):
            try:
                dumps(value)
            except Exception:
                return (
                    f"result {place} of this rank, a {type(value).__name__}, cannot be sent to "
                    f"another rank: {exc}; return something that can be pickled"
                )
    return f"cannot be sent to another rank: {exc}"
