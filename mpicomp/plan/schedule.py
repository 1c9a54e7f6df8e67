"""OpenMP's spelling of a schedule, read into a small frozen value.

A schedule is a name and an optional chunk, as in ``OMP_SCHEDULE``: ``"static"``, ``"static,4"``,
``"dynamic,4"``, ``"guided"``.  Behind them stands what else its formula needs:
``"fsc,h=1e-6,sigma=1e-3"``, ``"weighted,weights=2:1:1"``.  Its ``kind`` says who decides which rank
takes which items: a formula ("static"), the order of asking ("table": see `mpicomp.plan.chunks`), a
master that has measured ("adaptive"), or mpicomp itself ("auto").
"""

from __future__ import annotations

from functools import lru_cache

from mpicomp.errors import ScheduleError
from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic
from mpicomp.plan.value import Frozen, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

    from mpicomp.plan.decomposition import Decomposition

KINDS = {
    "static": "static",
    "dynamic": "table",
    "guided": "table",
    "trapezoid": "table",
    "factoring": "table",
    "tfss": "table",
    "fiss": "table",
    "viss": "table",
    "mfsc": "table",
    "fsc": "table",
    "pls": "table",
    "weighted": "adaptive",
    "awf-b": "adaptive",
    "awf-c": "adaptive",
    "awf-d": "adaptive",
    "awf-e": "adaptive",
    "af": "adaptive",
    "auto": "auto",
}

TAKES = {
    "fsc": ("h", "sigma"),
    "pls": ("swr",),
    "fiss": ("stages",),
    **dict.fromkeys(("weighted", "awf-b", "awf-c", "awf-d", "awf-e"), ("weights",)),
}
"""What a schedule's formula needs besides n, p and the least chunk."""

# what papers, Fortran and other libraries call them, and what to write here
_ALSO_CALLED = {
    "block": "static",
    "cyclic": "static,1",
    "ss": "dynamic,1",
    "css": "dynamic,4",
    "gss": "guided",
    "tss": "trapezoid",
    "trapezoidal": "trapezoid",
    "fac": "factoring",
    "fac2": "factoring",
    "wf": "weighted",
    "awf": "awf-b",
}


class Schedule(Frozen):
    """A schedule's name and chunk.

    Parameters
    ----------
    name : str
        One of the names in ``KINDS``.
    chunk : int or None
        Items per block (static) or per chunk (dynamic); for the others the least chunk.
    parameters : sequence of (str, value)
        What its formula needs: numbers, and of ``weights`` a tuple of them.

    Raises
    ------
    ScheduleError
        For an unknown name, a chunk below 1, a chunk for ``auto``, or a parameter that the
        schedule does not take.

    Examples
    --------
    >>> guided = Schedule("guided", 8)
    >>> guided, str(guided), guided.kind
    (Schedule('guided', 8), 'guided,8', 'table')
    >>> str(Schedule("weighted", None, [("weights", (2, 1, 1))]))
    'weighted,weights=2:1:1'
    """

    __slots__ = ("chunk", "name", "parameters")
    __match_args__ = ("name", "chunk", "parameters")
    name: str
    chunk: int | None
    parameters: tuple[tuple[str, Any], ...]

    def __init__(
        self, name: str, chunk: int | None = None, parameters: Iterable[tuple[str, Any]] = ()
    ) -> None:
        if name not in KINDS:
            _refuse_name(name)
        if chunk is not None:
            chunk = _checked_chunk(name, chunk)
        given = tuple((key, tuple(x) if key == "weights" else x) for key, x in parameters)
        for key, _ in given:
            if key not in TAKES.get(name, ()):
                _refuse_parameter(name, key)
        self._set(name=name, chunk=chunk, parameters=given)

    def __str__(self) -> str:
        words = [self.name] if self.chunk is None else [self.name, str(self.chunk)]
        return ",".join([*words, *(f"{key}={_written(x)}" for key, x in self.parameters)])

    def __repr__(self) -> str:
        fields = self._fields() if self.parameters else self._fields()[:-1]
        return f"Schedule({', '.join(map(repr, fields))})"

    @property
    def kind(self) -> str:
        """Who decides: "static", "table", "adaptive" or "auto"."""
        return KINDS[self.name]

    @property
    def least(self) -> int:
        """The chunk, or 1 where none was written."""
        return self.chunk or 1

    def decomposition(self, n: int, p: int) -> Decomposition:
        """The map of n items onto p ranks that a static schedule means.

        Raises
        ------
        ScheduleError
            For a schedule of another kind: there nothing is decided beforehand.

        Examples
        --------
        >>> [parse(text).decomposition(10, 4) for text in ("static", "static,1", "static,2")]
        [Block(10, 4), Cyclic(10, 4), BlockCyclic(10, 4, 2)]
        """
        if self.kind != "static":
            raise ScheduleError(
                f'only static schedules say beforehand who takes what, got "{self}"; '
                'write "static", or "static,4" for blocks of 4'
            )
        if self.chunk is None:
            return Block(n, p)
        return Cyclic(n, p) if self.chunk == 1 else BlockCyclic(n, p, self.chunk)


def parse(text: str | Schedule) -> Schedule:
    """Read OpenMP's ``name[,chunk]``, and ``,key=value`` behind; case and space do not matter.

    Parameters
    ----------
    text : str or Schedule
        A `Schedule` is given back as it is.

    Raises
    ------
    ScheduleError
        A letter: what was got, the nearest known name, and the line to write.

    Examples
    --------
    >>> parse("static"), parse(" Dynamic , 4 ")
    (Schedule('static', None), Schedule('dynamic', 4))
    >>> parse("fsc, h=1e-6, sigma=1e-3"), parse("weighted,2,weights=2:1:1").chunk
    (Schedule('fsc', None, (('h', 1e-06), ('sigma', 0.001))), 2)
    >>> parse("giuded,8")
    Traceback (most recent call last):
    ...
    mpicomp.errors.ScheduleError: unknown schedule 'giuded'; write "guided,8"
    """
    if isinstance(text, Schedule):
        return text
    if not isinstance(text, str):
        raise ScheduleError(f'a schedule is a text, got {text!r}; write "static" or "dynamic,4"')
    return _parse(text)


@lru_cache(maxsize=256)
def _parse(text: str) -> Schedule:
    name, comma, chunk = (part.strip() for part in text.lower().partition(","))
    name = name.replace("_", "-")
    if name not in KINDS:
        _refuse_name(name, chunk)
    if not comma:
        return Schedule(name)
    words = [word.strip() for word in chunk.split(",")]
    said = [word for word in words if "=" in word]
    parameters = [_read(name, *word.split("=", 1)) for word in said]
    if words == said:
        return Schedule(name, None, parameters)
    chunk = ",".join(word for word in words if "=" not in word)
    if not (chunk.isascii() and chunk.isdigit()):
        _refuse_chunk(name, chunk)
    return Schedule(name, int(chunk), parameters)


def _read(name: str, key: str, value: str) -> tuple[str, Any]:
    """``key=value`` of a schedule."""
    key = key.strip()
    if key not in TAKES.get(name, ()):
        _refuse_parameter(name, key)
    try:
        if key == "weights":
            return key, tuple(map(float, value.split(":")))
        return key, int(value) if key == "stages" else float(value)
    except ValueError:
        example = _EXAMPLES[key]
        raise ScheduleError(f"{key} of {name} cannot be {value!r}; write {key}={example}") from None


_EXAMPLES = {"weights": "2:1:1, a number for each rank", "stages": "4", "h": "1e-6",
             "sigma": "1e-3", "swr": "0.5"}  # fmt: skip


def _written(value: Any) -> str:
    return ":".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value:g}"


def _checked_chunk(name: str, chunk: int) -> int:
    if name == "auto":
        raise ScheduleError(f'auto chooses the chunk itself, got {chunk!r}; write "auto"')
    try:
        return whole("chunk", chunk, 1)
    except (TypeError, ValueError):
        _refuse_chunk(name, chunk)


def _refuse_name(name: str, chunk: str = "") -> NoReturn:
    from difflib import get_close_matches

    near = get_close_matches(name, [*KINDS, *_ALSO_CALLED], n=1)
    if not near:
        names = ", ".join(KINDS)
        raise ScheduleError(f'unknown schedule {name!r}; write "static", or another of {names}')
    cure = _ALSO_CALLED.get(near[0], near[0])
    if chunk.isdigit() and "," not in cure:
        cure += f",{chunk}"
    raise ScheduleError(f'unknown schedule {name!r}; write "{cure}"')


def _refuse_parameter(name: str, key: str) -> NoReturn:
    takes = " and ".join(TAKES.get(name, ())) or "nothing but a chunk"
    raise ScheduleError(f"{name} takes {takes}, got {key!r}; leave it out")


def _refuse_chunk(name: str, chunk: object) -> NoReturn:
    message = f"the chunk of {name} must be a whole number >= 1, got {chunk!r}"
    raise ScheduleError(f'{message}; write "{name},4", or "{name}" alone') from None
