"""Pi and the price of a call option, by throwing dice; with error bars that fit.

    mpiexec -n 4 python montecarlo.py             # 200 batches of 10000 draws
    mpiexec -n 4 python montecarlo.py 50          # 50 batches
    mpiexec -n 4 python montecarlo.py 50 2026     # with another seed
"""

import sys
from math import erf, exp, fsum, log, sqrt

import numpy as np

from mpicomp import plist, psum, seeded

DRAWS = 10_000  # in a batch: an item should take longer than making its random stream
SPOT, STRIKE, RATE, SIGMA, YEARS = 100.0, 105.0, 0.02, 0.2, 1.0


def hits(rng: np.random.Generator) -> int:
    """Count points of the unit square that lie in the quarter circle."""
    x, y = rng.random((2, DRAWS))
    return int(np.count_nonzero(x * x + y * y < 1))


def payoff(rng: np.random.Generator) -> float:
    """Mean worth today of the right to buy at STRIKE after YEARS, over a batch of futures."""
    drift = (RATE - SIGMA**2 / 2) * YEARS
    price = SPOT * np.exp(drift + SIGMA * sqrt(YEARS) * rng.standard_normal(DRAWS))
    return exp(-RATE * YEARS) * float(np.maximum(price - STRIKE, 0).mean())


def black_scholes() -> float:
    """The same in closed form (Black & Scholes 1973)."""
    d = (log(SPOT / STRIKE) + (RATE + SIGMA**2 / 2) * YEARS) / (SIGMA * sqrt(YEARS))
    below, above = ((1 + erf(z / sqrt(2))) / 2 for z in (d - SIGMA * sqrt(YEARS), d))
    return SPOT * above - STRIKE * exp(-RATE * YEARS) * below


batches = int(sys.argv[1]) if len(sys.argv) > 1 else 200
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7

# Each batch has a random stream of its own, which depends on seed and batch alone. So all
# digits are the same on any number of ranks. (seed, 1): other streams than the first line's.
inside = psum(hits(rng) for _, rng in seeded(range(batches), seed))
prices = plist(payoff(rng) for _, rng in seeded(range(batches), (seed, 1)))

if prices is not None:
    share = inside / (batches * DRAWS)
    print(f"pi    {4 * share!r} +- {4 * sqrt(share * (1 - share) / (batches * DRAWS)):.2g}")
    mean = fsum(prices) / batches
    spread = sqrt(fsum((price - mean) ** 2 for price in prices) / (batches - 1) / batches)
    print(f"call  {mean!r} +- {spread:.2g}, in closed form {black_scholes():.6f}")
