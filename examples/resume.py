"""Twin primes, counted by a job that may be stopped at any time and run again on other ranks.

    mpiexec -n 4 python resume.py                  # below 10**6, kept in twins.mpj
    mpiexec -n 4 python resume.py 10000000         # below another number, which needs
    mpiexec -n 2 python resume.py 10000000 b.mpj   # a journal of its own
    mpiexec -n 2 python resume.py 10000000 b.mpj 2 # for 2 seconds: then the exit code is 85

Kill it, run the same line with any number of ranks, and it goes on where it was.
"""

import sys
from math import isqrt

from mpicomp import psum

BLOCK = 10_000


def twins(start: int, limit: int) -> int:
    """Count the pairs (p, p + 2) of primes with start <= p < start + BLOCK and p + 2 < limit."""
    stop = min(start + BLOCK + 2, limit)
    prime = bytearray([1]) * (stop - start)
    for p in range(2, isqrt(stop) + 1):
        first = max(p * p, -(-start // p) * p)
        if first < stop:
            prime[first - start :: p] = bytes(len(range(first, stop, p)))
    prime[: max(0, 2 - start)] = bytes(max(0, 2 - start))
    return sum(a and b for a, b in zip(prime, prime[2:], strict=False))


def main(limit: int = 10**6, journal: str = "twins.mpj", seconds: float | None = None) -> None:
    """Print how many there are, once all is counted."""
    blocks = range(0, limit, BLOCK)
    total = psum((twins(start, limit) for start in blocks), journal=journal, deadline=seconds)
    if total is not None:
        print(f"{total} pairs of twin primes below {limit}")


if __name__ == "__main__":
    limit, journal, seconds = (*sys.argv[1:], *("1000000", "twins.mpj", "inf")[len(sys.argv) - 1 :])
    main(int(limit), journal, None if seconds == "inf" else float(seconds))
