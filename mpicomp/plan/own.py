"""A schedule of the user's own, beside those that have a name.

Rules of this file: pure; it has what is asked of a `mpicomp.plan.schedule.Schedule`.
"""

from __future__ import annotations

from mpicomp.errors import OptionError, ScheduleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.decomposition import Decomposition


class OwnPlan:
    """A schedule of the user's own: an object with a plan's few methods."""

    kind = "table"
    chunk = None

    def __init__(self, plan: PlanLike) -> None:
        self.plan = plan

    def __str__(self) -> str:
        # not its repr, which may hold an address that differs between ranks
        kind, plan = type(self.plan).__name__, self.plan
        return f"{kind}: {plan.n} items in {plan.nchunks} chunks for {plan.p} ranks"

    @property
    def chunks(self) -> str:
        """What has to be alike on all ranks: the plan's chunks, the first thousand of them."""
        return repr([self.plan.span(k) for k in range(min(self.plan.nchunks, 1000))])

    def decomposition(self, n: int, p: int) -> Decomposition:
        """Refused: nothing is decided beforehand about who takes a chunk."""
        raise ScheduleError(
            f'only static schedules say beforehand who takes what, got {self}; write "static"'
        )

    def plan_for(self, n: int, p: int) -> PlanLike:
        """The plan, if it is one for n items and p ranks."""
        if (self.plan.n, self.plan.p) != (n, p):
            raise OptionError(
                f"the schedule is a plan of {self.plan.n} items on {self.plan.p} ranks, and there "
                f"are {n} items and {p} ranks; make it for these"
            )
        return self.plan
