"""From a function to everything that it calls, looking for side effects on the way.

Rules of this file: pure; nothing of the user's is run.  Only functions that the user wrote are
entered, each once for the same shared arguments, to a bounded depth and amount of code.

What is no side effect although something shared is written: a walrus that every item sets before
it reads it; a global or an attribute that is set only where it was found empty (made when first
needed); a dict that an item writes under a key of its own and reads back (a cache).
"""

from __future__ import annotations

from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from mpicomp.plan import shared
from mpicomp.plan.bytecode import Machine, Scope, derived
from mpicomp.plan.instructions import HANDLERS
from mpicomp.plan.lookup import UNKNOWN, function_behind, is_users, made_by
from mpicomp.plan.shared import Const, Derived, Made, Shared, Value, element

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_DEPTH = 20
_WORDS = 20_000  # of byte code in all: some 0.1 s
_COMPREHENSIONS = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")


class Finding(NamedTuple):
    """A side effect: what, where, and through which functions it is reached."""

    file: str
    line: int
    name: str
    kind: str
    via: tuple[str, ...]


class Search:
    """All that is found behind one function."""

    def __init__(self) -> None:
        self.findings: dict[tuple[str, int, str], Finding] = {}
        self.seeded = False  # items start the global random stream themselves
        self._walked = 0
        self._seen: set[tuple[int, ...]] = set()

    def enter(
        self,
        callee: Shared,
        args: Sequence[Value] | None,
        names: tuple[str, ...],
        via: tuple[str, ...],
    ) -> bool:
        """Go into what *callee* is, if the user wrote it; whether that was so."""
        front: list[Value] = [callee.owner] if callee.bound else []
        obj = callee.obj
        if obj is not UNKNOWN and issubclass(type(obj), type):
            made = [function for function in made_by(obj) if is_users(function.__code__)]
            for function in made:
                self._function(function, [Made(obj)], args, names, via)
            return bool(made)
        function_, first = function_behind(obj)
        if function_ is None:
            return False
        front += [Shared("", value) for value in first]
        self._function(function_, front, args, names, via)
        return True

    def _function(
        self,
        function: FunctionType,
        front: list[Value],
        args: Sequence[Value] | None,
        names: tuple[str, ...],
        via: tuple[str, ...],
    ) -> None:
        code = function.__code__
        known = _arguments(function, [*front, *(args or ())], names)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                known[name] = Shared(name, cell.cell_contents)
            except ValueError:  # not bound yet
                known[name] = Shared(name)
        builtins = getattr(function, "__builtins__")  # noqa: B009  # typeshed lacks it
        scope = Scope(known, frozenset(code.co_freevars), function.__globals__, builtins)
        place = () if code.co_name == "<genexpr>" and not via else (function.__name__,)
        self.code(code, scope, (*via, *place))

    def code(self, code: CodeType, scope: Scope, via: tuple[str, ...]) -> None:
        """Walk over *code*, and over the code of the functions that it makes."""
        held = (id(value.obj) for value in scope.names.values() if isinstance(value, Shared))
        key = (id(code), *held)
        if key in self._seen or len(via) > _DEPTH or self._walked > _WORDS:
            return
        self._seen.add(key)
        self._walked += len(code.co_code) // 2
        visit = Visit(self, code, scope, via)
        visit.machine.run(HANDLERS)
        visit.end()
        for inner in code.co_consts:
            if type(inner) is CodeType:
                known = {name: scope.names.get(name) for name in inner.co_freevars}
                outside = scope.outside.intersection(inner.co_freevars)
                self.code(inner, Scope(known, outside, scope.globals, scope.builtins), via)


class Visit:
    """One function that is walked over: what the machine tells is judged here."""

    def __init__(self, search: Search, code: CodeType, scope: Scope, via: tuple[str, ...]) -> None:
        self.search = search
        self.via = via
        self.machine = Machine(code, scope, self)
        self._code = code
        self._tested: set[str] = set()  # asked whether they are empty
        self._read: set[str] = set()  # containers whose items were read
        self._found: list[Finding] = []
        self._written: list[tuple[Shared, Value, Value, int]] = []

    def found(self, kind: str, name: str, line: int) -> None:
        """Note a side effect."""
        place = (self._code.co_filename, line, name.partition("[")[0])
        if kind != "random" or not self.search.seeded:
            self._found.append(Finding(*place, kind, self.via))

    def _fills(self, text: str, value: Value) -> bool:
        """Whether *value* is put where nothing was before, and does not build on what was."""
        return text in self._tested and not _builds_on(value, text)

    def wrote_name(self, kind: str, name: str, value: Value, line: int) -> None:
        if self._code.co_name in _COMPREHENSIONS:
            if name in self.machine.loaded:
                self.found("carried", name, line)
        elif not (self._fills(name, value) or _is_module(value)):
            self.found(kind, name, line)

    def wrote_attribute(self, owner: Shared, name: str, value: Value, line: int) -> None:
        text = f"{owner.text}.{name}"
        if owner.obj is UNKNOWN or shared.is_of_a_thread(owner.obj) or self._fills(text, value):
            return
        self.found("attribute", text, line)

    def wrote_item(self, container: Shared, key: Value, value: Value, line: int) -> None:
        if container.obj is not UNKNOWN:
            self._written.append((container, key, value, line))

    def end(self) -> None:
        """Judge what can only be judged when all of the code has been seen."""
        for container, key, value, line in self._written:
            if not self._caches(container, key, value):
                self.found("mutation", container.text, line)
        for finding in [] if self.machine.lost else self._found:
            self.search.findings.setdefault(finding[:3], finding)

    def _caches(self, container: Shared, key: Value, value: Value) -> bool:
        text = container.text
        if isinstance(key, Const) or text not in self._read or _builds_on(value, text):
            return False
        if shared.is_changed_in_place(container.obj) and not issubclass(type(container.obj), dict):
            return f"{text}[...]" in self._tested  # a list: only where it held None
        return True

    def changed_in_place(self, value: Shared, line: int) -> None:
        if shared.is_changed_in_place(value.obj):
            self.found("mutation", value.text, line)

    def read_item(self, container: Shared) -> Value:
        self._read.add(container.text)
        return element(container)

    def tested(self, value: Shared) -> None:
        self._tested.add(value.text)

    def iterated(self, value: Shared, line: int) -> None:
        if change := shared.taken(value):
            self.found(*change, line)

    def called(
        self, callee: Value, args: list[Value] | None, names: tuple[str, ...], used: bool, line: int
    ) -> Value:
        values = args or []
        if isinstance(callee, Shared):
            if shared.seeds(callee):
                self.search.seeded |= args is None or bool(args)
                return None
            if self.search.enter(callee, args, names, self.via):
                return _result(callee)
            self._library(callee, values, used, line)
        for value in values:  # a function that is given away will be called
            if isinstance(value, Shared):
                self.search.enter(value, None, (), self.via)
        return self._given(callee, values) if isinstance(callee, Shared) else None

    def _library(self, callee: Shared, values: list[Value], used: bool, line: int) -> None:
        owner = callee.owner
        if callee.name == "setdefault" and isinstance(owner, Shared) and len(values) == 2:
            if not used:
                self.wrote_item(owner, values[0], values[1], line)
        elif change := shared.changed_by_call(callee, values, not used):
            self.found(*change, line)
        if callee.obj is hasattr and len(values) == 2 and isinstance(values[0], Shared):
            name = values[1].value if isinstance(values[1], Const) else ""
            self._tested.add(f"{values[0].text}.{name}")

    def _given(self, callee: Shared, values: list[Value]) -> Value:
        """What comes back from a call into a library."""
        owner = callee.owner
        if isinstance(owner, Shared) and callee.name in ("get", "setdefault"):
            self._read.add(owner.text)
            got = element(owner)
            if got.obj is UNKNOWN and len(values) == 2 and isinstance(values[1], Made):
                got = got._replace(obj=shared.empty(values[1].kind))
            return got
        return _result(callee) or derived(*values)


def _is_module(value: Value) -> bool:
    return isinstance(value, Shared) and type(value.obj) is ModuleType  # ``global np; import``


def _result(callee: Shared) -> Value:
    obj = callee.obj
    return Made(obj) if obj is not UNKNOWN and issubclass(type(obj), type) else None


def _builds_on(value: Value, text: str) -> bool:
    if not isinstance(value, (Shared, Derived)):
        return False
    texts = value.texts if isinstance(value, Derived) else (value.text,)
    return any(used == text or used.startswith((f"{text}[", f"{text}.")) for used in texts)


def _arguments(
    function: FunctionType, passed: list[Value], names: tuple[str, ...]
) -> dict[str, Value]:
    """What is known of the parameters: what is passed, and defaults where nothing is.

    A default is one object for all items.  Where it is not known what is passed
    (``f(*args)``), defaults are believed to count.
    """
    code = function.__code__
    count = code.co_argcount
    params = code.co_varnames[: count + code.co_kwonlyargcount]
    defaults: tuple[Any, ...] = function.__defaults__ or ()
    known: dict[str, Value] = dict.fromkeys(params)
    for name, default in zip(params[count - len(defaults) : count], defaults, strict=True):
        known[name] = Shared(name, default)
    for name, default in (function.__kwdefaults__ or {}).items():
        known[name] = Shared(name, default)
    split = len(passed) - len(names)
    pairs = [
        *zip(params[:count], passed[:split], strict=False),
        *zip(names, passed[split:], strict=True),
    ]
    for name, value in pairs:
        known[name] = value._replace(text=name) if isinstance(value, Shared) else value
    return known
