"""Side effects that would give other answers in parallel, found before anything runs.

Rules of this file: pure; nothing of the user's is run, and nothing unexpected in his code breaks
the call: what cannot be inspected has no findings.

A code object is inspected once for what its closure and the globals that it names are: functions
by their code, everything else by its type.  So a closure that comes with another function is
inspected again; what is deeper down is believed to stay as it was.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType
from typing import Any

from mpicomp.plan.lookup import identity
from mpicomp.plan.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.plan.reach import Finding

_LIMIT = 10_000  # a notebook of many days
_known: dict[tuple[int, ...], tuple[list[object], tuple[Finding, ...]]] = {}

_OWN = "In parallel each rank has its own {name}, which sees only the items of that rank"
_COLLECT = "Return the value instead, and collect it: psum(...) adds up, plist(...) keeps all"
_TURNS = "In parallel each rank reads with a position of its own, or only rank 0 gets anything"
_WORDS = {
    "global": ("sets the global variable {name}", _OWN, _COLLECT),
    "nonlocal": ("sets the variable {name} of an enclosing function", _OWN, _COLLECT),
    "carried": (
        "reads in {name} what the item before it has left there", _OWN,
        "Add up with psum(...), or combine with preduce(...)",
    ),
    "mutation": ("changes {name}, which all items share", _OWN, _COLLECT),
    "attribute": ("sets {name} on an object that all items share", _OWN, _COLLECT),
    "random": (
        "draws from a random stream that all items share: {name}",
        "In parallel the numbers depend on the ranks: some the same on all, none as in serial",
        "Give each item a stream of its own, such as random.Random(x) or "
        "numpy.random.default_rng([seed, x])",
    ),
    "iterator": (
        "takes from {name}, an iterator that all items share", _TURNS,
        "Loop over it in the source: for a, b in zip(xs, {name})",
    ),
    "file": (
        "reads from {name}, a file that all items share", _TURNS,
        "Read it in the source: for line in file",
    ),
    "writing": (
        "writes to {name}, a file that all items share",
        "In parallel all ranks write to it at once, in no order",
        "Return the text instead, and write it on the root",
    ),
}  # fmt: skip


def effects_of(function: Any) -> tuple[Finding, ...]:
    """The side effects that *function* and what it calls have, as far as they can be seen.

    Parameters
    ----------
    function : callable
        A function, or what a generator expression was made of.

    Returns
    -------
    tuple of Finding
        In the order in which they are reached.
    """
    facts = _facts(function)
    key = tuple(map(id, facts))
    found = _known.get(key)
    if found is None:
        if len(_known) > _LIMIT:
            _known.clear()
        found = _known[key] = (facts, _inspected(function))  # kept, so that an id stays its own
    return found[1]


def _facts(function: Any) -> list[object]:
    """What the findings hang on, by identity."""
    kind = type(function)
    if kind is FunctionType:
        code, held = function.__code__, function.__globals__
        facts: list[object] = [code]
        for name in code.co_names:
            facts.append(identity(held.get(name)))
        for cell in function.__closure__ or ():
            try:
                facts.append(identity(cell.cell_contents))
            except ValueError:  # not bound yet
                facts.append(None)
        return facts
    if kind is MethodType:
        return [identity(function), *_facts(function.__func__)]
    if kind is partial:
        return [identity(function), *map(identity, function.args), *_facts(function.func)]
    return [identity(function)]


def _inspected(function: Any) -> tuple[Finding, ...]:
    from mpicomp.plan.reach import Search  # with `dis`: not for calls that have been seen

    search = Search()
    try:
        search.enter(Shared("", function), None, (), ())
    except Exception:
        return ()
    return tuple(search.findings.values())


def describe(finding: Finding, who: str) -> str:
    """The letter to the user; *who* is the call, such as ``plist at script.py:9``."""
    name = repr(finding.name)
    through = f", in {' > '.join(finding.via)}" if finding.via else ""
    what, then, instead = (text.format(name=name) for text in _WORDS[finding.kind])
    return (
        f"each item of {who} {what} ({finding.file}:{finding.line}{through}). {then}. "
        f'{instead}; or say effects="ignore" if it does no harm'
    )
