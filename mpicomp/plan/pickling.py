"""Pickling where classes and functions may have no name by which another process finds them.

Rules of this file: pure.  Nothing is pickled by value unless `by_value` is set: ranks of one
program find each other's classes by name, and a result that cannot be pickled is an error.
Engines of a notebook set it, for what is defined in a cell exists on no other process.
"""

from __future__ import annotations

import pickle
import sys
from io import BytesIO
from types import FunctionType
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

by_value: Callable[[Any], tuple[Any, ...]] | None = None
"""Of a class or function: a function, and the arguments with which it makes it anew."""


class ByValue(pickle.Pickler):
    """Pickles by value what cannot be found by name, where that is asked for."""

    def reducer_override(self, obj: Any) -> Any:
        if by_value is None or not isinstance(obj, (type, FunctionType)) or has_name(obj):
            return NotImplemented
        return by_value(obj)


def has_name(obj: Any) -> bool:
    """Whether a class or function is what its module has under its name.

    Examples
    --------
    >>> has_name(BytesIO), has_name(lambda: 0), has_name(type(None))
    (True, False, True)
    """
    found: Any = sys.modules.get(obj.__module__)
    if obj.__module__ == "builtins":
        return True
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


def dumps(
    value: Any,
    keep: Callable[[pickle.PickleBuffer], bool] | None = None,
    again: Callable[[], None] | None = None,
) -> Any:
    """*value* as bytes, by name if that works, else as `ByValue` does.

    Parameters
    ----------
    value : object
    keep : callable, optional
        As pickle's ``buffer_callback``.
    again : callable, optional
        Called before a second start, for *keep* to forget what it has kept.
    """
    try:
        return pickle.dumps(value, 5, buffer_callback=keep)
    except Exception:
        if by_value is None:
            raise
    if again is not None:
        again()
    file = BytesIO()
    ByValue(file, 5, buffer_callback=keep).dump(value)
    return file.getvalue()
