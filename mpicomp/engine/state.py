"""``setup=``: what each rank makes once, before the first item that it computes.

Rules of this file: what a function has made is kept as long as the function itself; a call sees
what its own ``setup`` made, also when another call runs inside one of its items.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from copy import copy
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from mpicomp.errors import OptionError
from mpicomp.plan.source import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.engine.call import Call

_current: ContextVar[Any] = ContextVar("mpicomp.state", default=...)
_made: WeakKeyDictionary[Callable[[], Any], Any] = WeakKeyDictionary()


class Setup:
    """One call's.

    Inside ``with``, once an item has come, `state` is what was made; outside it is as before.  A
    call whose items are computed now and then enters it each time.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = ...
        self._token: Token[Any] | None = None
        self._failure: Exception | None = None

    def before_items_of(self, call: Call) -> Call:
        """The same call, whose items find the state made."""
        changed = copy(call.comprehension)
        source = changed.source
        if changed.make is not iter:
            changed.make = partial(self._after, changed.make)
        elif isinstance(source, Map):  # its function runs in the source
            changed.source = type(source)(source.children, partial(self._after, source.function))
        if changed.make is iter:
            *bring, function = changed.bring
            changed.bring = (*bring, partial(self._after, function))
        changed.listed = None
        return call._replace(comprehension=changed)

    def _after(self, function: Callable[..., Any], *items: Any) -> Any:
        """What *function* gives, once the state is there."""
        if self._failure is not None:
            raise self._failure
        if self._value is ...:
            try:
                self._value = self._state()
            except Exception as exc:
                self._failure = exc
                exc.add_note("  in setup=, before the first item of this rank")
                raise
            self._token = _current.set(self._value)
        return function(*items)

    def _state(self) -> Any:
        with suppress(KeyError, TypeError):  # new; or nothing that can be kept beside
            return _made[self._function]
        made = self._function()
        with suppress(TypeError):
            _made[self._function] = made
        return made

    def __enter__(self) -> Setup:
        if self._value is not ...:
            self._token = _current.set(self._value)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None


def state() -> Any:
    """What ``setup=`` of the call made on this rank.  For the items of such a call.

    Raises
    ------
    OptionError
        The call has no ``setup``, or there is no call.

    Examples
    --------
    >>> from mpicomp import plist, state
    >>> def load():
    ...     return {1: "one", 2: "two"}  # something that takes long to make
    >>> plist((state()[x] for x in (2, 1, 2)), setup=load)
    ['two', 'one', 'two']
    """
    found = _current.get()
    if found is ...:
        raise OptionError(
            "state() is what setup= has made, and there is none here; write "
            "plist((f(state(), x) for x in xs), setup=make)"
        )
    return found
