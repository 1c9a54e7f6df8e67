"""Whether a value that was computed twice is the same.

Rules of this file: pure; both have been through pickle, so that neither is the other's self.
"""

from __future__ import annotations

import pickle
import sys
from math import copysign
from typing import Any


def same(a: Any, b: Any) -> bool:
    """Whether *a* and *b* are alike: types, signs of nothing, every bit of an array.

    Examples
    --------
    >>> same([1, float("nan")], [1, float("nan")]), same([1], [1.0]), same({1: {2}}, {1: {2}})
    (True, False, True)
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return copysign(1.0, a) == copysign(1.0, b) if a == b else a != a and b != b
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and a.keys() == b.keys():  # else some may be NaN, equal to nothing
        return all(same(a[key], b[key]) for key in a)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(a, numpy.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return same(a.tolist(), b.tolist()) if a.dtype.hasobject else a.tobytes() == b.tobytes()
    try:
        if bool(a == b):
            return True
    except Exception:
        pass  # not comparable: by what they are made of
    return pickle.dumps(a) == pickle.dumps(b)
