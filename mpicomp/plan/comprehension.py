"""A generator expression, taken apart so that its own code runs on any slice of its source.

Rules of this file: pure; the generator that was given is read, never advanced.

CPython facts this rests on (3.11 to 3.14): a generator that has not started keeps its function
among the objects that the garbage collector sees from it, with the true cells of its closure;
the function's one argument is the iterator of the outermost ``for`` (from 3.14 on the iterable
itself).  What is passed to it here is always an iterator: anything else would crash the
interpreter on 3.10 to 3.13.0.
"""

from __future__ import annotations

import gc
from copy import copy
from functools import partial
from itertools import starmap
from math import inf
from types import AsyncGeneratorType, FunctionType, GeneratorType

from mpicomp.errors import ComprehensionError
from mpicomp.plan.find import find_source
from mpicomp.plan.listing import list_code, listed
from mpicomp.plan.source import Map, Stream, Zip, mapped
from mpicomp.plan.streams import Seeded, SeededStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any

    from mpicomp.plan.source import Source
    from mpicomp.plan.streams import Seeder

    Step = Callable[[Iterator[Any]], Iterator[Any]]


class CodeFacts:
    """What is asked of a code object again and again: a stable digest, its yields, its list.

    Attributes
    ----------
    took : float
        Seconds that the last call of it took, where somebody has measured; else infinite.
    lone : int
        How many calls in a row, each of `n` items, one rank should have done.
    cost : float
        Seconds that one of its items took, likewise.
    ships : float
        Seconds to get one of its values from another rank, where somebody has measured; else 0.
    """

    __slots__ = ("code", "cost", "digest", "list_code", "lone", "n", "one_to_one", "ships", "took")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.digest = digest_of(_code_text(code))
        expression = code.co_name == "<genexpr>"
        self.one_to_one = yields_once(code) if expression else True
        self.list_code = list_code(code) if expression else None
        self.took = self.cost = inf
        self.ships = 0.0
        self.n, self.lone = -1, 0


_facts: dict[int, CodeFacts] = {}


def facts_of(code: CodeType) -> CodeFacts:
    """The facts of *code*, computed once (kept with the code, so that its id stays its own)."""
    found = _facts.get(id(code))
    if found is None:
        if len(_facts) > 10_000:  # a notebook of many days
            _facts.clear()
        found = _facts[id(code)] = CodeFacts(code)
    return found


def digest_of(text: str) -> int:
    """63 bits that are the same in every process (``hash`` is not)."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest()) >> 1


def _code_text(code: CodeType) -> str:
    constants = [
        _code_text(const)
        if hasattr(const, "co_code")
        else sorted(map(repr, const))  # a frozenset's order differs from process to process
        if isinstance(const, frozenset)
        else const
        for const in code.co_consts
    ]
    names = (code.co_qualname, code.co_firstlineno, code.co_names, code.co_freevars)
    return repr((names, code.co_code, constants))


def yields_once(code: CodeType) -> bool:
    """Whether each turn of the outermost loop yields exactly once.

    No when there is an ``if`` clause or an inner loop around the yield.  Follows every path
    from the head of the loop and back to it, counting yields (0, 1, many).
    """
    import dis

    steps = list(dis.get_instructions(code))
    place = {step.offset: k for k, step in enumerate(steps)}
    head = next((k for k, step in enumerate(steps) if step.opname == "FOR_ITER"), None)
    if head is None:
        return False
    ends: set[int] = set()
    todo, seen = [(head + 1, 0)], set()
    while todo:
        at, count = todo.pop()
        if at == head:
            ends.add(count)
        elif (at, count) not in seen:
            seen.add((at, count))
            step = steps[at]
            count = min(2, count + (step.opname == "YIELD_VALUE"))
            if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
                todo.append((place[step.argval], count))
            if not step.opname.startswith(("JUMP_", "RETURN_V", "RETURN_C", "RERAISE", "RAISE")):
                todo.append((at + 1, count))
    return ends == {1}


class Comprehension:
    """Code and source, apart.

    Attributes
    ----------
    make : callable
        Iterator over some items -> iterator over what the comprehension gives for them.
    listed : callable or None
        The same to a list, in less time, where that is possible.
    source : Source
        What the outermost ``for`` runs over.
    code : CodeType or None
        The code that runs on each item, where there is Python code to point at.
    one_to_one : bool
        Each item gives exactly one value.
    digest : int
        Equal on all ranks that came with the same code.
    name : str
        Of a function without Python code, for people.
    whole_runs : bool
        A run of items is not to be cut further (batched functions get it whole).
    function : object
        What runs on each item: the function of a generator expression, or the one mapped.
    bring : tuple of callables
        Of a stream on the root: what makes the items, in turn, of what comes from there.  The
        same on every rank, also on one that came with a list.
    seeder : Seeder or None
        Who makes the random streams of its items, where the source is one of `seeded`.
    """

    __slots__ = (
        "bring",
        "code",
        "digest",
        "function",
        "listed",
        "make",
        "name",
        "one_to_one",
        "seeder",
        "source",
        "whole_runs",
    )

    def __init__(
        self,
        make: Step,
        source: Source,
        code: CodeType | None,
        whole_runs: bool = False,
        function: object = None,
        bring: tuple[Step, ...] = (),
        seeder: Seeder | None = None,
    ) -> None:
        self.make = make
        self.source = source
        self.code = code
        self.whole_runs = whole_runs
        self.function = function
        self.bring = bring
        self.seeder = seeder
        self.one_to_one = source.one_to_one
        self.name = ""
        self.listed: Callable[[Iterator[Any]], list[Any]] | None = None
        if code is None:
            self.name = _name_of(function)
            self.digest = digest_of(self.name)
        else:
            facts = facts_of(code)
            self.digest = facts.digest
            self.one_to_one &= facts.one_to_one
            if facts.list_code is not None and type(make) is FunctionType:
                self.listed = listed(facts.list_code, make)
        if seeder is not None:
            self.digest = digest_of(f"{self.digest} {seeder}")

    def streamed(self) -> Comprehension:
        """The same for what the root reads from a stream."""
        if not self.bring:
            return self
        changed = copy(self)
        changed.make, changed.bring = partial(_after, (*self.bring, self.make)), ()
        changed.listed = None
        return changed

    @property
    def where(self) -> str:
        """File and line, for people."""
        if self.code is None:
            return self.name
        return f"{self.code.co_filename}:{self.code.co_firstlineno}"

    @property
    def at(self) -> str:
        """The same behind the name of a verb."""
        if self.code is None:
            return f" of {self.name}" if self.name else ""
        return f" at {self.where}"


def take_apart(expression: object, verb: str) -> Comprehension:
    """Split a generator expression or a ``map`` object.

    Of a ``map`` over a stream the items alone come from the root: every rank runs the function.

    Parameters
    ----------
    expression : generator or map
        Not yet started.
    verb : str
        Who asks, for the error's text.

    Raises
    ------
    ComprehensionError
        For anything else; says what to write.
    """
    if type(expression) is GeneratorType:
        return _from_generator(expression, verb)
    if type(expression) is map:
        return _from_map(expression)
    if isinstance(expression, AsyncGeneratorType):
        raise ComprehensionError(
            f"{verb} cannot run an asynchronous generator expression; "
            f"write {verb}(f(x) for x in xs) with a plain function f"
        )
    raise ComprehensionError(
        f"{verb} needs a generator expression or a map object, got {expression!r:.200}; "
        f"write {verb}(f(x) for x in xs)"
    )


def _from_map(expression: map[Any]) -> Comprehension:
    reduced: Any = expression.__reduce__()  # (map, (function, iterator, ...)[, strict])
    function, *inner = reduced[1]
    source = find_source(expression)
    bring: tuple[Step, ...] = (
        partial(_mapped_over, map if len(inner) == 1 else starmap, function),
    )
    seeder = None
    if len(inner) == 1:
        below, seeder = _unseeded(
            source.children[0] if isinstance(source, Map) else find_source(inner[0])
        )
        bring = (seeder.pairs, *bring) if seeder is not None else bring
        source = below if isinstance(source, Stream) else source
    elif isinstance(source, Stream):
        source = Stream(zip(*inner, strict=len(reduced) > 2))
    return Comprehension(iter, source, code_of(function), False, function, bring, seeder)


def over_items(comprehension: Comprehension) -> Comprehension:
    """A comprehension made of a ``map``, whose function runs in ``make`` and not in its source."""
    changed = copy(comprehension)
    *bring, function = comprehension.bring
    changed.make, changed.bring = partial(_after, (function, comprehension.make)), tuple(bring)
    source = comprehension.source
    if isinstance(source, Map):
        changed.source = source.children[0] if len(source.children) == 1 else Zip(source.children)
    return changed


def _unseeded(source: Source) -> tuple[Source, Seeder | None]:
    """What has to come from the root, and who makes the random streams of its items."""
    if isinstance(source, SeededStream):
        return source.rows, source.seeder
    return source, source.seeder if isinstance(source, Seeded) else None


def _after(steps: tuple[Step, ...], it: Iterator[Any]) -> Iterator[Any]:
    for step in steps:
        it = step(it)
    return it


def _mapped_over(kind: Any, function: Callable[..., Any], it: Iterator[Any]) -> Iterator[Any]:
    return mapped(kind, function, [it])


def code_of(function: object) -> CodeType | None:
    """The Python code of a function, a method, a partial or an object that is called."""
    function = _innermost(function)
    code = getattr(function, "__code__", None)
    return code if code is not None else getattr(type(function).__call__, "__code__", None)


def _innermost(function: object) -> object:
    for _ in range(10):
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            break
        function = inner
    return function


def _name_of(function: object) -> str:
    """What to call a function without Python code, such as ``abs``."""
    if function is None:
        return ""
    function = _innermost(function)
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _from_generator(gen: GeneratorType[Any, Any, Any], verb: str) -> Comprehension:
    code, frame = gen.gi_code, gen.gi_frame
    if frame is None or gen.gi_suspended or gen.gi_running:
        state = "has ended" if frame is None else "has already started"
        raise ComprehensionError(
            f"{verb} got a generator that {state} ({code.co_filename}:{code.co_firstlineno}); "
            f"write the expression where it is used: {verb}(f(x) for x in xs)"
        )
    if code.co_name != "<genexpr>":
        raise ComprehensionError(
            f"{verb} got a generator made by the function {code.co_qualname!r}: what it computes "
            f"cannot be split; write {verb}(f(x) for x in {code.co_name}(...))"
        )
    held = gc.get_referents(gen)
    function = next(f for f in held if type(f) is FunctionType and f.__code__ is code)
    source, seeder = _unseeded(find_source(frame.f_locals[".0"]))
    bring = () if seeder is None else (seeder.pairs,)
    return Comprehension(function, source, code, function=function, bring=bring, seeder=seeder)
