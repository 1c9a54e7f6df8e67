"""Chunk sizes that follow from measured times: the formulas of a master's adaptive schedules.

Rules of this file: no state and no clock.  The master measures and remembers; these functions
turn what it knows into the size of the next chunk, at least 1 and at most what remains.

========== ============================== ============================ =======================
schedule   chunk of rank j                weights are refreshed        time of a chunk
========== ============================== ============================ =======================
weighted   ``weighted_chunk``             never: the user gives them   not measured
awf-b      ``weighted_chunk``             once per batch of p chunks   execution
awf-c      ``weighted_chunk``, R of now   at each chunk                execution
awf-d      as awf-b                       as awf-b                     execution and claim
awf-e      as awf-c                       as awf-c                     execution and claim
af         ``af_chunk``                   (mean and deviation instead) execution
========== ============================== ============================ =======================
"""

from __future__ import annotations

from math import ceil, sqrt

from mpicomp.plan.chunks import factoring_chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INSTANT = 1e-15
"""Seconds an item that no clock tells from nothing, and whose inverse is still a number."""


def weighted_chunk(remaining: int, p: int, weight: float) -> int:
    """Weighted factoring: the factoring chunk times the rank's weight, rounded up.

    Parameters
    ----------
    remaining : int
        R, items not yet handed out: at the start of the batch (weighted, awf-b, awf-d) or now
        (awf-c, awf-e).
    p : int
        Number of ranks.
    weight : float
        w_j, speed of rank j; the weights of all ranks sum to p.

    Returns
    -------
    int
        Items, at least 1 and at most *remaining*.

    Notes
    -----
    Source: Hummel, Schmidt, Uma & Wein 1996, SPAA.

    Examples
    --------
    >>> [weighted_chunk(1000, 4, weight) for weight in (2.0, 1.0, 0.5, 0.5)]
    [250, 125, 63, 63]
    """
    return _clipped(weight * factoring_chunk(remaining, p), remaining)


def awf_pace(seconds: Sequence[float], items: Sequence[int]) -> float | None:
    """Weighted mean time per item of one rank, its k-th chunk counting k times.

    pi_j = sum_k(k t_jk) / sum_k(k n_jk), k = 1, 2, ...: what is recent weighs more.

    Parameters
    ----------
    seconds : sequence of float
        t_jk, time that each chunk of this rank took, oldest first.
    items : sequence of int
        n_jk, items of each of these chunks.

    Returns
    -------
    float or None
        Seconds per item; None for a rank that has finished nothing yet.

    Notes
    -----
    Source: Carino & Banicescu 2008, Journal of Supercomputing 44(1).

    Examples
    --------
    >>> awf_pace([1.0, 4.0], [10, 10])
    0.3
    """
    work = sum(k * n for k, n in enumerate(items, 1))
    return sum(k * t for k, t in enumerate(seconds, 1)) / work if work else None


def awf_weights(
    paces: Sequence[float | None], before: Sequence[float] | None = None
) -> list[float]:
    """Weights of all ranks from their mean times per item: raw_j = mean(pi)/pi_j, scaled to p.

    Parameters
    ----------
    paces : sequence of float or None
        pi_j, seconds per item of each rank.  None, or a time too short for the clock, stands for
        not known, and is taken to be the mean of the others.
    before : sequence of float, optional
        Weights, of mean 1, for the ranks of which nothing is known; 1.0 for each when left out.

    Returns
    -------
    list of float
        One weight per rank; their sum is the number of ranks.

    Notes
    -----
    Source: Banicescu, Velusamy & Devaprasad 2003, Cluster Computing 6(3).

    Examples
    --------
    >>> awf_weights([1.0, 3.0])
    [1.5, 0.5]
    >>> awf_weights([None, None]), awf_weights([None, None], before=[1.5, 0.5])
    ([1.0, 1.0], [1.5, 0.5])
    >>> awf_weights([1.0, 5e-324])
    [1.0, 1.0]
    """
    paces = [pace if pace and pace > INSTANT else None for pace in paces]
    known = [pace for pace in paces if pace]
    mean = sum(known) / len(known) if known else 1.0
    ones = [1.0] * len(paces)
    raw = [mean / pace if pace else w for pace, w in zip(paces, before or ones, strict=True)]
    scale = len(raw) / sum(raw)
    return [weight * scale for weight in raw]


def af_chunk(remaining: int, means: Sequence[float], deviations: Sequence[float], rank: int) -> int:
    """Adaptive factoring: the chunk for *rank* from mean and deviation of each rank's items.

    With D = sum_j sigma_j**2 / mu_j, T = 1 / sum_j(1 / mu_j) and x = T R, the chunk is
    (D + 2x - sqrt(D**2 + 4Dx)) / (2 mu_rank), rounded up.  It is computed as
    2x**2 / (mu_rank (D + 2x + sqrt(D**2 + 4Dx))), which is the same and subtracts nothing.

    Parameters
    ----------
    remaining : int
        R, items not yet handed out.
    means, deviations : sequence of float
        mu_j > 0 and sigma_j >= 0 of each rank, seconds per item.
    rank : int
        Who asks.

    Returns
    -------
    int
        Items, at least 1 and at most *remaining*.

    Notes
    -----
    Source: Banicescu & Liu 2000, High Performance Computing Symposium.  Sums of sigma/mu instead
    of sigma**2/mu, seen in a public code, are not seconds.

    Examples
    --------
    Equal items leave nothing to adapt to: each rank takes its share at once.

    >>> af_chunk(1000, [0.1] * 4, [0.0] * 4, rank=0)
    250
    >>> af_chunk(1000, [0.1] * 4, [0.5] * 4, rank=0)
    135
    """
    if remaining == 0:
        return 0
    if min(means) <= 0:
        raise ValueError(f"every mean time must be > 0 s, got {min(means)!r}; measure first")
    d = sum(sigma * sigma / mu for mu, sigma in zip(means, deviations, strict=True))
    x = remaining / sum(1 / mu for mu in means)
    return _clipped(2 * x * x / (means[rank] * (d + 2 * x + sqrt(d * d + 4 * d * x))), remaining)


def _clipped(size: float, remaining: int) -> int:
    return min(remaining, max(1, ceil(size)))
