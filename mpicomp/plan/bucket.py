"""Which rank keeps the values of a key: the same answer in every process.

Rules of this file: pure; keys that are equal get the same bucket; Python's ``hash`` is asked only
of numbers, where it is the same in every process (that of text is not).

A key is written as bytes that depend on its value alone, and these are digested.  For a class of
the user's own nobody but the user knows when two objects are equal: such a key is refused.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import blake2b
from pathlib import PurePath
from uuid import UUID

from mpicomp.errors import TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def bucket_of(key: object, p: int) -> int:
    """One of ``range(p)``: equal keys, also ``1 == 1.0 == True``, have the same.

    Raises
    ------
    TransportError
        For a key whose equality is not known here, and for NaN, which equals nothing.

    Examples
    --------
    >>> bucket_of(1, 1000) == bucket_of(1.0, 1000) == bucket_of(True, 1000)
    True
    >>> bucket_of(("a", 2), 1000) == bucket_of(("a", 2.0), 1000)
    True
    """
    return int.from_bytes(blake2b(encoded(key), digest_size=8).digest()) % p


def encoded(key: Any) -> bytes:
    """*key* as bytes: the same for equal keys, others (but for rare chance) for others."""
    kind = type(key)
    encode = _ENCODERS.get(kind) or _by_base(kind)
    if encode is not None:
        return encode(key)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(key, numpy.generic) and key.dtype.kind in "biufcSU":
        plain = key.item()
        return _number(key) if isinstance(plain, numpy.generic) else encoded(plain)
    raise TransportError(
        f"a key of type {kind.__qualname__} cannot be brought together by the ranks, since it is "
        f"not known here when two are equal: {key!r:.100}; write a key of text, numbers, dates, or "
        "tuples of these, such as (x.name, x.size)"
    )


def _by_base(kind: type) -> Callable[[Any], bytes] | None:
    """The way of a base class whose equality *kind* has kept (a NamedTuple, an IntEnum)."""
    for base in kind.__mro__[1:]:
        encode = _ENCODERS.get(base)
        if encode is not None and (kind.__eq__, kind.__hash__) == (base.__eq__, base.__hash__):
            return encode
    return None


def _number(key: Any) -> bytes:
    if key != key:
        raise TransportError(
            f"the key {key!r} equals nothing, not even itself, so that no values can be brought "
            "together under it; leave it out, or write another key such as None for it"
        )
    return b"n%d" % hash(key)


def _joined(kind: bytes, parts: Iterable[bytes]) -> bytes:
    return kind + b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _datetime(key: datetime) -> bytes:
    if key.utcoffset() is None:
        return b"m" + key.replace(fold=0).isoformat().encode()
    return b"M" + key.astimezone(UTC).isoformat().encode()  # equal ones may be in two zones


def _timedelta(key: timedelta) -> bytes:
    return b"l%d %d %d" % (key.days, key.seconds, key.microseconds)


def _enum(key: Enum) -> bytes:
    kind = type(key)
    return b"e" + f"{kind.__module__}.{kind.__qualname__}.{key.name}".encode()


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: lambda key: b"s" + key.encode("utf-8", "surrogatepass"),
    bytes: lambda key: b"b" + key,
    **dict.fromkeys((int, bool, float, complex, Decimal, Fraction), _number),
    type(None): lambda _: b"0",
    tuple: lambda key: _joined(b"t", map(encoded, key)),
    frozenset: lambda key: _joined(b"f", sorted(map(encoded, key))),
    date: lambda key: b"d" + key.isoformat().encode(),
    datetime: _datetime,
    timedelta: _timedelta,
    Enum: _enum,
    UUID: lambda key: b"u" + key.bytes,
    type: lambda key: b"c" + f"{key.__module__}.{key.__qualname__}".encode(),
    PurePath: lambda key: b"p" + str(key).lower().encode(errors="replace"),  # Windows knows no case
}
