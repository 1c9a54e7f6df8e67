"""What stands behind a name, found without running any code of the user's.

Rules of this file: pure; only dictionaries are read.  No property, no ``__getattr__``, no
``__eq__`` of the user's is called; so what can only be found that way is `UNKNOWN`.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

UNKNOWN: Any = type("Unknown", (), {"__slots__": ()})()
_OF_PYTHON = (GetSetDescriptorType, MemberDescriptorType)  # the latter of SimpleNamespace
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@lru_cache(maxsize=1000)
def _of_the_user(file: str) -> bool:
    if file.startswith(("<frozen ", _LIBRARY, _PACKAGE)):
        return False
    return not {"site-packages", "dist-packages"} & set(file.replace("\\", "/").split("/"))


def is_users(code: CodeType) -> bool:
    """Whether the user wrote it: neither the standard library, nor an installed package."""
    return _of_the_user(code.co_filename)


def on_type(kind: type, name: str) -> Any:
    """What the classes of *kind*'s ``__mro__`` hold under *name*, no descriptor being called."""
    for base in type.__getattribute__(kind, "__mro__"):
        held = type.__getattribute__(base, "__dict__")
        if name in held:
            return held[name]
    return UNKNOWN


def dict_of(obj: Any) -> dict[str, Any]:
    """The ``__dict__`` of an object, empty where there is none (or one of the user's making)."""
    if type(on_type(type(obj), "__dict__")) not in _OF_PYTHON:
        return {}
    held = object.__getattribute__(obj, "__dict__")
    return held if isinstance(held, dict) else {}


def attribute(obj: Any, name: str) -> tuple[Any, bool]:
    """``obj.name``, and whether it is a function that gets *obj* as its first argument."""
    kind = type(obj)
    if obj is UNKNOWN:
        return UNKNOWN, False
    if issubclass(kind, ModuleType):
        return ModuleType.__getattribute__(obj, "__dict__").get(name, UNKNOWN), False
    if issubclass(kind, type):
        return unwrapped(on_type(obj, name))
    found = on_type(kind, name)
    if type(found) is MemberDescriptorType:  # a slot, or such as ``partial.func``
        try:
            return found.__get__(obj, kind), False
        except AttributeError:
            return UNKNOWN, False
    held = dict_of(obj)
    if name in held and type(found) is not property:
        return held[name], False
    if type(found) is FunctionType:
        return found, True
    return unwrapped(found)


def unwrapped(found: Any) -> tuple[Any, bool]:
    """What a class holds, without the descriptor around it, and whether it wants the class."""
    if type(found) is staticmethod:
        return found.__func__, False
    if type(found) is classmethod:
        return found.__func__, True
    return (UNKNOWN if type(found) is property else found), False


def made_by(kind: type) -> list[FunctionType]:
    """The Python functions that run when an object of *kind* is made."""
    names = ("__new__", "__init__", "__post_init__")
    found = [unwrapped(on_type(kind, name))[0] for name in names]
    return [function for function in found if type(function) is FunctionType]


def function_behind(obj: Any) -> tuple[FunctionType | None, tuple[Any, ...]]:
    """The Python function that runs when *obj* is called, and the arguments put in front.

    Decorators that say what they wrap (``functools.wraps``, ``functools.cache``) are looked
    through, unless the user wrote them: those are functions like any other.
    """
    first: tuple[Any, ...] = ()
    for _ in range(10):
        kind = type(obj)
        if kind is MethodType:
            obj, first = obj.__func__, (obj.__self__, *first)
        elif kind is partial:
            obj, first = obj.func, (*obj.args, *first)
        elif kind is FunctionType and is_users(obj.__code__):
            return obj, first
        elif obj is UNKNOWN or issubclass(kind, type):
            break
        elif "__wrapped__" in (held := dict_of(obj)):
            obj = held["__wrapped__"]
        else:
            called = on_type(kind, "__call__")
            if kind is FunctionType or type(called) is not FunctionType:
                break
            obj, first = called, (obj, *first)
    return None, ()


def identity(obj: Any) -> object:
    """What must be the same for two values to be inspected alike: cheap, and hashable."""
    kind = type(obj)
    if kind is FunctionType:
        return obj.__code__
    if kind is MethodType:
        return identity(obj.__func__)
    if kind is partial:
        return identity(obj.func)
    return obj if issubclass(kind, type) else kind
