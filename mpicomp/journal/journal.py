"""``journal="run.mpj"``: which call of a program its chunks belong to.

Rules of this file: no message; the root of a call asks `Journal.claim`, the other ranks are told.

A call's chunks are kept under a key: its fingerprint (`mpicomp.plan.fingerprint`), and how many
calls of the same fingerprint the program has made before.  Beside them stands which comprehension
was the program's first call on this journal, its second, and so on.  A call that the journal does
not know, in the place of one that it does, is *another comprehension*: an error.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from mpicomp.errors import JournalError, OptionError
from mpicomp.plan.fingerprint import Fingerprint, Part, differences

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpicomp.journal.stores import Store

CALLS = "calls"
"""The key under which it is kept which calls there were."""


class Known(NamedTuple):
    """A call that a journal knows.

    Attributes
    ----------
    place : int
        It was the program's first call on the journal (0), its second, ...
    key : str
        Of its chunks.
    about : dict
        For people: ``verb``, ``where``, ``source``, ``n``, ``began`` (seconds since 1970).
    parts : list of Part
        Of its fingerprint.
    """

    place: int
    key: str
    about: dict[str, Any]
    parts: list[Part]

    def __str__(self) -> str:
        return f"{self.about['verb']} {self.about['where']} over {self.about['source']}"


class _Progress:
    """What a program has done on a journal: number of calls, and of each fingerprint.

    Those that could not be put down are *owed*.
    """

    def __init__(self) -> None:
        self.place = 0
        self.times: dict[str, int] = {}
        self.owed: list[Known] = []


_open: dict[object, tuple[Store, _Progress, object]] = {}


class Journal:
    """Where the finished chunks of calls are kept, and what becomes of an error there.

    ``journal="run.mpj"`` is ``journal=Journal("run.mpj")``.

    Parameters
    ----------
    where : path or store
        A folder, on a file system that all ranks see; or an object with the methods of
        `mpicomp.journal.stores.Store`.
    on_error : {"raise", "warn"}
        What becomes of a chunk that cannot be kept (a full disk, a folder that is read-only): a
        `JournalError` on all ranks, which ends the call; or one `JournalWarning` a call from the
        rank that could not, and the computing goes on.  What was kept before is used all the same.
        A journal that cannot be *read* is an error in any case.
    every : float, seconds, default 1.0
        How long finished items wait at most until they are kept, unless keeping them costs
        more than a twentieth of that.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from mpicomp import Journal, plist
    >>> with TemporaryDirectory() as folder:
    ...     journal = Journal(f"{folder}/run.mpj", on_error="warn")
    ...     plist((x * x for x in range(4)), journal=journal)
    [0, 1, 4, 9]
    """

    __slots__ = ("_progress", "every", "name", "on_error", "store")

    def __init__(
        self, where: str | os.PathLike[str] | Store, on_error: str = "raise", every: float = 1.0
    ) -> None:
        if on_error not in ("raise", "warn"):
            raise OptionError(f'on_error must be "raise" or "warn", got {on_error!r}')
        if not (isinstance(every, (int, float)) and every >= 0):
            raise OptionError(f"every must be a number of seconds, 0 or more, got {every!r}")
        self.on_error = on_error
        self.every = every
        self.store, self._progress, self.name = _opened(where)

    def __repr__(self) -> str:
        return f"Journal({self.name!r})"

    def known(self) -> list[Known]:
        """The calls that it knows, in the order in which a program made them."""
        import json

        found: dict[tuple[int, str], Known] = {}
        for spans, data in self.store.chunks(CALLS):
            told = json.loads(data)
            parts = [Part(*part) for part in told["parts"]]
            place = spans[0][0]
            found[place, told["key"]] = Known(place, told["key"], told["about"], parts)
        return [found[which] for which in sorted(found)]

    def claim(self, print_: Fingerprint, about: dict[str, Any]) -> str:
        """The key of the program's next call, which `pay` is to put down.

        Raises
        ------
        JournalError
            It is another one than the journal holds.
        """
        known = self.known()
        if not known and not self._progress.owed:  # a new one, also where somebody has emptied it
            self._progress.place, self._progress.times = 0, {}
        place, before = self._progress.place, self._progress.times.get(print_.key, 0)
        key = f"{print_.key}.{before}"
        if all(call.key != key for call in known):
            for call in known:
                if call.place == place and self._has(call.key):
                    raise JournalError(_another(self.name, call, print_, about))
            about = {**about, "began": time.time()}
            self._progress.owed.append(Known(place, key, about, list(print_.parts)))
        self._progress.place = place + 1
        self._progress.times[print_.key] = before + 1
        return key

    @property
    def place(self) -> int:
        """How many calls the program has made on it."""
        return self._progress.place

    def follow(self, key: str, place: int) -> None:
        """Another rank has claimed *key*, and its program has made *place* calls by now."""
        print_, _, before = key.rpartition(".")
        self._progress.place = place
        self._progress.times[print_] = int(before) + 1

    def note(self, call: Known) -> None:
        """Put down which call it is."""
        import json

        told = {"key": call.key, "about": call.about, "parts": call.parts}
        self.store.put(CALLS, [(call.place, call.place + 1)], json.dumps(told).encode())

    def pay(self) -> None:
        """Put down which calls there were, as far as they are not."""
        owed = self._progress.owed
        while owed:
            self.note(owed[0])
            del owed[0]

    def _has(self, key: str) -> bool:
        return any(True for _ in self.store.chunks(key))

    def release(self, key: str) -> None:
        """The call of *key* has not come to its end; the same line made again is that call."""
        self._progress.place -= 1
        self._progress.times[key.partition(".")[0]] -= 1
        self._progress.owed = [call for call in self._progress.owed if call.key != key]


def journal_of(value: Any) -> Journal | None:
    """What the option ``journal`` means."""
    if value is None or isinstance(value, Journal):
        return value
    return Journal(value)


def _opened(where: Any) -> tuple[Store, _Progress, str]:
    """One store, and one count of calls, for each place, however often it is named."""
    if isinstance(where, (str, os.PathLike)):
        path = os.fspath(where)
        key: object = os.path.abspath(path)
        if key not in _open:
            from mpicomp.journal.files import FileStore

            _open[key] = FileStore(path), _Progress(), None
        return (*_open[key][:2], path)
    if not all(hasattr(where, name) for name in ("put", "chunks", "keys", "close", "shared")):
        raise OptionError(
            "journal must be a path, a Journal or a store (an object with put, chunks, keys, "
            f'close and shared), got {where!r}; write journal="run.mpj"'
        )
    if id(where) not in _open:
        _open[id(where)] = where, _Progress(), where
    return (*_open[id(where)][:2], type(where).__qualname__)


def existing(path: str) -> Journal:
    """The journal at *path*, which has to be there.

    Raises
    ------
    JournalError
        It is not.
    """
    if not Path(path).is_dir():
        raise JournalError(f"expected a journal (a folder), there is none at {path}")
    return Journal(path)


def _another(name: str, kept: Known, print_: Fingerprint, about: dict[str, Any]) -> str:
    lines = [
        f"{name} holds another comprehension as call {kept.place} of this program",
        f"  kept: {kept}",
        f"  now:  {about['verb']} {about['where']} over {about['source']}",
        *_shortened(f"  {line}" for line in differences(kept.parts, print_.parts)),
        f"write another journal, or forget that call: mpicomp journal prune {name} "
        f"--call {kept.place}",
    ]
    return "\n".join(lines)


def _shortened(lines: Iterable[str], most: int = 8) -> list[str]:
    every = list(lines)
    return every if len(every) <= most else [*every[:most], f"  ... and {len(every) - most} more"]
