"""What went wrong in an item, in a form that can travel and be told.

Rules of this file: pure.  `Failure` always pickles, whatever the exception holds.

An exception travels by its own pickling where that gives back the same type and arguments.
Where it does not (an ``__init__`` with other parameters, a lock in an attribute), its class
travels by name and its parts one by one, those that cannot replaced by their ``repr``.  Where
even the class cannot be found elsewhere, a `RemoteError` carries its name and text.
"""

from __future__ import annotations

import pickle

from mpicomp.errors import RemoteError, RemoteTraceback
from mpicomp.plan.pickling import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Failure:
    """The first item of a rank that failed.

    Attributes
    ----------
    index : int
        Position of the item in the source; the lowest of all ranks is the one that is raised.
    packed : bytes
        The exception.
    notes : tuple of str
        Item, value, rank, host and line, for people.
    text : str
        The traceback where it happened.
    """

    __slots__ = ("index", "notes", "packed", "text")

    def __init__(self, exception: BaseException, index: int, notes: tuple[str, ...]) -> None:
        self.index = index
        self.notes = notes
        self.packed = pack(exception)
        self.text = traceback_text(exception)

    def exception(self, others: int = 0, cure: str = "") -> BaseException:
        """The exception, with its notes and the traceback's text as its cause.

        *others* ranks have failed too; *cure* says how to get the good values.
        """
        exc = unpack(self.packed)
        exc.__cause__ = RemoteTraceback(self.text)
        tell(exc, self.notes)
        if others:
            items = "another item" if others == 1 else f"{others} other items"
            exc.add_note(f"  {items} failed too{cure}")
        return exc


def tell(exc: BaseException, notes: tuple[str, ...]) -> None:
    """Add notes once (an exception object may be raised by more than one item)."""
    for note in notes:
        if note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)


def traceback_text(exc: BaseException) -> str:
    """The traceback as Python would print it."""
    import traceback

    return "\n" + "".join(traceback.format_exception(exc)).rstrip()


def notes_for(
    index: int | None, value: object, rank: int, host: str, where: str, line: str
) -> tuple[str, ...]:
    """The lines that say which item it was."""
    item = "in the source itself" if index is None else f"in item {index} (x={shortened(value)})"
    return (f"  {item} on rank {rank}, {host}", f"  {line}    ({where})" if line else f"  {where}")


def shortened(value: object) -> str:
    """*value* for people, in a few dozen characters."""
    import reprlib

    try:
        return reprlib.repr(value)
    except BaseException as exc:  # a broken __repr__ must not hide the error that is being told
        return f"<{type(value).__name__}, whose repr raises {type(exc).__name__}>"


def pack(exc: BaseException) -> bytes:
    """*exc* as bytes that `unpack` can always read."""
    try:
        packed = bytes(dumps(exc))
        back = pickle.loads(packed)
        if type(back) is type(exc) and repr(back.args) == repr(exc.args):
            return packed
    except BaseException:  # also an exit of its own: the ranks wait for what is told
        pass  # not by its own way, then by its parts
    try:
        kind = bytes(dumps(type(exc)))
        pickle.loads(kind)
    except BaseException:
        name = f"{type(exc).__module__}.{type(exc).__qualname__}"
        return pickle.dumps(RemoteError(f"{name}: {_text(exc)}"))
    parts = (kind, [_part(arg) for arg in exc.args],
             {key: _part(value) for key, value in exc.__dict__.items()})  # fmt: skip
    return pickle.dumps(_Parts(*parts))


def _text(exc: BaseException) -> str:
    try:
        return str(exc)
    except BaseException:
        return shortened(exc.args)


def _part(value: object) -> bytes:
    try:
        packed = bytes(dumps(value))
        pickle.loads(packed)
    except BaseException:
        return pickle.dumps(shortened(value))
    return packed


class _Parts:
    """An exception's class, arguments and attributes, each pickled by itself."""

    __slots__ = ("args", "attributes", "kind")

    def __init__(self, kind: bytes, args: list[bytes], attributes: dict[str, bytes]) -> None:
        self.kind = kind
        self.args = args
        self.attributes = attributes

    def build(self) -> BaseException:
        kind: type[BaseException] = pickle.loads(self.kind)
        exc = kind.__new__(kind)  # not __init__: its parameters are what pickle stumbled over
        exc.args = tuple(pickle.loads(arg) for arg in self.args)
        for key, value in self.attributes.items():
            setattr(exc, key, pickle.loads(value))
        return exc


def unpack(packed: bytes) -> BaseException:
    """The exception that `pack` made into bytes, or a `RemoteError` that says why it cannot be."""
    try:
        found: Any = pickle.loads(packed)
        made: BaseException = found.build() if isinstance(found, _Parts) else found
    except BaseException as exc:
        return RemoteError(f"an exception that cannot be rebuilt here: {exc!r}")
    return made


def revive(packed: bytes, notes: tuple[str, ...], text: str) -> BaseException:
    """An exception that was a *value* (``errors="return"``), after its journey."""
    exc = unpack(packed)
    exc.__cause__ = RemoteTraceback(text)
    tell(exc, notes)
    return exc
