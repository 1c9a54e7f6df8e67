"""A machine that walks over byte code once and tells what it does to values from outside.

Rules of this file: pure; nothing of the user's is run.  It follows the stack in a straight line,
with branches joined where they meet; of a value that it loses track of it says nothing.  At an
instruction that it does not know (of another Python) it gives up, and says so.
"""

from __future__ import annotations

import dis
from types import FunctionType
from typing import Any, Protocol

from mpicomp.plan.lookup import UNKNOWN, attribute, on_type, unwrapped
from mpicomp.plan.shared import Derived, Made, Shared, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    Handler = Callable[["Machine", dis.Instruction], None]

_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


class Scope:
    """What names mean to a code object.

    Attributes
    ----------
    names : dict
        Local names and those of the closure, as far as their values are known.
    outside : frozenset of str
        The names of the closure whose variables exist outside the item.
    globals, builtins : dict
    """

    __slots__ = ("builtins", "globals", "names", "outside")

    def __init__(
        self,
        names: dict[str, Value],
        outside: frozenset[str],
        globals: dict[str, Any],  # as FunctionType calls it
        builtins: dict[str, Any],
    ) -> None:
        self.names = names
        self.outside = outside
        self.globals = globals
        self.builtins = builtins


class Observer(Protocol):
    """Who is told what the code does."""

    def wrote_name(self, kind: str, name: str, value: Value, line: int) -> None: ...
    def wrote_attribute(self, owner: Shared, name: str, value: Value, line: int) -> None: ...
    def wrote_item(self, container: Shared, key: Value, value: Value, line: int) -> None: ...
    def changed_in_place(self, value: Shared, line: int) -> None: ...
    def read_item(self, container: Shared) -> Value: ...
    def tested(self, value: Shared) -> None: ...
    def iterated(self, value: Shared, line: int) -> None: ...
    def called(
        self, callee: Value, args: list[Value] | None, names: tuple[str, ...], used: bool, line: int
    ) -> Value: ...


class Machine:
    """One walk over one code object."""

    def __init__(self, code: CodeType, scope: Scope, observer: Observer) -> None:
        self.scope = scope
        self.observer = observer
        self.lost = False  # it met an instruction that it does not know
        self.code = code
        self.line = code.co_firstlineno
        self.stack: list[Value] = []
        self.loaded: set[str] = set()  # names from outside that were read up to here
        self._steps = list(dis.get_instructions(code))
        self._waiting: dict[int, list[Value]] = {}  # stacks that jump to an offset
        self._reachable = True
        self.keywords: tuple[str, ...] = ()  # of the next call's keyword arguments
        self.used = True  # somebody looks at the next call's result

    def run(self, handlers: Mapping[str, Handler]) -> None:
        """Walk, doing for each instruction what *handlers* say; jumps need none."""
        for step, after in zip(self._steps, [*self._steps[1:], None], strict=True):
            self._arrive(step.offset)
            if step.positions is not None and step.positions.lineno is not None:
                self.line = step.positions.lineno
            self.used = after is None or after.opname != "POP_TOP"
            handler = handlers.get(step.opname)
            if handler is not None:
                handler(self, step)
            elif step.opcode in _JUMPS:
                self._jump(step)
            else:
                self.lost = True
                return

    def _arrive(self, offset: int) -> None:
        here = self._waiting.pop(offset, None)
        if not self._reachable:
            self.stack = here or []  # a handler of exceptions: nothing is known
        elif here is not None:
            self.stack = _joined(self.stack, here)
        self._reachable = True

    def _jump(self, step: dis.Instruction) -> None:
        there = list(self.stack)
        adjust(there, dis.stack_effect(step.opcode, step.arg, jump=True))
        if step.opname.startswith(("POP_JUMP", "JUMP_IF")):
            self.test(self.stack[-1] if self.stack else None)
        adjust(self.stack, dis.stack_effect(step.opcode, step.arg, jump=False))
        if step.argval > step.offset:
            met = self._waiting.get(step.argval)
            self._waiting[step.argval] = there if met is None else _joined(met, there)
        if step.opname.startswith(("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_NO_INTERRUPT")):
            self._reachable = False

    def test(self, value: Value) -> None:
        """Note that *value* is looked at by an ``if`` or an ``is``."""
        if isinstance(value, Shared):
            self.observer.tested(value)

    def pop(self, count: int = 1) -> list[Value]:
        """The topmost values, lowest first; None for what is not known."""
        missing = max(0, count - len(self.stack))
        taken = [None] * missing + self.stack[len(self.stack) - count + missing :]
        del self.stack[len(self.stack) - count + missing :]
        return taken

    def push(self, *values: Value) -> None:
        """Put *values* on the stack, the last on top."""
        self.stack.extend(values)

    def outer(self, name: str) -> Value:
        """A global name or a builtin."""
        self.loaded.add(name)
        found = dict.get(self.scope.globals, name, UNKNOWN)
        if found is UNKNOWN:
            found = dict.get(self.scope.builtins, name, UNKNOWN)
        return Shared(name, found)

    def read(self, name: str) -> Value:
        """A local name, or one of the closure."""
        self.loaded.add(name)
        return self.scope.names.get(name)

    def call(self, callee: Value, args: list[Value] | None, names: tuple[str, ...]) -> None:
        """Call, and push what comes back."""
        self.push(self.observer.called(callee, args, names, self.used, self.line))


def attribute_of(owner: Value, name: str) -> Value:
    """``owner.name``."""
    if isinstance(owner, Made):  # only what its class says: the rest is the item's own
        found, bound = unwrapped(on_type(owner.kind, name))
        bound |= type(found) is FunctionType
        return Shared(name, found, owner, bound) if callable(found) else None
    if not isinstance(owner, Shared):
        return None
    found, bound = attribute(owner.obj, name)
    return Shared(f"{owner.text}.{name}", found, owner, bound)


def derived(*values: Value) -> Value:
    """What is computed from *values*."""
    texts: list[str] = []
    for value in values:
        if isinstance(value, Shared):
            texts.append(value.text)
        elif isinstance(value, Derived):
            texts.extend(value.texts)
    return Derived(tuple(texts[:20])) if texts else None


def _joined(one: list[Value], other: list[Value]) -> list[Value]:
    """Two stacks that meet: what they have in common, from the top."""
    depth = min(len(one), len(other))
    if not depth:
        return []
    return [a if a is b else None for a, b in zip(one[-depth:], other[-depth:], strict=True)]


def adjust(stack: list[Value], effect: int) -> None:
    """Let a stack grow or shrink, by values that nobody knows."""
    if effect < 0:
        del stack[effect:]
    else:
        stack.extend([None] * effect)
