"""What a value is, in a few bytes that are the same in every process and on every rank.

Rules of this file: pure; nothing of the user's runs but ``__reduce_ex__``, as in pickling.

Two values with equal digests are taken for equal.  Of functions it is the code that counts, not
its place in a file: its instructions and constants, the values of its closure and defaults, and of
the names that it finds among the globals; so too for the functions which those call, as long as
they are the user's own.  Of libraries the name counts.  Sets and dicts have no order.
"""

from __future__ import annotations

import pickle
import sys
from array import array
from functools import cache, partial
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_PLAIN = (type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes, range)
_SIZE = 16


def hashed(*parts: bytes | str) -> bytes:
    """`_SIZE` bytes for a sequence of parts."""
    from hashlib import blake2b

    whole = blake2b(digest_size=_SIZE)
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        whole.update(b"%d:" % len(data))
        whole.update(data)
    return whole.digest()


class Digester:
    """Makes digests, and notes what it could not look into.

    Attributes
    ----------
    opaque : list of str
        Types of values of which only the type was seen.

    Examples
    --------
    >>> Digester().of({"a": 1, "b": {2, 3}}) == Digester().of({"b": {3, 2}, "a": 1})
    True
    >>> Digester().of([1.0]) == Digester().of([1])
    False
    """

    def __init__(self) -> None:
        self.opaque: list[str] = []
        # by id; with the value, so that it stays its own; while it is gone through, its depth
        self._seen: dict[int, tuple[bytes | int, object]] = {}
        self._depth = 0

    def of(self, value: Any) -> bytes:
        """The digest of *value*."""
        kind = type(value)
        if kind in _PLAIN:
            return hashed(kind.__name__, value if kind in (str, bytes) else _written(value))
        known = self._seen.get(id(value))
        if known is not None:
            told = known[0]  # in itself: how far up it stands, wherever the whole is found
            return hashed("again", str(self._depth - told)) if isinstance(told, int) else told
        self._depth += 1
        self._seen[id(value)] = self._depth, value
        found = hashed(kind.__qualname__, *self._parts(kind, value))
        self._depth -= 1
        self._seen[id(value)] = found, value
        return found

    def _each(self, values: Iterable[Any]) -> list[bytes]:
        return [self.of(value) for value in values]

    def _parts(self, kind: type, value: Any) -> Iterable[bytes | str]:
        way: Callable[[Digester, Any], Iterable[bytes | str]] | None = _WAYS.get(kind)
        if way is not None:
            return way(self, value)
        if isinstance(value, type):
            return self._of_class(value)
        if "numpy" in sys.modules and kind.__module__.partition(".")[0] == "numpy":
            found = _of_numpy(value)
            if found is not None:
                return found if isinstance(found, tuple) else self._each(found)
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(wrapped, FunctionType):  # a cache around it, say
            return (self.of(wrapped),)
        return self._of_object(value)

    def _sequence(self, value: Any) -> Iterable[bytes | str]:
        kinds = set(map(type, value))
        if kinds == {float}:
            return ("floats", array("d", value).tobytes())
        if kinds == {int}:
            return ("ints", _written(value))
        return self._each(value)

    def _unordered(self, value: Iterable[Any]) -> Iterable[bytes]:
        return sorted(self._each(value))

    def _function(self, value: FunctionType) -> Iterable[bytes | str]:
        if not is_users(value.__code__):
            return (str(value.__module__), value.__qualname__)
        extra = (value.__defaults__, value.__kwdefaults__)
        named = [self.of((name, inner)) for name, inner in names_of(value)]
        return (self.of(value.__code__), self.of(extra), *named)

    def _code(self, code: CodeType) -> Iterable[bytes | str]:
        constants = self._each(code.co_consts)
        words = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        return (code.co_code, code.co_exceptiontable, repr(words), *constants)

    def _of_class(self, value: type) -> Iterable[bytes | str]:
        inner = [found for found in map(_function_in, vars(value).values()) if found is not None]
        users = [found for found in inner if is_users(found.__code__)]
        return (value.__module__ if not users else "", value.__qualname__, *self._each(users))

    def _of_object(self, value: Any) -> Iterable[bytes | str]:
        try:
            reduced: Any = value.__reduce_ex__(2)
        except Exception:
            self.opaque.append(type(value).__qualname__)
            return ("opaque", type(value).__module__)
        if isinstance(reduced, str):
            return (type(value).__module__, reduced)
        return self._each(part if at < 3 else list(part or ()) for at, part in enumerate(reduced))


def _written(value: Any) -> str | bytes:
    try:
        return repr(value)
    except ValueError:  # a number of thousands of digits
        return pickle.dumps(value, 4)


def _cell(self: Digester, cell: CellType) -> Iterable[bytes | str]:
    try:
        return (self.of(cell.cell_contents),)
    except ValueError:
        return ("empty",)


_WAYS: dict[Any, Any] = {
    tuple: Digester._sequence,
    list: Digester._sequence,
    dict: lambda self, value: self._unordered(value.items()),
    set: Digester._unordered,
    frozenset: Digester._unordered,
    bytearray: lambda _, value: (bytes(value),),
    slice: lambda self, value: self._each((value.start, value.stop, value.step)),
    FunctionType: Digester._function,
    BuiltinFunctionType: lambda self, value: (
        value.__qualname__, self.of(getattr(value, "__self__", None)),
    ),
    MethodType: lambda self, value: self._each((value.__func__, value.__self__)),
    partial: lambda self, value: self._each((value.func, value.args, value.keywords)),
    CodeType: Digester._code,
    CellType: _cell,
    ModuleType: lambda _, value: (value.__name__,),
}  # fmt: skip


def _of_numpy(value: Any) -> Any:
    """Bytes for arrays and their scalars (a tuple), or values to go through; None for others."""
    import numpy as np

    if isinstance(value, np.dtype):
        return (value.str, repr(value.descr) if value.names else "")
    if not isinstance(value, np.ndarray | np.generic):
        return None
    if value.dtype.hasobject:
        return [value.shape, value.tolist()]
    return (repr(value.dtype), repr(value.shape), value.tobytes())


def _function_in(member: object) -> FunctionType | None:
    if isinstance(member, property):
        member = member.fget
    found = getattr(member, "__func__", member)
    return found if isinstance(found, FunctionType) else None


def names_of(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The names that a function finds outside itself, and what stands behind them now."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell
    names = function.__globals__
    for name in sorted(_loaded(function.__code__)):
        if name in names and not name.startswith("__"):
            yield name, names[name]


def _loaded(code: CodeType) -> set[str]:
    """The global names that *code* loads, itself or in code inside it."""
    import dis

    found = {
        step.argval for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }  # fmt: skip
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _loaded(inner)
    return found


def is_users(code: CodeType) -> bool:
    """Whether *code* is the user's own: of no library that was installed, and not ours."""
    return not code.co_filename.startswith(_installed())


@cache
def _installed() -> tuple[str, ...]:
    from pathlib import Path
    from sysconfig import get_paths

    ours = str(Path(__file__).parent.parent)
    folders = [get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return (ours, "<frozen", *folders)
