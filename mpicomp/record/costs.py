"""What items cost: seconds of ``range(start, stop)``, in a time that does not depend on its length.

Rules of this file: a cost is a function of (start, stop); it is made once and asked a million
times.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import index

from mpicomp.errors import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mpicomp.record.timeline import Timeline

    Cost = Callable[[int, int], float]


def cost_of(costs: ArrayLike | Cost, n: int | None = None) -> tuple[Cost, int]:
    """A cost, and the number of items.

    Parameters
    ----------
    costs : array_like, float, shape (n,), seconds; or callable
        Of each item; or (start, stop) -> seconds of all of them.
    n : int, optional
        Number of items.  A callable needs it.

    Raises
    ------
    OptionError
        What is no cost: negative, not finite, not one number for each item.

    Examples
    --------
    >>> cost, n = cost_of([1.0, 2.0, 3.0])
    >>> n, cost(0, 3), cost(1, 2), cost(2, 2)
    (3, 6.0, 2.0, 0.0)
    >>> cost, n = cost_of(lambda start, stop: (stop - start) * 1e-6, 10**12)
    >>> cost(0, n)
    1000000.0
    """
    if callable(costs):
        if n is None:
            raise OptionError(
                f"costs={costs!r} does not say how many items there are; "
                "write simulate(costs, schedule, ranks, n=1000)"
            )
        return costs, index(n)
    return _by_item(costs, n)


def _by_item(costs: ArrayLike, n: int | None) -> tuple[Cost, int]:
    import numpy as np

    try:
        each = np.asarray(costs, np.float64)
    except (TypeError, ValueError):
        raise OptionError(
            f"costs must be a callable or an array of seconds, got {costs!r:.100}; "
            "write [0.1] * 1000, or a function of start and stop"
        ) from None
    if each.ndim != 1 or n not in (None, len(each)):
        wanted = "(n,)" if n is None else f"({n},)"
        raise OptionError(
            f"costs must be a callable or an array of shape {wanted}, seconds of each item; "
            f"got shape {each.shape}"
        )
    wrong = ~((each >= 0) & (each < np.inf))
    if wrong.any():
        at = int(wrong.argmax())
        raise OptionError(
            f"costs must be seconds, 0 or more, got {each[at]} for item {at}; "
            "write numpy.clip(costs, 0, None)"
        )
    sums = np.concatenate([[0.0], np.cumsum(each)]).data  # its items are Python's floats
    return lambda start, stop: sums[stop] - sums[start], len(each)


def measured(call: Timeline) -> Cost:
    """The cost that a call's events show, a run's time divided evenly among its items.

    Items that were not computed cost nothing.

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> events = [(0, 0, 4, 2, 0.0, 6.0), (1, 1, 4, 2, 0.0, 2.0)]  # items 0 and 2; 1 and 3
    >>> cost = measured(Timeline("plist", "static,1", "static", "", 5, "ab", "  ", 0, 6, events))
    >>> [cost(i, i + 1) for i in range(5)], cost(0, 5)
    ([3.0, 1.0, 3.0, 1.0, 0.0], 8.0)
    """
    import numpy as np

    events, items = call.events[call.items > 0], call.items[call.items > 0]
    pace = (events["end"] - events["begin"]) / items
    # strided runs fall apart into single items
    pieces = np.where(events["step"] == 1, 1, items)
    event = np.repeat(np.arange(len(events)), pieces)
    turn = np.arange(len(event)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = events["start"][event] + turn * events["step"][event]
    lengths = np.where(events["step"] == 1, items, 1)[event]
    order = np.argsort(starts)
    return _piecewise(starts[order], lengths[order], pace[event][order])


def per_item(call: Timeline) -> NDArray[np.float64]:
    """The same for each item: seconds, shape (n,).

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> events = [(0, 0, 4, 2, 0.0, 6.0), (1, 1, 4, 2, 0.0, 2.0)]
    >>> per_item(Timeline("plist", "static,1", "static", "", 5, "ab", "  ", 0, 6, events))
    array([3., 1., 3., 1., 0.])
    """
    import numpy as np

    each = np.zeros(call.n)
    for (_, start, stop, step, begin, end), items in zip(
        call.events.tolist(), call.items.tolist(), strict=True
    ):
        each[start:stop:step] = (end - begin) / max(1, items)
    return each


def _piecewise(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], paces: NDArray[np.float64]
) -> Cost:
    """Cost of items that come in pieces: *lengths* of them from *starts* on, at *paces* each."""
    import numpy as np

    total = np.cumsum(lengths * paces)
    first, length, pace = starts.tolist(), lengths.tolist(), paces.tolist()
    before = [0.0, *total.tolist()]

    def until(item: int) -> float:
        """Seconds of all items before *item*."""
        at = bisect_right(first, item) - 1
        return before[at] + min(item - first[at], length[at]) * pace[at] if at >= 0 else 0.0

    return lambda start, stop: until(stop) - until(start)


def modelled(text: str, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Costs of *n* items by a formula, in seconds.

    Parameters
    ----------
    text : str
        ``constant:C``; ``ramp:A,B``, from A for the first item to B for the last;
        ``lognormal:MEAN,SIGMA``, SIGMA being the standard deviation of the logarithm;
        ``bimodal:A,B,SHARE``, the given share of the items costing B, the others A.
    n, seed : int
        The same text, n and seed give the same costs.

    Raises
    ------
    OptionError
        A text that is none of these.

    Examples
    --------
    >>> modelled("ramp:1,3", 5).tolist(), sorted(modelled("bimodal:1,9,0.25", 4).tolist())
    ([1.0, 1.5, 2.0, 2.5, 3.0], [1.0, 1.0, 1.0, 9.0])
    >>> modelled("ramp:1", 5)
    Traceback (most recent call last):
    ...
    mpicomp.errors.OptionError: 'ramp:1' is no cost; write ramp:A,B with seconds for A,B
    """
    import numpy as np

    name, _, given = text.partition(":")
    takes, make = _MODELS.get(name, ("", None))
    if make is None:
        forms = ", ".join(f"{name}:{takes}" for name, (takes, _) in _MODELS.items())
        raise OptionError(f"{text!r} is no cost; write {forms}, or the name of a file")
    try:
        numbers = [float(number) for number in given.split(",")]
        if len(numbers) != len(takes.split(",")) or not all(0 <= x < np.inf for x in numbers):
            raise ValueError
        return make(np.random.default_rng(seed), n, *numbers)
    except ValueError:
        cure = f"write {name}:{takes} with seconds for {takes}"
        raise OptionError(f"{text!r} is no cost; {cure}") from None


def _constant(rng: np.random.Generator, n: int, each: float) -> NDArray[np.float64]:
    import numpy as np

    return np.full(n, each)


def _ramp(rng: np.random.Generator, n: int, first: float, last: float) -> NDArray[np.float64]:
    import numpy as np

    return np.linspace(first, last, n)


def _lognormal(rng: np.random.Generator, n: int, mean: float, sigma: float) -> NDArray[np.float64]:
    import numpy as np

    return mean * np.exp(sigma * rng.standard_normal(n) - sigma * sigma / 2)


def _bimodal(
    rng: np.random.Generator, n: int, low: float, high: float, share: float
) -> NDArray[np.float64]:
    import numpy as np

    if share > 1:
        raise ValueError
    costs = np.full(n, low)
    costs[rng.permutation(n)[: round(share * n)]] = high
    return costs


_MODELS: dict[str, tuple[str, Callable[..., NDArray[np.float64]] | None]] = {
    "constant": ("C", _constant),
    "ramp": ("A,B", _ramp),
    "lognormal": ("MEAN,SIGMA", _lognormal),
    "bimodal": ("A,B,SHARE", _bimodal),
}
