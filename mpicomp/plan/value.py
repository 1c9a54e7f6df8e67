"""What the values of this folder are made of: frozen fields and checked whole numbers."""

from __future__ import annotations

from operator import index as whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, TypeVar

    import numpy as np
    from numpy.typing import NDArray

    Items = TypeVar("Items", int, NDArray[np.int64])  # int in, int out; array in, array out


class Frozen:
    """A value: its fields are set once, and two with equal fields are equal.

    A subclass names its fields, in the order of its constructor, in ``__match_args__``; equality,
    hash, repr, pickling and ``match`` follow from that.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def _set(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self!r} is a frozen value; make a new {type(self).__name__}(...)")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), *self._fields()))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), self._fields()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._fields()))})"


def whole(name: str, value: int, least: int | None = None) -> int:
    """Give *value* as an exact int, at least *least* if that is given, or raise a letter."""
    try:
        exact = whole_number(value)
    except TypeError:
        message = f"{name} must be a whole number, got {value!r}"
        raise TypeError(f"{message}; write int(...), or // for a whole quotient") from None
    if least is not None and exact < least:
        raise ValueError(f"{name} must be >= {least}, got {exact}; write {name}={least} or more")
    return exact


def within(name: str, value: Items, stop: int) -> Items:
    """Give *value* back, exact, when all of it lies in ``range(stop)``, or raise a letter."""
    is_array = getattr(value, "ndim", 0)  # whatever has dimensions
    checked: Items = (_array_within if is_array else _int_within)(name, value, stop)
    return checked


def _int_within(name: str, value: Any, stop: int) -> Any:
    exact = whole(name, value)
    if not 0 <= exact < stop:
        raise IndexError(f"{name} must lie in range({stop}), got {exact}{_hint(exact, stop)}")
    return exact


def _array_within(name: str, value: Any, stop: int) -> Any:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        message = f"an array of {name}s must hold integers, got dtype {array.dtype}"
        raise TypeError(f"{message}; write numpy.asarray(..., dtype=numpy.int64)")
    outside = (array < 0) | (array >= stop)
    if outside.any():
        first = int(array[outside][0])
        hint = _hint(first, stop)
        raise IndexError(f"every {name} must lie in range({stop}), got {first}{hint}")
    return array.astype(np.int64, copy=False)


def _hint(value: int, stop: int) -> str:
    backwards = -stop <= value < 0
    return f"; write {stop + value} to count from the end" if backwards else ""


def ceil_div(a: int, b: int) -> int:
    """The quotient of two whole numbers, rounded up; exact, which ``ceil(a / b)`` is not.

    Examples
    --------
    >>> ceil_div(10**18 + 1, 10)
    100000000000000001
    """
    return -(-a // b)
