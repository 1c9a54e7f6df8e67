"""What the values of options go through: each becomes what the engine works with, or is refused.

Rules of this file: a check knows the option's name and its value, and nothing of the others.
"""

from __future__ import annotations

import time
from math import inf
from operator import index
from typing import Any

from mpicomp.errors import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.journal.journal import Journal


def as_given(_: str, value: Any) -> Any:
    return value


def rank(name: str, value: Any) -> int | str | None:
    if value is None or (isinstance(value, str) and value == "stay"):
        return value
    try:
        rank = index(value)
    except TypeError:
        rank = -1
    if rank < 0 or isinstance(value, bool):
        raise OptionError(
            f'{name} must be a rank or None (every rank) or "stay" (each its own), got {value!r}'
        )
    return rank


def whole_number(name: str, value: Any) -> int:
    try:
        count = index(value)
    except TypeError:
        count = -1
    if count < 0 or isinstance(value, bool):
        raise OptionError(f"{name} must be a whole number, 0 or more, got {value!r}")
    return count


def seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < inf
    if not good:
        raise OptionError(f"{name} must be seconds, more than 0, or None (no limit), got {value!r}")
    return float(value)


def moment(name: str, value: Any) -> float | None:
    """Seconds since 1970."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < inf:
        return time.time() + value
    if value is None:
        return None
    if not hasattr(value, "timestamp"):
        raise OptionError(
            f"{name} must be seconds from now, 0 or more, or a datetime, got {value!r}; "
            f"write {name}=3600"
        )
    return float(value.timestamp())


def journal(_: str, value: Any) -> Journal | None:
    if value is None:
        return None
    from mpicomp.journal.journal import journal_of

    return journal_of(value)


def team(name: str, value: Any) -> int:
    size = whole_number(name, value)
    if not size:
        raise OptionError(f"{name} must be 1 or more, got 0")
    return size


def a_function(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise OptionError(f"{name} must be a function without arguments, or None, got {value!r}")
    return value


def one_of(*words: str | None) -> Callable[[str, Any], Any]:
    """A check that the option is one of *words*; None among them: it may be left unsaid."""
    said = [f'"{word}"' for word in words if word is not None]
    listed = " or ".join(filter(None, [", ".join(said[:-1]), said[-1]]))
    listed += " or None" if len(said) == 1 else ""

    def check(name: str, value: Any) -> Any:
        if value not in words:
            raise OptionError(f"{name} must be {listed}, got {value!r}")
        return value

    return check


def costs(name: str, value: Any) -> Any:
    listed = hasattr(value, "__len__") and not isinstance(value, (str, bytes, set, dict))
    if value is not None and not callable(value) and not listed:
        raise OptionError(
            f"{name} must be a function of an item or a number for each of them, got {value!r:.100}"
        )
    return value


def true_or_false(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, got {value!r}")
    return value
