"""What becomes of the side effects that are found in a call's code.

Rules of this file: a warning is the root's alone, an error every rank's; both before any item.
"""

from __future__ import annotations

import warnings

from mpicomp.errors import SideEffectError, SideEffectWarning
from mpicomp.plan.effects import describe, effects_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.plan.reach import Finding

_registry: dict[str | tuple[str, type[Warning], int], int] = {}


def watch(call: Call, rank: int) -> None:
    """Look at what the items of *call* do, and say so as its options ask.

    Parameters
    ----------
    call : Call
    rank : int
        This one; the root warns.

    Raises
    ------
    SideEffectError
        ``effects="raise"``, and there are some.
    SideEffectWarning
        On the root, where the filters of `warnings` make an error of it.
    """
    asked = call.options.effects
    if asked == "ignore":
        return
    findings = [found for function in call.functions for found in effects_of(function)]
    if not findings:
        return
    who = f"{call.verb} at {call.comprehension.where}"
    if asked == "raise":
        raise SideEffectError("\n".join(describe(found, who) for found in findings))
    if rank == (call.options.root or 0):
        for found in findings:
            _warn(found, describe(found, who))


def _warn(found: Finding, text: str) -> None:
    warnings.warn_explicit(text, SideEffectWarning, found.file, found.line, registry=_registry)
