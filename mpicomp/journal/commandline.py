"""``mpicomp journal``: look into a journal, and forget what is in it."""

from __future__ import annotations

from datetime import datetime

from mpicomp.errors import JournalError
from mpicomp.journal.journal import CALLS, Journal, Known, existing
from mpicomp.plan.gaps import union

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from mpicomp.plan.gaps import Span

ABOUT = """Look into a journal that calls with journal="FILE" have written.

  status   its calls, and how many items of each are done; exit code 0 when all are, else 1
  show     of each call also what it is, which items are done, and what is missing
  prune    forget calls: those of --call, or all; the journal must not be in use
"""

EXAMPLES = """examples:
  mpicomp journal status run.mpj
  mpicomp journal show run.mpj --call 2
  mpicomp journal prune run.mpj --call 2
"""

_HEAD = "call  verb         items done            of  began                where"


def add_journal(parser: ArgumentParser) -> None:
    """Add what the command accepts.

    Examples
    --------
    >>> from argparse import ArgumentParser
    >>> from tempfile import TemporaryDirectory
    >>> from mpicomp import plist
    >>> parser = ArgumentParser()
    >>> add_journal(parser)
    >>> with TemporaryDirectory() as folder:
    ...     _ = plist((x * x for x in range(5)), journal=folder)
    ...     code = main(parser.parse_args(["prune", folder]))
    ...     code = main(parser.parse_args(["status", folder]))
    forgot call 0: plist, 5 items done
    no calls
    """
    parser.add_argument("action", choices=("status", "show", "prune"), help="see above")
    parser.add_argument("file", metavar="FILE", help="the journal, a folder")
    parser.add_argument("--call", type=int, metavar="K", help="the call with this number only")
    parser.set_defaults(perform=main, parser=parser)


def main(asked: Namespace) -> int:
    """Do what the command line asks.

    Returns
    -------
    int
        The exit code.
    """
    from sqlite3 import Error

    parser: ArgumentParser = asked.parser
    try:
        journal = existing(asked.file)
        known = [call for call in journal.known() if asked.call in (None, call.place)]
        if asked.call is not None and not known:
            raise JournalError(f"{asked.file} has no call {asked.call}")
        done = {call.key: _done(journal, call) for call in known}
        if asked.action == "prune":
            _prune(journal, known, done, everything=asked.call is None)
            return 0
    except (JournalError, OSError, Error) as exc:
        parser.error(str(exc))
    if not known:
        print("no calls")
    for call in known if asked.action == "show" else ():
        print(_shown(call, done[call.key]), end="\n\n")
    if asked.action == "status" and known:
        print(_HEAD, *(_row(call, done[call.key]) for call in known), sep="\n")
    return int(any(_items(done[call.key]) != call.about["n"] for call in known))


def _done(journal: Journal, call: Known) -> list[Span]:
    return union(span for spans, _ in journal.store.chunks(call.key) for span in spans)


def _items(spans: list[Span]) -> int:
    return sum(stop - start for start, stop in spans)


def _row(call: Known, done: list[Span]) -> str:
    about = call.about
    began = datetime.fromtimestamp(about["began"]).strftime("%Y-%m-%d %H:%M:%S")
    n = "stream" if about["n"] is None else about["n"]
    return (
        f"{call.place:>4}  {about['verb']:<11}{_items(done):>12}{n:>14}  {began}  {about['where']}"
    )


def _shown(call: Known, done: list[Span]) -> str:
    lines = [f"call {call.place}: {call}", f"  items done: {_items(done)} of {call.about['n']}"]
    if done:
        told = ", ".join(f"{start}-{stop - 1}" for start, stop in done[:10])
        lines.append(f"  which:      {told}{', ...' if len(done) > 10 else ''}")
    lines += [f"  {part.name}: {part.text}" for part in call.parts]
    return "\n".join(lines)


def _prune(
    journal: Journal, known: list[Known], done: dict[str, list[Span]], everything: bool
) -> None:
    others = [] if everything else [c for c in journal.known() if c not in known]
    for call in known:
        journal.store.remove(call.key)
        count = _items(done[call.key])
        print(f"forgot call {call.place}: {call.about['verb']}, {count} items done")
    journal.store.remove(CALLS)
    for call in others:
        journal.note(call)
    journal.store.close()
