"""The command ``mpicomp``: run a script on ranks, evaluate a comprehension, look at the ranks.

Rules of this file: what is wrong with the command line is told before any rank is started; a
command does the same on all ranks, and rank 0 prints.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from mpicomp import bench, info, installed, launch, program, slurm
from mpicomp._version import version
from mpicomp.doctor import commandline as doctor
from mpicomp.errors import LaunchError
from mpicomp.journal import commandline as journal
from mpicomp.record import commandline as simulate
from mpicomp.wire.threads import cores
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Sequence
    from types import CodeType

VERBS = ("plist", "pset", "pdict", "parray", "psum", "pmin", "pmax", "pany", "pall")
"""The verbs that need nothing but a comprehension."""

_EXAMPLES = """examples:
  mpicomp run script.py                 one rank on each core of this machine
  mpicomp run -n 4 script.py data.csv   4 ranks; data.csv goes to the script
  mpicomp run -n 4 -m package.module    a module, as with python -m
  mpicomp eval -n 4 "x*x for x in range(10)"
  mpicomp eval --verb psum --import math "math.sqrt(x) for x in range(10)"
  mpicomp info -n 4                     which MPI there is, and where its ranks run
  mpicomp slurm static --nodes 4 --time 2:00:00 script.py > job.sbatch
  mpicomp doctor                        what is wrong with it, and the cure

"mpicomp COMMAND --help" tells more about a command.
"""

_RUN = """Start a script on N ranks, with the MPI of this environment.

Each rank runs the whole script; its verbs (plist, psum, ...) share their work among the ranks.
When a rank fails, all end, and the exit code is the script's.  Under mpiexec or srun, which have
started the ranks already, the script runs in them.
"""

_RUN_USAGE = """mpicomp run [-n N] [--fault-tolerant] SCRIPT [ARGUMENT ...]
       mpicomp run [-n N] [--fault-tolerant] -m MODULE [ARGUMENT ...]
       mpicomp run [-n N] [--fault-tolerant] -c CODE [ARGUMENT ...]"""

_NO_PROGRAM = "expected a script; write mpicomp run script.py, or -m MODULE, or -c CODE"

_EVAL = """Evaluate a comprehension on all ranks, and print what a verb makes of it."""


def main(args: Sequence[str] | None = None) -> int:
    """Do what the command line asks.

    Parameters
    ----------
    args : sequence of str, optional
        What follows ``mpicomp``; that of this process when None.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from contextlib import suppress
    >>> from mpicomp.cli import main
    >>> with suppress(SystemExit):
    ...     main(["--version"])  # doctest: +ELLIPSIS
    mpicomp ...
    """
    given = list(sys.argv[1:] if args is None else args)
    started = given[:1] == [launch.RANK]
    if started:
        given = launch.shown(given[1:])
    asked = _read(given)

    def work() -> int:
        code: int = asked.perform(asked)
        return code

    try:
        if started or launch.inside(asked.n):
            asked.before(asked)
            return program.as_rank(work)
        n = asked.n or asked.default()
        if n > 1:
            asked.ready(asked)
            return launch.start(n, given, getattr(asked, "fault_tolerant", False))
    except LaunchError as exc:
        refused: int = asked.refused(asked, exc)
        return refused
    return program.told(work)


def _refused(asked: Namespace, exc: LaunchError) -> int:
    print(f"mpicomp {asked.command}: {exc}", file=sys.stderr)
    return 1


def _read(given: list[str]) -> Namespace:
    """The command line, understood; ends the process when it cannot be."""
    words: list[Any] = []
    if given[:1] == ["run"]:
        given, words = _split(given)
    if given[:1] == ["slurm"]:
        given, *words = slurm.split(given)
    if given[:1] == ["eval"]:
        given = [f" {word}" if _begins_with_minus(word) else word for word in given]
    asked = _parser().parse_args(given or ["--help"])
    if asked.command == "run" and (not words or words in (["-m"], ["-c"])):
        asked.parser.error(_NO_PROGRAM)
    asked.program = words
    return asked


def _begins_with_minus(word: str) -> bool:
    """Whether *word* is a comprehension as "-n for n in xs", which looks like an option."""
    return word.startswith("-") and not word.startswith("--") and " for " in word


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """The options of ``run``, and the program with its own arguments, which are not ours."""
    at = 1
    while at < len(given) and given[at].startswith("-") and given[at] not in ("-m", "-c", "--"):
        at += 2 if given[at] == "-n" else 1
    return given[:at], given[at + (given[at : at + 1] == ["--"]) :]


def _parser() -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    style: Any = {"formatter_class": RawDescriptionHelpFormatter, "allow_abbrev": False}
    about = "A list comprehension on every core of a cluster."
    parser = ArgumentParser(prog="mpicomp", description=about, epilog=_EXAMPLES, **style)
    parser.add_argument("--version", action="version", version=f"mpicomp {version}")
    parser.set_defaults(before=lambda _: installed.check_srun(), refused=_refused)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        first = command.about.partition("\n")[0]
        of_command = commands.add_parser(
            name, help=first, description=command.about, usage=command.usage,
            epilog=command.examples, **style,
        )  # fmt: skip
        of_command.set_defaults(
            parser=of_command, ready=lambda _: None, default=lambda: 1, n=None
        )
        command.add(of_command)
    return parser


def _add_run(parser: ArgumentParser) -> None:
    usual = len(cores())
    _add_n(parser, f"the cores that this process may use, here {usual}")
    about = "when ranks are lost, the others go on (Open MPI 5 only; docs/reliability.md)"
    parser.add_argument("--fault-tolerant", action="store_true", help=about)
    parser.set_defaults(perform=_run, ready=_ready, default=lambda: usual)


def _add_eval(parser: ArgumentParser) -> None:
    _add_n(parser, "none, this process computes alone")
    add = parser.add_argument
    add("--verb", choices=VERBS, default="plist", help="what is made of the values (plist)")
    add("--import", dest="imports", metavar="MODULE", action="append", default=[],
        help='import a module first, as in "math" or "numpy as np"; may be repeated')  # fmt: skip
    add("--setup", metavar="CODE", default="", help="run this first, on every rank")
    add("--lines", action="store_true", help="print one value a line")
    add("comprehension", metavar="COMPREHENSION", type=_comprehension,
        help="f(x) for x in xs, without brackets, in quotes for the shell")  # fmt: skip
    parser.set_defaults(perform=_eval)


def _add_info(parser: ArgumentParser) -> None:
    _add_n(parser, "none, this process tells of itself")
    info.add_info(parser)


def _add_doctor(parser: ArgumentParser) -> None:
    _add_n(parser, "as mpicomp run, or the tasks of the batch job")
    doctor.add_doctor(parser)


def _add_bench(parser: ArgumentParser) -> None:
    usual = len(cores())
    _add_n(parser, f"the cores that this process may use, here {usual}")
    parser.set_defaults(default=lambda: usual)
    bench.add_bench(parser)


class Command(NamedTuple):
    """What stands behind ``mpicomp NAME``; *add* says what it accepts, and what performs it."""

    add: Callable[[ArgumentParser], None]
    about: str
    usage: str | None = None
    examples: str | None = None


_COMMANDS = {
    "run": Command(_add_run, _RUN, _RUN_USAGE),
    "eval": Command(_add_eval, _EVAL, "mpicomp eval [OPTION ...] COMPREHENSION"),
    "info": Command(_add_info, info.ABOUT, info.USAGE),
    "doctor": Command(_add_doctor, doctor.ABOUT, doctor.USAGE),
    "bench": Command(_add_bench, bench.ABOUT, bench.USAGE),
    "slurm": Command(slurm.add_slurm, slurm.ABOUT, slurm.USAGE),
    "simulate": Command(simulate.add_simulate, simulate.ABOUT, examples=simulate.EXAMPLES),
    "journal": Command(journal.add_journal, journal.ABOUT, examples=journal.EXAMPLES),
}


def _add_n(parser: ArgumentParser, default: str) -> None:
    about = f"how many ranks to start (default: {default})"
    parser.add_argument("-n", metavar="N", type=_number, help=about)


def _number(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a number of ranks, 1 or more, got {text!r}; write -n 4")
    return int(text)


def _run(asked: Namespace) -> int:
    if asked.fault_tolerant:
        launch.check_surviving()
    _program(asked)()
    return 0


def _ready(asked: Namespace) -> None:
    """Read and compile the program: what keeps it from starting is told here, and once."""
    import warnings

    def work() -> int:
        _program(asked)
        return 0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the ranks will warn
        code = program.told(work)
    if code:
        sys.exit(code)


def _program(asked: Namespace) -> Callable[[], None]:
    parser: ArgumentParser = asked.parser
    try:
        return program.prepared(asked.program)
    except OSError as exc:
        parser.error(f"cannot open the script {asked.program[0]!r}: {exc.strerror}")


def _comprehension(text: str) -> CodeType:
    """*text* compiled; its lines are kept for tracebacks and notes."""
    import ast
    import linecache
    from argparse import ArgumentTypeError

    text = text.strip()
    cure = "write 'f(x) for x in xs', without brackets; --verb says what is made of the values"
    try:
        tree = ast.parse(f"({text}\n)", "<eval>", "eval")
        if not isinstance(tree.body, ast.GeneratorExp):
            raise ArgumentTypeError(f"expected a comprehension, got {text!r}; {cure}")
        code = compile(tree, "<eval>", "eval", dont_inherit=True)
    except SyntaxError as exc:
        raise ArgumentTypeError(f"cannot read {text!r}: {exc.msg}; {cure}") from None
    linecache.cache["<eval>"] = (len(text), None, text.splitlines(keepends=True), "<eval>")
    return code


def _eval(asked: Namespace) -> int:
    import mpicomp

    names = program.fresh_main("", ["-c"])
    for module in asked.imports:
        exec(compile(f"import {module}", "<import>", "exec", dont_inherit=True), names)
    exec(compile(asked.setup, "<setup>", "exec", dont_inherit=True), names)
    value = getattr(mpicomp, asked.verb)(eval(asked.comprehension, names))
    if world().rank == 0:
        for line in _lines(value) if asked.lines else [repr(value)]:
            print(line)
    return 0


def _lines(value: Any) -> Iterable[object]:
    """What is printed one a line: each value, of a dict each pair, or the one value."""
    if isinstance(value, dict):
        return (f"{key} {of_key}" for key, of_key in value.items())
    several = isinstance(value, (list, set)) or hasattr(value, "tolist")
    return value if several else [value]
