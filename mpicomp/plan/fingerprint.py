"""Which comprehension a call is: what a journal finds its items by.

Rules of this file: pure; nothing in it depends on the number of ranks, the schedule, or where
in its file a line stands.
"""

from __future__ import annotations

import reprlib
import sys
from types import CellType, FunctionType
from typing import NamedTuple

from mpicomp.plan.again import Everywhere
from mpicomp.plan.digest import Digester, hashed, is_users, names_of
from mpicomp.plan.product import Product
from mpicomp.plan.source import Branch, Data, Range, Source, Stream
from mpicomp.plan.streams import Seeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mpicomp.plan.comprehension import Comprehension


class Part(NamedTuple):
    """One thing that makes a call what it is: what it is called, its digest, and for people."""

    name: str
    digest: str
    text: str


class Fingerprint(NamedTuple):
    """All of them.

    Attributes
    ----------
    key : str
        Short; equal for equal parts.
    parts : tuple of Part
    unseen : tuple of str
        Types of values that could not be looked into: they do not count.
    """

    key: str
    parts: tuple[Part, ...]
    unseen: tuple[str, ...]


def fingerprint(
    verb: str, comprehension: Comprehension, source: Source, also: Iterable[object] = ()
) -> Fingerprint:
    """The fingerprint of a call.

    Parameters
    ----------
    verb : str
        With what it was asked to make of the values.
    comprehension : Comprehension
    source : Source
        The root's.
    also : iterable
        Functions of the user's that combine values.
    """
    digester = Digester()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parts = [Part("the verb", hashed(verb).hex(), verb), Part("Python", version, version)]
    parts += _of_function("the comprehension", comprehension.function, digester)
    inside = [found for found in source.functions() if found is not comprehension.function]
    for number, function in enumerate((*inside, *also)):
        parts += _of_function(f"function {number}", function, digester)
    items = [*_of_source(source, digester)]
    if comprehension.seeder is not None:  # a stream's items come without what it makes of them
        items.append(digester.of(comprehension.seeder))
    whole = hashed(*items, str(comprehension.whole_runs))
    parts.append(Part("the source", whole.hex(), repr(source)))
    key = hashed(*(f"{part.name}={part.digest}" for part in parts)).hex()[:16]
    return Fingerprint(key, tuple(parts), tuple(dict.fromkeys(digester.opaque)))


def _of_function(
    name: str, function: object, digester: Digester, told: set[int] | None = None
) -> Iterator[Part]:
    """The parts of a function: its code, what it finds outside itself, and so on inside that."""
    told = set() if told is None else told
    if not isinstance(function, FunctionType) or not is_users(function.__code__):
        yield Part(name, digester.of(function).hex(), _told(function))
        return
    told.add(id(function))
    extra = (function.__code__, function.__defaults__, function.__kwdefaults__)
    yield Part(name, digester.of(extra).hex(), f"the code of {function.__code__.co_qualname}")
    for inner, found in names_of(function):
        value = _behind(found)
        if id(value) not in told:
            yield from _of_function(f"{inner} in {name}", value, digester, told)


def _behind(value: object) -> object:
    """What a cell holds."""
    try:
        return value.cell_contents if isinstance(value, CellType) else value
    except ValueError:
        return "not yet bound"


def _told(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # a number of thousands of digits, say; its digest still counts
        return f"a {type(value).__qualname__}"


def _of_source(source: Source, digester: Digester) -> Iterator[bytes | str]:
    if isinstance(source, Everywhere):  # where its items are does not matter
        (source,) = source.children
    yield type(source).__name__
    if isinstance(source, Range):
        yield repr(source.items)
    elif isinstance(source, Stream):
        yield "read on the root"  # its items are not known beforehand
    elif isinstance(source, Data):
        yield digester.of(source.items)
    elif isinstance(source, Product):
        yield digester.of((source.whole.factors, source.positions))
    else:
        assert isinstance(source, Branch), "a journal is refused where values stay on the ranks"
        if isinstance(source, Seeded):
            yield digester.of(source.seeder)
        for child in source.children:
            yield from _of_source(child, digester)


def differences(kept: Iterable[Part], now: Iterable[Part]) -> list[str]:
    """What differs between two fingerprints' parts, a line each, for people.

    Examples
    --------
    >>> differences([Part("x", "1a", "5")], [Part("x", "2b", "6")])
    ['x: kept 5, now 6']
    """
    before = {part.name: part for part in kept}
    after = {part.name: part for part in now}
    lines = []
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            lines.append(f"{name}: {'not kept' if old is None else 'kept'}, "
                         f"{'now there' if new is not None else 'not there now'}")  # fmt: skip
        elif old.digest != new.digest:
            same = old.text == new.text
            lines.append(f"{name}: {'changed, ' if same else f'kept {old.text}, now '}{new.text}")
    return lines
