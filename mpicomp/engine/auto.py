"""``schedule="auto"``: whether sharing pays, from what items are measured to cost.

Rules of this file: no message; nobody waits for the decision.  Every rank claims spans from the
first moment; the root, once it knows what an item costs, either goes on like the others, or, where
computing an item costs less than getting its values from another rank, claims ever larger spans.
"""

from __future__ import annotations

from math import inf
from time import perf_counter
from typing import Any

from mpicomp.engine.collect import Listed
from mpicomp.plan.comprehension import facts_of
from mpicomp.plan.spans import SPAN
from mpicomp.record.units import counted, duration
from mpicomp.wire.forms import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call

_SAMPLE = 64
QUICK = 0.0005  # seconds of a call which one rank should do
_TRUSTED = 3  # such calls in a row, after which one rank does it
_SPEED = 3e9  # bytes a second at which large results arrive


class Memory:
    """What is remembered of a call for the next one of the same code; a hint, and no more."""

    def __init__(self, call: Call) -> None:
        code = call.comprehension.code
        self._facts = facts_of(code) if code is not None else None

    @property
    def cost(self) -> float:
        """Seconds an item."""
        return self._facts.cost if self._facts is not None else inf

    @property
    def patience(self) -> float:
        """Seconds that a rank leaves to the root before it begins: it was done by then."""
        took = self._facts.took if self._facts is not None else inf
        return 2 * took if took < QUICK else 0.0

    def tiny(self, n: int) -> bool:
        """Whether calls of *n* items have been done at once, every time of late."""
        facts = self._facts
        return facts is not None and facts.tiny >= _TRUSTED and facts.n == n

    def shipping(self, sample: list[Any]) -> float:
        """Seconds to get a value like these; measured where that does not show."""
        facts = self._facts
        if facts is None:
            return _measured(sample)
        if facts.took > QUICK or not facts.ships:
            facts.ships = _measured(sample)
        return facts.ships

    def keep(self, cost: float) -> None:
        """Note what an item has taken."""
        if self._facts is not None and cost < inf:
            self._facts.cost = cost


def remember(call: Call, seconds: float) -> None:
    """Note what a call has taken."""
    if call.comprehension.code is not None and call.options.schedule.kind == "auto":
        facts, n = facts_of(call.comprehension.code), call.comprehension.source.n
        # the call may have waited for a core; its items have not
        again = n is not None and n == facts.n and min(seconds, n * facts.cost) < QUICK
        facts.tiny = facts.tiny + 1 if again else 0
        facts.took, facts.n = seconds, -1 if n is None else n


class Chooser:
    """The root's choice.

    Parameters
    ----------
    call : Call
    decides : bool
        Whether this rank is the one that may take all.
    memory : Memory

    Attributes
    ----------
    shipping : float or None
        Seconds to get an item's values from another rank, once measured.
    """

    def __init__(self, call: Call, decides: bool, memory: Memory) -> None:
        self._call = call
        self._memory = memory
        self._decides = decides
        self.shipping: float | None = None
        self._alone = False

    def whole(self, cost: float, left: int) -> bool:
        """Whether to go on alone: an item costs *cost* seconds, and more to get from others."""
        chosen = self._decides and left > 0 and self._dear(cost)
        self._alone |= chosen
        return chosen

    def rests(self, cost: float) -> bool:
        """Whether to leave the items to the rank that goes on alone, and only look now and then."""
        return not self._decides and self._dear(cost)

    def told(self, cost: float) -> str:
        """What was chosen, and why, once all is done; *cost* as measured."""
        if self._call.events is None:
            return ""
        if cost == inf:
            return "the other ranks had taken all before the root began"
        item = f"an item takes {duration(cost)}"
        if self._alone:
            got = duration(self._shipping())
            return f"{item} here and {got} to be got from another rank: left to the root"
        many = counted(max(1, round(SPAN / cost)), "item")
        return f"{item}: spans of about {duration(SPAN)}, {many}"

    def _dear(self, cost: float) -> bool:
        return cost < self._shipping()

    def _shipping(self) -> float:
        """Seconds to send and receive what an item gives."""
        collector = self._call.collector
        if not isinstance(collector, Listed) or collector.thin is not None:
            return 0.0
        if self.shipping is None and collector.values:
            self.shipping = self._memory.shipping(collector.values[-_SAMPLE:])
        return self.shipping or 0.0


def _measured(sample: list[Any]) -> float:
    """Seconds to send and receive one of these values."""
    return _seconds(sample) / len(sample)


def _seconds(sample: list[Any]) -> float:
    try:
        began = perf_counter()
        payload = encode(sample)
        decode(payload.form, payload.blobs)
        return perf_counter() - began + payload.nbytes / _SPEED
    except Exception:  # told when it is sent for good
        return 0.0
