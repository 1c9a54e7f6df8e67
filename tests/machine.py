"""What tests ask of the machine itself, as root: packages, and things that stand for a while.

Rules of this file: standard library only; it knows nothing of what is put up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self


class Standing(ABC):
    """Something that stands as long as a ``with`` block lasts.

    It is taken down also when it came up by half, and what an earlier run has left is before.
    """

    def __enter__(self) -> Self:
        self.check()
        self.stop()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        self.stop()

    @abstractmethod
    def check(self) -> None:
        """Raise `LookupError` where it cannot stand."""

    @abstractmethod
    def start(self) -> None:
        """Put it up."""

    @abstractmethod
    def stop(self) -> None:
        """Take down all that is there of it."""


def as_root(why: str) -> None:
    """Raise `LookupError` unless we are root."""
    if os.getuid():
        raise LookupError(f"expected root, for {why}; write sudo")


def apt_get(packages: Sequence[str]) -> None:
    """Install packages of Debian's.

    Raises
    ------
    LookupError
        There is no apt-get here.
    """
    if shutil.which("apt-get") is None:
        raise LookupError(f"expected {', '.join(packages)}, and there is no apt-get to install it")
    print("installing", *packages, flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    for words in (["update"], ["install", "--no-install-recommends", *packages]):
        subprocess.run([*apt, *words], env=env, stdout=subprocess.DEVNULL, check=True)


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises
    ------
    TimeoutError
        It did not come to hold.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s it does not hold that {what}")
        time.sleep(0.2)
