"""The family of errors, and nothing else.

Each is an `MpicompError` and also the standard error it resembles, so that code which knows
nothing of mpicomp catches it too.  What an *item* raises is none of these: it is raised again
on every rank with its own type.
"""

from __future__ import annotations


class MpicompError(Exception):
    """The base of every error that mpicomp itself raises.

    Examples
    --------
    >>> import mpicomp
    >>> try:
    ...     mpicomp.plist([1, 2, 3])
    ... except mpicomp.MpicompError as error:
    ...     print(type(error).__name__)
    ComprehensionError
    """


class ComprehensionError(MpicompError, TypeError):
    """What was given is not a comprehension that can be run on slices of its source.

    Examples
    --------
    >>> from mpicomp import ComprehensionError, plist
    >>> try:
    ...     plist([1, 2])
    ... except ComprehensionError as error:
    ...     print(error)
    plist needs a generator expression or a map object, got [1, 2]; write plist(f(x) for x in xs)
    """


class OptionError(MpicompError, ValueError):
    """An option has a value that cannot be used.

    Examples
    --------
    >>> from mpicomp import plist
    >>> plist((x for x in range(3)), errors="ignore")
    Traceback (most recent call last):
    ...
    mpicomp.errors.OptionError: errors must be "raise" or "return", got 'ignore'
    """


class ScheduleError(OptionError):
    """A schedule's text cannot be read.

    Examples
    --------
    >>> from mpicomp import ScheduleError
    >>> issubclass(ScheduleError, ValueError)
    True
    """


class BatchError(MpicompError, ValueError):
    """A batched function did not give one result for each item of its chunk.

    Examples
    --------
    >>> from mpicomp import BatchError, pmap
    >>> try:
    ...     pmap(lambda chunk: [1], range(3), batched=True)
    ... except BatchError as error:
    ...     print(error)
    a batched function got 3 items and gave 1 result; give one for each
    """


class CollectiveMismatch(MpicompError, RuntimeError):
    """The ranks of a communicator did not call the same thing.

    Examples
    --------
    >>> from mpicomp import CollectiveMismatch
    >>> issubclass(CollectiveMismatch, RuntimeError)
    True
    """


class ConcurrentCallError(MpicompError, RuntimeError):
    """A second thread called a verb while the first was still in one.

    Examples
    --------
    >>> from mpicomp import ConcurrentCallError
    >>> issubclass(ConcurrentCallError, RuntimeError)
    True
    """


class PatienceError(MpicompError, TimeoutError):
    """A rank did not come to a call within ``patience=`` seconds; the ranks cannot go on together.

    Examples
    --------
    >>> from mpicomp import PatienceError
    >>> issubclass(PatienceError, TimeoutError)
    True
    """


class RankLostWarning(RuntimeWarning):
    """A rank was lost in a call, and the others have computed what it had: docs/reliability.md.

    Examples
    --------
    >>> from mpicomp import RankLostWarning
    >>> issubclass(RankLostWarning, RuntimeWarning)
    True
    """


class SideEffectError(MpicompError, RuntimeError):
    """With ``effects="raise"``: the items do something to what lies outside them.

    Examples
    --------
    >>> from mpicomp import SideEffectError, plist
    >>> seen = []
    >>> try:
    ...     plist((seen.append(x) for x in range(3)), effects="raise")
    ... except SideEffectError as error:
    ...     print(str(error).partition(" (")[0].partition(" changes ")[2])
    'seen', which all items share
    """


class SideEffectWarning(UserWarning):
    """The items do something to what lies outside them, which differs in parallel.

    Examples
    --------
    >>> import warnings
    >>> from mpicomp import SideEffectWarning
    >>> warnings.simplefilter("ignore", SideEffectWarning)  # as effects="ignore" in every call
    """


class LaunchError(MpicompError, RuntimeError):
    """The launcher started several processes, but each believes it is alone; or there is none.

    Examples
    --------
    >>> from mpicomp import LaunchError
    >>> issubclass(LaunchError, RuntimeError)
    True
    """


class TransportError(MpicompError, TypeError):
    """Something that had to go to another rank cannot be pickled.

    Examples
    --------
    >>> from mpicomp import TransportError
    >>> issubclass(TransportError, TypeError)
    True
    """


class RemoteError(MpicompError, RuntimeError):
    """Stands for an exception whose class another rank cannot find; carries its name and text.

    Examples
    --------
    >>> from mpicomp import RemoteError
    >>> issubclass(RemoteError, RuntimeError)
    True
    """


class RemoteTraceback(Exception):
    """The text of a traceback from the rank where it happened; the ``__cause__`` of an error.

    Examples
    --------
    >>> from mpicomp.errors import RemoteTraceback
    >>> print(RemoteTraceback("Traceback ..."))
    Traceback ...
    """


class JournalError(MpicompError, RuntimeError):
    """A journal holds another comprehension, or cannot be read or written.

    Examples
    --------
    >>> from mpicomp import JournalError
    >>> issubclass(JournalError, RuntimeError)
    True
    """


class JournalWarning(UserWarning):
    """With ``on_error="warn"``: the journal cannot be written; the computing goes on without it.

    Examples
    --------
    >>> import warnings
    >>> from mpicomp import JournalWarning
    >>> warnings.simplefilter("error", JournalWarning)  # as on_error="raise"
    >>> warnings.simplefilter("default", JournalWarning)
    """


class Stopped(SystemExit):
    """A call was stopped by a signal or at its deadline: raised on all ranks alike.

    It is a `SystemExit` of code 85: a program that does not catch it ends, without a traceback,
    and its shell or batch script can tell from the code that it is to be started again.

    Attributes
    ----------
    code : int
        85.
    reason : str
        What has stopped it, and on which rank.

    Examples
    --------
    >>> from mpicomp import Stopped
    >>> print(Stopped("SIGUSR1 on rank 0"), Stopped("SIGUSR1 on rank 0").code)
    SIGUSR1 on rank 0 85
    """

    def __init__(self, reason: str) -> None:
        super().__init__(STOPPED)
        self.reason = reason

    def __reduce__(self) -> tuple[type[Stopped], tuple[str]]:
        return Stopped, (self.reason,)

    def __str__(self) -> str:
        return self.reason


STOPPED = 85
"""Exit code of a program that was stopped and can be gone on with."""
