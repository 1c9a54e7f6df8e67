"""A call on its way from the notebook to the engines, and a value on its way back.

    notebook                                   engines
    pack       head: code, options       ───>  unpack, on all of them
               leaves: the source's items ──>  on the root's alone, which shares them out
    unpacked   <──────────────────────── reply answered, by the root's

Rules of this file: no message is sent here.  What is defined in a cell travels by value
(cloudpickle); a class comes back as the class that it was.
"""

from __future__ import annotations

import linecache
import marshal
import os
import pickle
from array import array
from copy import copy
from functools import cache
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from mpicomp.engine.share import at_hand
from mpicomp.errors import TransportError
from mpicomp.plan.comprehension import Comprehension, code_of
from mpicomp.plan.source import Branch, Data, Stream, rebuild
from mpicomp.wire.forms import OUT_OF_BAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpicomp.engine.call import Call
    from mpicomp.plan.source import Source
    from mpicomp.plan.streams import Seeder

_MOST = 32
"""Buffers in one message; ipyparallel looks into lists of fewer than 64."""


class Packed(NamedTuple):
    """A call, ready to be sent.

    Attributes
    ----------
    head : list of buffers
        For every engine.
    leaves : list of buffers
        For the engine of the root, which alone gets the items.
    problem : BaseException or None
        What the source itself raised behind the last of these items.
    """

    head: list[Any]
    leaves: list[Any]
    problem: BaseException | None


def pack(call: Call) -> Packed:
    """*call* as buffers.

    Raises
    ------
    TransportError
        Something that the items need cannot be pickled.
    """
    options = copy(call.options)
    options.comm, options.effects = None, "ignore"  # they have been looked for here
    comprehension, problem = _read(call.comprehension)
    source = comprehension.source
    leaves: list[Any] = []
    if not source.known:
        leaves = dump((source.outline(), [leaf.items for leaf in source.leaves()]), "the source")[0]
        comprehension = copy(comprehension)
        comprehension.source = hollow(source)
    sent = call._replace(comprehension=comprehension, options=options)
    head, files = dump(sent, "the comprehension")
    texts = {name: linecache.getlines(name) for name in files if not os.path.exists(name)}
    return Packed([pickle.dumps(texts), *head], leaves, problem)


def _read(comprehension: Comprehension) -> tuple[Comprehension, BaseException | None]:
    """The same over items in memory, and what kept the rest of them away."""
    problem: BaseException | None = None
    if isinstance(comprehension.source, Stream):
        stream = comprehension.source
        comprehension = copy(comprehension.streamed())
        items: list[Any] = []
        try:
            items.extend(stream.iterator)
        except Exception as exc:  # the serial comprehension would compute what came before it
            problem = exc
        comprehension.source = Data(items)
    elif not comprehension.source.known:
        comprehension = copy(comprehension)
        comprehension.source, problem = at_hand(comprehension.source)
    return comprehension, problem


def hollow(source: Source) -> Source:
    """*source* without its items, as the other ranks need it: for the functions in it.

    Examples
    --------
    >>> from mpicomp.plan.source import Data, Map
    >>> hollow(Map([Data([1, 2, 3])], abs)), hollow(Map([Data([1, 2, 3])], abs)).functions()
    (map(a data of 0 items), [<built-in function abs>])
    """
    if source.known:
        return source
    if isinstance(source, Branch):
        return source.over([hollow(child) for child in source.children])
    return Data([])


def unpack(head: Sequence[Any], leaves: Sequence[Any]) -> Call:
    """The call that `pack` made into buffers; *leaves* are empty on all ranks but the root."""
    texts = pickle.loads(head[0])
    for name, lines in texts.items():
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    call: Call = load(head[1:])
    if leaves:
        comprehension = call.comprehension
        outline, items = load(leaves)
        functions = comprehension.source.functions()
        comprehension.source = rebuild(outline, map(Data, items), iter(functions))
    return call


def dump(value: Any, what: str) -> tuple[list[Any], set[str]]:
    """*value* as buffers, and the files in which functions that are in it were written."""
    buffers: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND:
            return True
        buffers.append(raw.cast("B"))
        return False

    file = BytesIO()
    pickler = _pickler()(file, 5, keep)
    try:
        pickler.dump(value)
    except Exception as exc:
        raise TransportError(
            f"{what} cannot be sent to the engines: {exc}; make in the function what cannot "
            "travel (files, locks, connections), or import it from a module"
        ) from exc
    return [file.getvalue(), *joined(buffers)], pickler.files


def load(buffers: Sequence[Any]) -> Any:
    """What `dump` made into buffers; arrays in it can be written to."""
    return pickle.loads(buffers[0], buffers=map(bytearray, split(buffers[1:])))


def joined(buffers: list[Any]) -> list[Any]:
    """The same in so few buffers that all of them are sent as they are, behind their sizes.

    Examples
    --------
    >>> many = [bytes([i]) * i for i in range(50)]
    >>> len(joined(many)), [bytes(part) for part in split(joined(many))] == many
    (2, True)
    """
    sizes = array("q", map(len, buffers)).tobytes()
    return [sizes, *(buffers if len(buffers) <= _MOST else [b"".join(buffers)])]


def split(buffers: Sequence[Any]) -> list[Any]:
    """What `joined` was given."""
    sizes, *rest = [memoryview(buffer) for buffer in buffers]
    lengths: list[int] = sizes.cast("B").cast("q").tolist()
    if len(lengths) == len(rest):
        return rest
    parts: list[Any] = []
    at = 0
    for length in lengths:
        parts.append(rest[0][at : at + length])
        at += length
    return parts


@cache
def _pickler() -> Any:
    import cloudpickle  # type: ignore[import-untyped]  # it has no annotations

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no annotations
        """By value what has no name elsewhere; comprehensions by their parts."""

        def __init__(self, file: BytesIO, protocol: int, keep: Callable[[Any], bool]) -> None:
            super().__init__(file, protocol, keep)
            self.files: set[str] = set()

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is FunctionType:
                self.files.add(obj.__code__.co_filename)
            elif type(obj) is CodeType:  # with the name of its file, which cloudpickle drops
                return marshal.loads, (marshal.dumps(obj),)
            elif type(obj) is Comprehension:
                inside = (obj.make, obj.source, obj.whole_runs, obj.function, obj.bring, obj.seeder)
                return built, (*inside, obj.digest)
            return super().reducer_override(obj)

    return Pickler


_codes: dict[tuple[CodeType, str], CodeType] = {}


def built(
    make: Any,
    source: Source,
    whole_runs: bool,
    function: Any,
    bring: Any,
    seeder: Seeder | None,
    digest: int,
) -> Comprehension:
    """A comprehension from its parts, with the code object that it had the last time.

    What a rank knows of a code (`mpicomp.plan.comprehension.CodeFacts`) goes with the object.
    """
    if type(function) is FunctionType:
        code = function.__code__
        if len(_codes) > 1000:
            _codes.clear()
        function.__code__ = _codes.setdefault((code, code.co_filename), code)
    made = Comprehension(make, source, code_of(function), whole_runs, function, bring, seeder)
    made.digest = digest
    return made


def by_value(obj: Any) -> tuple[Any, ...]:
    """For `mpicomp.plan.pickling`, on engines: a class is the one that has come from the notebook.

    Loading a class anew would put copies into the place of its methods.
    """
    import cloudpickle

    known = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", {})
    key = known.get(obj, "") if isinstance(obj, type) else ""
    return as_known, (key, cloudpickle.dumps(obj))


def as_known(key: str, pickled: bytes) -> Any:
    """The class that is known by *key* here, else what was pickled."""
    import cloudpickle

    found = getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", {}).get(key)
    return pickle.loads(pickled) if found is None else found
