"""Which start below a limit has the longest Collatz chain (Project Euler, problem 14)?

A chain goes from n to n / 2 if n is even and to 3n + 1 if it is odd, until it reaches 1.

    mpiexec -n 4 python collatz.py           # starts below 1000000
    mpiexec -n 4 python collatz.py 100000    # starts below 100000
"""

import sys

from mpicomp import pmax


def terms(n: int) -> int:
    """Count the terms of the chain from n to 1, both included."""
    count = 1
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


limit = int(sys.argv[1]) if len(sys.argv) > 1 else 10**6

longest = pmax((terms(n), n) for n in range(1, limit))

if longest is not None:
    count, start = longest
    print(f"{start} has the longest chain below {limit}: {count} terms")
