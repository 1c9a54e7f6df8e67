"""The places that a batch system has given to the job: how many ranks may be started, and where.

    Slurm   SLURM_NTASKS, SLURM_JOB_NUM_NODES
    PBS     PBS_NODEFILE        a file: a host on each line, as often as it has places
    LSF     LSB_DJOB_HOSTFILE   a file of the same kind
            LSB_MCPU_HOSTS      "host 4 host 2"
            LSB_HOSTS           "host host host"
    SGE     PE_HOSTFILE         a file: a host, its places, a queue, ... on each line

Rules of this file: it reads, and starts nothing; what cannot be read is as if it were not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple


class Places(NamedTuple):
    """What the batch system gives.

    Attributes
    ----------
    system : str
        Its name; empty where there is none.
    said_by : str
        The variable that says so.
    total : int
        Ranks that have a place; 0 when nothing says how many.
    nodes : int
    hosts : dict of int
        Places of each host; empty when only the sum is known.
    """

    system: str = ""
    said_by: str = ""
    total: int = 0
    nodes: int = 0
    hosts: Mapping[str, int] = {}


ASK = {
    "Slurm": "sbatch --ntasks={n}",
    "PBS": "qsub -l select=1:ncpus={n}:mpiprocs={n}",
    "LSF": "bsub -n {n}",
    "SGE": "qsub -pe NAME {n}, with the NAME of a parallel environment (qconf -spl)",
}
"""How each batch system is asked for ``n`` places."""


def places(environ: Mapping[str, str]) -> Places:
    """What the variables of *environ*, and the files that they name, say.

    Examples
    --------
    >>> places({"LSB_MCPU_HOSTS": "node1 4 node2 2"})
    Places(system='LSF', said_by='LSB_MCPU_HOSTS', total=6, nodes=2, hosts={'node1': 4, 'node2': 2})
    >>> places({"SLURM_NTASKS": "8", "SLURM_JOB_NUM_NODES": "2"}).total, places({}).total
    (8, 0)
    """
    if "SLURM_JOB_ID" in environ or "SLURM_NTASKS" in environ:
        tasks, nodes = (_whole(environ.get(name, "")) for name in _OF_SLURM)
        return Places("Slurm", _OF_SLURM[0], tasks, nodes)
    for system, name, read in _READERS:
        if environ.get(name):
            hosts = read(environ[name])
            if hosts:
                return Places(system, name, sum(hosts.values()), len(hosts), hosts)
    return Places()


_OF_SLURM = ("SLURM_NTASKS", "SLURM_JOB_NUM_NODES")


def _counted(words: Iterable[str]) -> dict[str, int]:
    """Places by host, where each is named as often as it has places."""
    return dict(Counter(words))


def _pairs(words: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Places by host, where a number stands behind each; a host may be named again."""
    found: Counter[str] = Counter()
    for host, number in words:
        found[host] += _whole(number)
    return dict(+found)


def _lines(path: str) -> list[list[str]]:
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return []
    return [line.split() for line in text.splitlines() if line.split()]


def _of_file(path: str) -> dict[str, int]:
    return _counted(words[0] for words in _lines(path))


def _of_sge(path: str) -> dict[str, int]:
    return _pairs((words[0], words[1]) for words in _lines(path) if len(words) > 1)


def _of_numbers(text: str) -> dict[str, int]:
    words = text.split()
    return _pairs(zip(words[::2], words[1::2], strict=False))


def _of_words(text: str) -> dict[str, int]:
    return _counted(text.split())


_READERS: tuple[tuple[str, str, Callable[[str], dict[str, int]]], ...] = (
    ("PBS", "PBS_NODEFILE", _of_file),
    ("LSF", "LSB_DJOB_HOSTFILE", _of_file),
    ("LSF", "LSB_MCPU_HOSTS", _of_numbers),
    ("LSF", "LSB_HOSTS", _of_words),
    ("SGE", "PE_HOSTFILE", _of_sge),
)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
