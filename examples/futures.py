"""Mersenne primes, each number a task: the executor of the standard library, on the ranks.

    python futures.py [LIMIT]
    mpiexec -n 4 python futures.py [LIMIT]

prints the exponents p below LIMIT for which 2**p - 1 is prime.
"""

import sys

from mpicomp.futures import MPIExecutor, as_completed


def is_mersenne(p: int) -> bool:
    """Lucas 1878, Lehmer 1930: for an odd prime p, s(p - 2) = 0 modulo 2**p - 1."""
    if p == 2:
        return True
    number, s = 2**p - 1, 4
    for _ in range(p - 2):
        s = (s * s - 2) % number
    return s == 0


def main() -> None:
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    primes = [p for p in range(2, limit) if all(p % d for d in range(2, int(p**0.5) + 1))]
    with MPIExecutor() as executor:
        if executor is not None:
            exponents = {executor.submit(is_mersenne, p): p for p in reversed(primes)}
            found = [exponents[done] for done in as_completed(exponents) if done.result()]
            print(*sorted(found))


if __name__ == "__main__":
    main()
