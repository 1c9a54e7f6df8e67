"""Twin primes from an endless stream: values come while the ranks work.

    python twins.py [START [COUNT]]
    mpiexec -n 4 python twins.py [START [COUNT]]

prints the first COUNT pairs of primes p, p + 2 with p >= START.
"""

import sys
from itertools import count

from mpicomp import piter


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def main() -> None:
    start, wanted = (int(a) for a in (*sys.argv[1:], *("1000000", "5")[len(sys.argv) - 1 :]))
    for p in piter(p for p in count(start) if is_prime(p) and is_prime(p + 2)):
        print(p, p + 2)
        wanted -= 1
        if not wanted:
            break


if __name__ == "__main__":
    main()
