"""Numbers for people: times in a fitting unit, nouns in the plural, a choice of many ranks."""

from __future__ import annotations

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """*seconds* in three digits.

    Examples
    --------
    >>> [duration(seconds) for seconds in (86400.0, 12.3456, 0.5, 1.5e-6, 0.0)]
    ['86400 s', '12.3 s', '500 ms', '1.5 µs', '0 s']
    """
    if abs(seconds) >= 1000:
        return f"{seconds:.0f} s"
    for unit, name in _UNITS:
        if abs(seconds) >= 0.9995 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns" if seconds else "0 s"


def counted(n: int, noun: str) -> str:
    """The number with its noun.

    Examples
    --------
    >>> counted(1, "rank"), counted(20, "rank")
    ('1 rank', '20 ranks')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def evenly(n: int, most: int) -> list[int]:
    """At most *most* of ``range(n)``, evenly spread, with the first and the last.

    Examples
    --------
    >>> evenly(3, 5), evenly(1000, 5)
    ([0, 1, 2], [0, 249, 499, 749, 999])
    """
    if n <= most:
        return list(range(n))
    return [i * (n - 1) // (most - 1) for i in range(most)]
