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
    from mpicomp.plan.spans import SpanSizer

_SAMPLE = 256  # values whose sending is measured: of a few, it is mostly our own work
_WEIGHING = 5e-4  # seconds which that may take
_SHORT = 0.005  # seconds of a call for which what was measured last is good enough
QUICK = 0.0005  # seconds of a call which one rank should do
_TRUSTED = 3  # such calls in a row, after which one rank does it
_LEAST = 1e-9  # seconds: what cannot be sent, which is told when it is sent for good
_SPEED = 3e9  # bytes a second at which large results arrive


class Memory:
    """What is remembered of a call for the next one of the same code; a hint, and no more.

    Attributes
    ----------
    shipped : bool
        Whether the values of the items are to be sent as they are.
    """

    def __init__(self, call: Call) -> None:
        code = call.comprehension.code
        self._facts = facts_of(code) if code is not None else None
        collector, stays = call.collector, call.options.stays
        self.shipped = isinstance(collector, Listed) and collector.thin is None and not stays

    @property
    def cost(self) -> float:
        """Seconds an item."""
        return self._facts.cost if self._facts is not None else inf

    @property
    def patience(self) -> float:
        """Seconds that a rank leaves to the root before it begins: it was done by then."""
        took = self._facts.took if self._facts is not None else inf
        return 2 * took if took < QUICK else 0.0

    @property
    def ships(self) -> float:
        """Seconds to get an item's values from another rank; 0 where they stay or nobody knows."""
        return self._facts.ships if self._facts is not None and self.shipped else 0.0

    def lone(self, n: int) -> bool:
        """Whether calls of *n* items were done soonest by one rank, every time of late."""
        facts = self._facts
        return facts is not None and facts.lone >= _TRUSTED and facts.n == n

    def keep_call(self, n: int | None, seconds: float) -> None:
        """Note what a whole call has taken."""
        facts = self._facts
        if facts is not None:
            # the call may have waited for a core; its items have not
            brief = n is not None and min(seconds, n * facts.cost) < QUICK
            again = n is not None and n == facts.n and (brief or facts.cost < self.ships)
            facts.lone = facts.lone + 1 if again else 0
            facts.took, facts.n = seconds, -1 if n is None else n

    @property
    def fresh(self) -> bool:
        """Whether `ships` need not be measured again."""
        return self.ships > 0 and self._facts is not None and self._facts.took < _SHORT

    def keep_ships(self, seconds: float) -> None:
        """Note what it takes to get an item's values."""
        if self._facts is not None:
            self._facts.ships = seconds

    def keep(self, cost: float) -> None:
        """Note what an item has taken."""
        if self._facts is not None and cost < inf:
            self._facts.cost = cost


def remember(call: Call, seconds: float) -> None:
    """Note what a call has taken."""
    if call.options.schedule.kind == "auto":
        Memory(call).keep_call(call.comprehension.source.n, seconds)


class Chooser:
    """The root's choice.

    Parameters
    ----------
    call : Call
    decides : bool
        Whether this rank is the one that may take all.
    memory : Memory
    """

    def __init__(self, call: Call, decides: bool, memory: Memory) -> None:
        self._call = call
        self._memory = memory
        self._decides = decides
        self._ships = memory.ships
        self._weighed = memory.fresh or not memory.shipped
        self._one = 0.0  # seconds to get a single value, which is more than each of many takes
        self._before = len(getattr(call.collector, "values", ()))
        self._alone = False

    def whole(self, sizer: SpanSizer, left: int) -> bool:
        """Whether to go on alone: to compute an item takes less than to get it from others."""
        chosen = self._decides and left > 0 and self._dear(sizer.cost, sizer.items)
        self._alone |= chosen
        return chosen

    def rests(self, sizer: SpanSizer) -> bool:
        """Whether to leave the items to the rank that goes on alone, and only look now and then."""
        return not self._decides and self._dear(self.expected(sizer), sizer.items)

    def expected(self, sizer: SpanSizer) -> float:
        """Seconds that an item takes: as measured here, else as remembered."""
        return sizer.cost if sizer.items else self._memory.cost

    def told(self, cost: float) -> str:
        """What was chosen, and why, once all is done; *cost* as measured."""
        if self._call.events is None:
            return ""
        if cost == inf:
            return "the other ranks had taken all before the root began"
        item = f"an item takes {duration(cost)}"
        if self._alone:
            got = duration(self._ships)
            return f"{item} here and {got} to be got from another rank: left to the root"
        many = counted(max(1, round(SPAN / cost)), "item")
        return f"{item}: spans of about {duration(SPAN)}, {many}"

    def _dear(self, cost: float, items: int) -> bool:
        """Whether an item's values are dearer than its *cost*, as far as *items* have shown."""
        if not self._weighed and items:
            values: list[Any] = getattr(self._call.collector, "values", [])
            each = (len(values) - self._before) / items
            if each:
                self._weigh(cost, values, each)
        return cost < self._ships

    def _weigh(self, cost: float, values: list[Any], each: float) -> None:
        """Measure, unless *cost* is more by far, what the *each* values of an item take."""
        if not self._one:
            self._one = max(_LEAST, _least_seconds(values[-1:]))
        enough = max(1, min(_SAMPLE, int(_WEIGHING / self._one)))
        if cost < self._one * each and len(values) >= enough:
            one = self._one
            if enough > 1:
                one = max(_LEAST, (_least_seconds(values[-enough:]) - one) / (enough - 1))
            self._ships = one * each
            self._memory.keep_ships(self._ships)
            self._weighed = True


def _least_seconds(sample: list[Any]) -> float:
    """Seconds to send and receive these values; of a short first time, most is our own code's."""
    taken = _seconds(sample)
    return taken if taken > _WEIGHING else min(taken, _seconds(sample))


def _seconds(sample: list[Any]) -> float:
    try:
        began = perf_counter()
        payload = encode(sample)
        decode(payload.form, payload.blobs)
        return perf_counter() - began + payload.nbytes / _SPEED
    except Exception:
        return 0.0
