"""What is done in a run, drawn from its seed.

Rules of this file: the same seed gives the same case, on any machine.
"""

from __future__ import annotations

import random
from typing import NamedTuple

WAYS = {"mpich": ("plain", "journal"), "openmpi": ("survive", "both", "journal", "plain")}
SCHEDULES = ("static", "static,1", "dynamic,3", "guided", "auto", "factoring", "af", "master")
SOURCES = ("range", "list", "array", "stream")
VERBS = ("plist", "psum", "pdict", "parray", "preduce", "pset", "pgroup")
EXECUTORS = ("executor", "executor, root too")  # of tasks; they keep no journal
COST = 0.002  # seconds of an item, about
N = 120


class Kill(NamedTuple):
    """Somebody is killed so many seconds after all ranks have begun."""

    after: float
    rank: int


class Attempt(NamedTuple):
    """One start of the program."""

    ranks: int
    schedule: str
    kills: tuple[Kill, ...]


class Case(NamedTuple):
    """One run.

    Attributes
    ----------
    way : {"plain", "journal", "survive", "both"}
        What is to become of a job whose ranks are killed: it ends with an error; it goes on when it
        is started again; it goes on; it goes on, and when all are killed, when it is started again.
    attempts : tuple of Attempt
        The last one of a journal is left in peace.
    """

    seed: int
    mpi: str
    way: str
    verb: str
    source: str
    root: int | None
    attempts: tuple[Attempt, ...]

    @property
    def survives(self) -> bool:
        """Whether those that are left go on."""
        return self.way in ("survive", "both")

    @property
    def resumes(self) -> bool:
        """Whether it has a journal."""
        return self.way in ("journal", "both")

    def __str__(self) -> str:
        root = "all" if self.root is None else self.root
        told = [f"seed {self.seed} {self.mpi} {self.way}: {self.verb} over a {self.source}"]
        told.append(f"root {root}")
        for attempt in self.attempts:
            kills = " ".join(f"{kill.rank}@{kill.after * 1000:.0f}ms" for kill in attempt.kills)
            told.append(f"{attempt.ranks} ranks {attempt.schedule} [{kills}]")
        return ", ".join(told)


def case_of(seed: int, mpi: str) -> Case:
    """The case of *seed*.

    Examples
    --------
    >>> case_of(7, "mpich") == case_of(7, "mpich")
    True
    """
    draw = random.Random(f"{mpi} {seed}")
    way = draw.choice(WAYS[mpi])
    resumes = way in ("journal", "both")
    attempts = [_attempt(draw, way) for _ in range(draw.randint(1, 3) if resumes else 1)]
    if resumes:
        attempts.append(_attempt(draw, way)._replace(kills=()))
    least = min(attempt.ranks for attempt in attempts)
    root = draw.choice([0, 0, None, least - 1])
    verb = draw.choice(VERBS if resumes else VERBS + 2 * EXECUTORS)
    return Case(seed, mpi, way, verb, draw.choice(SOURCES), root, tuple(attempts))


def _attempt(draw: random.Random, way: str) -> Attempt:
    ranks = draw.randint(2, 5)
    most = ranks - 1 if way == "survive" else ranks
    victims = draw.sample(range(ranks), draw.choice([1, 1, 2, most]) if most > 1 else 1)
    lasts = N * COST / ranks + 0.05
    kills = sorted(Kill(draw.uniform(0, 1.2 * lasts), rank) for rank in victims[:most])
    schedule = draw.choice(SCHEDULES)
    if way == "both" and draw.random() < 0.5:  # the whole job at once
        kills = [Kill(kills[0].after, rank) for rank in range(ranks)]
    return Attempt(ranks, schedule, tuple(kills))
