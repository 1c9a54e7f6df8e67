"""What each instruction of CPython 3.11 to 3.14 does to the machine's values.

Rules of this file: pure; one small function for instructions of like kind, and one table.  What
is left on the stack by an instruction whose result nobody could name is None: not known.
"""

from __future__ import annotations

import dis
import sys

from mpicomp.plan.bytecode import Machine, adjust, attribute_of, derived
from mpicomp.plan.lookup import UNKNOWN
from mpicomp.plan.shared import Const, Made, Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NULL = Const("NULL")  # what CPython pushes beside a function that is no method
_NULL_LAST = "CALL_KW" in dis.opmap  # from 3.13 on
_MARKED_ATTRIBUTES = "LOAD_METHOD" not in dis.opmap or dis.opmap["LOAD_METHOD"] > 255


def _load_pair(machine: Machine, step: dis.Instruction) -> None:
    for name in step.argval:
        machine.push(machine.read(name))


def _load_global(machine: Machine, step: dis.Instruction) -> None:
    marked = bool((step.arg or 0) & 1)
    value = machine.outer(step.argval)
    machine.push(*([value, _NULL] if _NULL_LAST else [_NULL, value]) if marked else [value])


def _store_fast(machine: Machine, step: dis.Instruction) -> None:
    machine.scope.names[step.argval] = machine.pop()[0]


def _store_pair(machine: Machine, step: dis.Instruction) -> None:
    for name in step.argval:
        machine.scope.names[name] = machine.pop()[0]


def _store_and_load(machine: Machine, step: dis.Instruction) -> None:
    stored, loaded = step.argval
    machine.scope.names[stored] = machine.pop()[0]
    machine.push(machine.read(loaded))


def _load_and_clear(machine: Machine, step: dis.Instruction) -> None:
    machine.push(machine.scope.names.pop(step.argval, None))


def _store_deref(machine: Machine, step: dis.Instruction) -> None:
    (value,) = machine.pop()
    if step.argval in machine.scope.outside:
        machine.observer.wrote_name("nonlocal", step.argval, value, machine.line)
    else:
        machine.scope.names[step.argval] = value


def _store_global(machine: Machine, step: dis.Instruction) -> None:
    machine.observer.wrote_name("global", step.argval, machine.pop()[0], machine.line)


def _delete_global(machine: Machine, step: dis.Instruction) -> None:
    machine.observer.wrote_name("global", step.argval, Shared(step.argval), machine.line)


def _load_attribute(machine: Machine, step: dis.Instruction) -> None:
    (owner,) = machine.pop()
    method = step.opname == "LOAD_METHOD" or (_MARKED_ATTRIBUTES and (step.arg or 0) & 1)
    machine.push(attribute_of(owner, step.argval))
    if method:
        machine.push(None)


def _store_attribute(machine: Machine, step: dis.Instruction) -> None:
    value, owner = machine.pop(2)
    if isinstance(owner, Shared):
        machine.observer.wrote_attribute(owner, step.argval, value, machine.line)


def _delete_attribute(machine: Machine, step: dis.Instruction) -> None:
    (owner,) = machine.pop()
    if isinstance(owner, Shared):
        machine.observer.wrote_attribute(owner, step.argval, None, machine.line)


def _store_item(machine: Machine, step: dis.Instruction) -> None:
    value, container, key, *_ = machine.pop(4 if step.opname == "STORE_SLICE" else 3)
    if isinstance(container, Shared):
        machine.observer.wrote_item(container, key, value, machine.line)


def _delete_item(machine: Machine, _: dis.Instruction) -> None:
    container, key = machine.pop(2)
    if isinstance(container, Shared):
        machine.observer.wrote_item(container, key, container, machine.line)


def _subscript(machine: Machine, _: dis.Instruction) -> None:
    container, _key = machine.pop(2)
    read = machine.observer.read_item(container) if isinstance(container, Shared) else None
    machine.push(read)


def _binary(machine: Machine, step: dis.Instruction) -> None:
    if step.argrepr == "[]":  # 3.14
        _subscript(machine, step)
        return
    left, right = machine.pop(2)
    if step.argrepr.endswith("=") and isinstance(left, Shared):
        machine.observer.changed_in_place(left, machine.line)
    machine.push(derived(left, right))


def _compare_identity(machine: Machine, _: dis.Instruction) -> None:
    for value in machine.pop(2):
        machine.test(value)
    machine.push(None)


def _import_name(machine: Machine, step: dis.Instruction) -> None:
    _, names = machine.pop(2)
    whole = isinstance(names, Const) and names.value is not None
    name = step.argval if whole else step.argval.partition(".")[0]
    machine.push(Shared(name, sys.modules.get(name, UNKNOWN)))


def _import_from(machine: Machine, step: dis.Instruction) -> None:
    machine.push(attribute_of(machine.stack[-1] if machine.stack else None, step.argval))


def _iterate(machine: Machine, _: dis.Instruction) -> None:
    (value,) = machine.pop()
    if isinstance(value, Shared):
        machine.observer.iterated(value, machine.line)
    machine.push(None)


def _copy(machine: Machine, step: dis.Instruction) -> None:
    at = step.arg or 1
    machine.push(machine.stack[-at] if at <= len(machine.stack) else None)


def _swap(machine: Machine, step: dis.Instruction) -> None:
    taken = machine.pop(step.arg or 2)
    machine.push(taken[-1], *taken[1:-1], taken[0])


def _keyword_names(machine: Machine, step: dis.Instruction) -> None:
    machine.keywords = machine.code.co_consts[step.arg or 0]


def _call_plain(machine: Machine, step: dis.Instruction) -> None:
    names, machine.keywords = machine.keywords, ()
    if step.opname == "CALL_KW":
        (told,) = machine.pop()
        names = told.value if isinstance(told, Const) else ()
    args = machine.pop(step.arg or 0)
    first, second = machine.pop(2)
    machine.call(second if first is _NULL else first, args, names)


def _call_unpacked(machine: Machine, step: dis.Instruction) -> None:
    popped = machine.pop(1 - dis.stack_effect(step.opcode, step.arg))
    machine.call(popped[1] if popped[0] is _NULL else popped[0], None, ())


def _build(machine: Machine, step: dis.Instruction) -> None:
    _one_result(machine, step)
    machine.stack[-1] = Made({"LIST": list, "SET": set}.get(step.opname[6:], dict))


def _one_result(machine: Machine, step: dis.Instruction) -> None:
    machine.pop(1 - dis.stack_effect(step.opcode, step.arg))
    machine.push(None)


def _unpack(machine: Machine, step: dis.Instruction) -> None:
    machine.pop()
    machine.push(*[None] * (1 + dis.stack_effect(step.opcode, step.arg)))


def _special(machine: Machine, _: dis.Instruction) -> None:
    machine.pop()
    machine.push(None, None)


def _forget(machine: Machine, _: dis.Instruction) -> None:
    machine.stack.clear()


def _shift(machine: Machine, step: dis.Instruction) -> None:
    adjust(machine.stack, dis.stack_effect(step.opcode, step.arg))


def _leave(machine: Machine, _: dis.Instruction) -> None:
    machine._reachable = False


def _const(machine: Machine, step: dis.Instruction) -> None:
    machine.push(Const(step.argval))


HANDLERS: dict[str, Callable[[Machine, dis.Instruction], None]] = {
    "LOAD_GLOBAL": _load_global,
    "STORE_FAST": _store_fast,
    "STORE_FAST_STORE_FAST": _store_pair,
    "STORE_FAST_LOAD_FAST": _store_and_load,
    "LOAD_FAST_AND_CLEAR": _load_and_clear,
    "STORE_DEREF": _store_deref,
    "STORE_GLOBAL": _store_global,
    "DELETE_GLOBAL": _delete_global,
    "LOAD_METHOD": _load_attribute,
    "LOAD_ATTR": _load_attribute,
    "STORE_ATTR": _store_attribute,
    "DELETE_ATTR": _delete_attribute,
    "DELETE_SUBSCR": _delete_item,
    "BINARY_SUBSCR": _subscript,
    "BINARY_OP": _binary,
    "IS_OP": _compare_identity,
    "IMPORT_NAME": _import_name,
    "IMPORT_FROM": _import_from,
    "GET_ITER": _iterate,
    "GET_YIELD_FROM_ITER": _iterate,
    "COPY": _copy,
    "SWAP": _swap,
    "KW_NAMES": _keyword_names,
    "CALL_FUNCTION_EX": _call_unpacked,
    "PUSH_NULL": lambda machine, _: machine.push(_NULL),
    "LOAD_NAME": lambda machine, _: machine.push(None),  # in the body of a class
}


def _each(words: str, handler: Callable[[Machine, dis.Instruction], None]) -> None:
    HANDLERS.update(dict.fromkeys(words.split(), handler))


_each("LOAD_CONST LOAD_SMALL_INT", _const)
_each(
    "LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_BORROW LOAD_DEREF",
    lambda machine, step: machine.push(machine.read(step.argval)),
)
_each("LOAD_FAST_LOAD_FAST LOAD_FAST_BORROW_LOAD_FAST_BORROW", _load_pair)
_each("STORE_SUBSCR STORE_SLICE", _store_item)
_each("CALL CALL_KW", _call_plain)
_each("BUILD_LIST BUILD_SET BUILD_MAP BUILD_CONST_KEY_MAP", _build)
_each("RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE INTERPRETER_EXIT", _leave)
_each("UNPACK_SEQUENCE UNPACK_EX", _unpack)
_each("LOAD_SPECIAL", _special)
_each(
    "LOAD_SUPER_ATTR LOAD_CLASSDEREF LOAD_FROM_DICT_OR_DEREF LOAD_FROM_DICT_OR_GLOBALS "
    "LOAD_LOCALS MATCH_CLASS MATCH_KEYS MATCH_MAPPING MATCH_SEQUENCE CHECK_EG_MATCH "
    "PREP_RERAISE_STAR BEFORE_ASYNC_WITH GET_AITER GET_ANEXT GET_AWAITABLE END_ASYNC_FOR "
    "CLEANUP_THROW",
    _forget,
)
_each(
    "UNARY_NOT TO_BOOL NOP RESUME CACHE EXTENDED_ARG PRECALL NOT_TAKEN MAKE_CELL COPY_FREE_VARS "
    "DELETE_FAST DELETE_DEREF DELETE_NAME ASYNC_GEN_WRAP SETUP_ANNOTATIONS",
    lambda *_: None,
)
_each(
    "POP_TOP POP_EXCEPT POP_ITER END_FOR STORE_NAME LIST_APPEND SET_ADD MAP_ADD LIST_EXTEND "
    "SET_UPDATE DICT_UPDATE DICT_MERGE LOAD_CLOSURE LOAD_BUILD_CLASS LOAD_ASSERTION_ERROR "
    "LOAD_COMMON_CONSTANT PUSH_EXC_INFO BEFORE_WITH RETURN_GENERATOR WITH_EXCEPT_START GET_LEN "
    "END_SEND",
    _shift,
)
_each(
    "COMPARE_OP CONTAINS_OP UNARY_NEGATIVE UNARY_INVERT UNARY_POSITIVE BINARY_SLICE MAKE_FUNCTION "
    "SET_FUNCTION_ATTRIBUTE CALL_INTRINSIC_1 CALL_INTRINSIC_2 FORMAT_VALUE FORMAT_SIMPLE "
    "FORMAT_WITH_SPEC CONVERT_VALUE BUILD_TUPLE BUILD_STRING BUILD_SLICE BUILD_TEMPLATE "
    "BUILD_INTERPOLATION YIELD_VALUE LIST_TO_TUPLE CHECK_EXC_MATCH",
    _one_result,
)
