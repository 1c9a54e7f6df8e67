"""Where chunks are kept: the protocol of a store, and two small ones.

Rules of this file: a store knows nothing of comprehensions.  It keeps *chunks*: some bytes under
a key, with the spans of items that they come from; whole, or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol

    from mpicomp.plan.gaps import Span

    class Store(Protocol):
        """What a journal asks of the place where chunks are kept; yours is any object with these.

        ``shared`` says whether what one rank puts is seen by all (files), or by itself alone
        (memory).  The methods may raise what they like: it is told as a `JournalError`.
        """

        shared: bool

        def put(self, key: str, spans: Sequence[Span], data: bytes) -> None:
            """Keep a chunk; when this returns, it is there for good."""

        def chunks(self, key: str) -> Iterable[tuple[Sequence[Span], bytes]]:
            """All chunks of *key*, in any order; those that are torn are left out."""

        def keys(self) -> Iterable[str]:
            """The keys of which there are chunks."""

        def remove(self, key: str) -> None:
            """Forget the chunks of *key*."""

        def close(self) -> None:
            """Let go of files; another `put` opens them again."""


class MemoryStore:
    """Chunks kept by this process: for a call that is made again by the same program.

    Examples
    --------
    >>> store = MemoryStore()
    >>> store.put("a", [(0, 3)], b"...")
    >>> list(store.keys()), list(store.chunks("a"))
    (['a'], [([(0, 3)], b'...')])
    """

    shared = False

    def __init__(self) -> None:
        self._kept: dict[str, list[tuple[Sequence[Span], bytes]]] = {}

    def put(self, key: str, spans: Sequence[Span], data: bytes) -> None:
        self._kept.setdefault(key, []).append((list(spans), data))

    def chunks(self, key: str) -> Iterable[tuple[Sequence[Span], bytes]]:
        return list(self._kept.get(key, ()))

    def keys(self) -> Iterable[str]:
        return list(self._kept)

    def remove(self, key: str) -> None:
        self._kept.pop(key, None)

    def close(self) -> None:
        """Nothing to let go of."""


class DirectoryStore:
    """A file for each chunk, in a folder for each key: for few, large chunks.

    Parameters
    ----------
    folder : path
    """

    shared = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._made = 0

    def put(self, key: str, spans: Sequence[Span], data: bytes) -> None:
        folder = self._folder / key
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{unique()}-{self._made}"
        self._made += 1
        whole = folder / f".{name}"
        with whole.open("wb") as file:
            file.write(packed_spans(spans))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        whole.rename(folder / name)  # at once, or not at all

    def chunks(self, key: str) -> Iterator[tuple[Sequence[Span], bytes]]:
        folder = self._folder / key
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not path.name.startswith("."):
                head, _, data = path.read_bytes().partition(b"\n")
                yield unpacked_spans(head), data

    def keys(self) -> Iterable[str]:
        return [path.name for path in sorted(self._folder.glob("*")) if path.is_dir()]

    def remove(self, key: str) -> None:
        folder = self._folder / key
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            path.unlink(missing_ok=True)
        folder.rmdir()

    def close(self) -> None:
        """Every file is closed already."""


def unique() -> str:
    """A name that no other process has, on any machine."""
    return f"{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}"


def packed_spans(spans: Sequence[Span]) -> bytes:
    """As one line.

    Examples
    --------
    >>> packed_spans([(0, 3), (5, 6)])
    b'0-3 5-6\\n'
    >>> unpacked_spans(b"0-3 5-6")
    [(0, 3), (5, 6)]
    """
    return " ".join(f"{start}-{stop}" for start, stop in spans).encode() + b"\n"


def unpacked_spans(line: bytes | str) -> list[Span]:
    """The way back."""
    text = line.decode() if isinstance(line, bytes) else line
    pairs = (word.split("-") for word in text.split())
    return [(int(start), int(stop)) for start, stop in pairs]
