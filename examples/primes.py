"""How many primes lie below a limit: each rank counts its own part, psum adds the counts.

    mpiexec -n 4 python primes.py           # below 1000000
    mpiexec -n 4 python primes.py 20000     # below 20000
"""

import sys
from math import isqrt

from mpicomp import psum


def is_prime(n: int) -> bool:
    """Tell whether n has no divisor but 1 and itself, by trying the odd ones up to its root."""
    if n < 3 or n % 2 == 0:
        return n == 2
    return all(n % d for d in range(3, isqrt(n) + 1, 2))


limit = int(sys.argv[1]) if len(sys.argv) > 1 else 10**6

# Large numbers take longer than small ones. Blocks of 1000 dealt out in turn give
# every rank some of each; one big block per rank would give the last one most work.
count = psum((1 for n in range(limit) if is_prime(n)), schedule="static,1000")

if count is not None:
    print(f"{count} primes below {limit}")
