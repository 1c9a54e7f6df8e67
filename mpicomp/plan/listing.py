"""A generator expression's code, turned into that of the list comprehension it could have been.

Rules of this file: pure; code of which any part is not recognised stays as it is, and then runs
as the generator that it was.

Where items are tiny, a third of the time of ``list(f(x) for x in xs)`` goes into entering and
leaving the generator.  The two differ in a few instructions, each of which can be replaced by
another of its length, so that no jump has to be moved:

=============================  =======================  ==========================================
generator expression           list comprehension
=============================  =======================  ==========================================
``RETURN_GENERATOR; POP_TOP``  ``BUILD_LIST 0; NOP``    the list lies below the loops' iterators
``YIELD_VALUE; RESUME``        ``LIST_APPEND d+1``      inside d loops
``POP_TOP; JUMP_BACKWARD k``   ``JUMP_BACKWARD k-2``    what is behind it is not reached
``RETURN None``                ``RETURN_VALUE``         the list
=============================  =======================  ==========================================
"""

from __future__ import annotations

import dis
import sys
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any

_KNOWN = (3, 11) <= sys.version_info < (3, 14)
_AFTER = ["RESUME", "POP_TOP", "JUMP_BACKWARD"]
_GENERATOR = 0x20  # in a code object's flags


def list_code(code: CodeType) -> CodeType | None:
    """The code of the list comprehension with the same text as a generator expression.

    Parameters
    ----------
    code : CodeType
        Of a generator expression.

    Returns
    -------
    CodeType or None
        Of a function of the same argument that returns the list; None where it cannot be made.

    Examples
    --------
    >>> gen = (x * x for x in range(4))
    >>> FunctionType(list_code(gen.gi_code), {})(iter(range(4)))
    [0, 1, 4, 9]
    """
    if not _KNOWN or code.co_flags & (_GENERATOR | 0x280) != _GENERATOR:  # nothing asynchronous
        return None
    steps = list(dis.get_instructions(code))
    names = [step.opname for step in steps]
    if names.count("YIELD_VALUE") != 1 or names.count("RETURN_GENERATOR") != 1:
        return None
    start, at = names.index("RETURN_GENERATOR"), names.index("YIELD_VALUE")
    end = _return(names)
    if end is None or not _only_stop_iteration(code):
        return None
    if names[start + 1] != "POP_TOP" or names[at + 1 : at + 4] != _AFTER:
        return None
    back = steps[at + 3].arg or 0
    if back < 2:
        return None
    place = steps[at].offset
    loops = sum(s.opname == "FOR_ITER" and s.offset < place < s.argval for s in steps)
    new = bytearray(code.co_code)
    for step, name, arg in (
        (start, "BUILD_LIST", 0),
        (start + 1, "NOP", 0),
        (at, "LIST_APPEND", loops + 1),
        (at + 1, "JUMP_BACKWARD", back - 2),
        (at + 2, "CACHE", 0),  # of that jump, from 3.13 on
        *end,
    ):
        offset = steps[step].offset
        new[offset : offset + 2] = dis.opmap[name], arg
    return code.replace(
        co_code=bytes(new),
        co_flags=code.co_flags & ~_GENERATOR,
        co_stacksize=code.co_stacksize + 1,
        co_exceptiontable=b"",
    )


def _return(names: list[str]) -> list[tuple[int, str, int]] | None:
    """What replaces the one place where the generator ends."""
    ends = [k for k, name in enumerate(names) if name.startswith("RETURN_") and k > 2]
    if len(ends) != 1:
        return None
    if names[ends[0]] == "RETURN_CONST":
        return [(ends[0], "RETURN_VALUE", 0)]
    if names[ends[0] - 1] == "LOAD_CONST":
        return [(ends[0] - 1, "NOP", 0)]
    return None


def _only_stop_iteration(code: CodeType) -> bool:
    """Whether all that is caught is what `listed` catches: an item's StopIteration.

    Other handlers (of a comprehension inside, from 3.12 on) count what lies on the stack.
    """
    if not code.co_exceptiontable:
        return True
    steps = {step.offset: step for step in dis.get_instructions(code)}
    entries: list[Any] = getattr(dis.Bytecode(code), "exception_entries", [])
    return bool(entries) and all(
        entry.depth == 0
        and steps[entry.target].opname == "CALL_INTRINSIC_1"
        and steps[entry.target].argval == 3  # INTRINSIC_STOPITERATION_ERROR
        for entry in entries
    )


def listed(code: CodeType, function: FunctionType) -> Callable[[Iterator[Any]], list[Any]]:
    """Items -> list of all that the comprehension gives for them.

    Parameters
    ----------
    code : CodeType
        From `list_code`.
    function : function
        The generator expression's own: its globals and its closure are used.
    """
    make = FunctionType(code, function.__globals__, "<genexpr>", None, function.__closure__)

    def values(items: Iterator[Any]) -> list[Any]:
        try:
            found: list[Any] = make(items)
        except StopIteration as exc:  # as a generator tells of it
            raise RuntimeError("generator raised StopIteration") from exc
        return found

    return values
