"""The bytes of a chunk: what was encoded, with a sum by which torn ones are told.

Rules of this file: nothing is known of what the blobs mean.
"""

from __future__ import annotations

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_SUM = 16


def framed(form: int, blobs: Sequence[Any]) -> bytes:
    """One piece of bytes.

    Examples
    --------
    >>> form, blobs = unframed(framed(3, [b"ab", b"", b"c"]))
    >>> form, [bytes(blob) for blob in blobs]
    (3, [b'ab', b'', b'c'])
    >>> unframed(framed(3, [b"ab"])[:-1]) is None
    True
    """
    head = array("q", [form, len(blobs), *map(len, blobs)]).tobytes()
    body = b"".join([head, *blobs])
    return _sum(body) + body


def unframed(data: bytes) -> tuple[int, list[memoryview]] | None:
    """Form and blobs, in memory that can be written; None where something is missing."""
    if _sum(data[_SUM:]) != data[:_SUM]:
        return None
    whole = memoryview(data)[_SUM:]
    form, count = array("q", whole[:16].tobytes())
    sizes = array("q", whole[16 : 16 + 8 * count].tobytes())
    at, blobs = 16 + 8 * count, []
    for size in sizes:
        blobs.append(memoryview(bytearray(whole[at : at + size])))  # arrays will live in it
        at += size
    return form, blobs


def _sum(body: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(body, digest_size=_SUM).digest()
