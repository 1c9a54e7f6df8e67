"""``mpicomp slurm``: a batch script for Slurm, made from one of the templates in ``slurm/``.

Rules of this file: a template is a script that runs as it is; filling it in changes ``#SBATCH``
lines, and writes down the program and the Python, and nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

from mpicomp import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Sequence

ABOUT = """Write a batch script for Slurm, or submit it.

The script is one of the templates, with your program and this Python in it.  Options of sbatch
take the place of the template's, or stand beside them: --nodes 4 --time=2:00:00 --exclusive.
What follows the script is the script's.

templates:
"""
USAGE = "mpicomp slurm TEMPLATE [OPTION OF SBATCH ...] [--srun] [--submit] SCRIPT [ARGUMENT ...]"
VALUED = {
    "--account", "--array", "--constraint", "--cpus-per-task", "--gres", "--job-name",
    "--mail-type", "--mail-user", "--mem", "--mem-per-cpu", "--nodes", "--ntasks",
    "--ntasks-per-node", "--output", "--partition", "--qos", "--reservation", "--signal", "--time",
}  # fmt: skip
"""Options of sbatch whose value may be a word of its own; others are written ``--name=value``."""
_OURS = {"--srun", "--submit", "--help", "-h"}
_NO_PROGRAM = "expected a script; write mpicomp slurm {} --nodes 2 script.py"
_NOT_BY_SRUN = (
    "the template {} starts its ranks by Open MPI's own mpiexec: srun would end all of them with "
    "the first one that dies; leave out --srun"
)
_LINE = re.compile(r"#SBATCH (--[a-z-]+)(=\S*)?(.*)\n")
_PYTHON = re.compile(r"# source .*\n")


def folder() -> Path:
    """Where the templates are: in the installed package, or beside it in the source tree."""
    installed = Path(__file__).with_name("templates")
    return installed if installed.is_dir() else Path(__file__).parents[1] / "slurm"


def templates() -> dict[str, str]:
    """The text of each template, by its name.

    Examples
    --------
    >>> "static" in templates()
    True
    """
    return {path.stem: path.read_text() for path in sorted(folder().glob("*.sbatch"))}


def add_slurm(parser: ArgumentParser) -> None:
    """Add what the command accepts."""
    named = templates()
    parser.description = ABOUT + "".join(
        f"  {name:<16}{text.splitlines()[1].removeprefix('# ')}\n" for name, text in named.items()
    )
    parser.add_argument("template", metavar="TEMPLATE", choices=named, help="one of those above")
    parser.add_argument("--srun", action="store_true", help="start the ranks by srun, not mpiexec")
    parser.add_argument("--submit", action="store_true", help="give it to sbatch")
    parser.set_defaults(perform=main, n=None)


def split(given: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The command's own words, the options for sbatch, and the program with its arguments.

    Examples
    --------
    >>> split("slurm static --nodes 4 --exclusive --submit run.py --nodes 9".split())
    (['slurm', 'static', '--submit'], ['--nodes=4', '--exclusive'], ['run.py', '--nodes', '9'])
    """
    own, options, at = list(given[:1]), [], 1
    if at < len(given) and not given[at].startswith("-"):
        own.append(given[at])
        at += 1
    while at < len(given) and given[at].startswith("-") and given[at] not in ("-m", "-c", "--"):
        word = given[at]
        at += 1
        if word in _OURS or not word.startswith("--"):
            own.append(word)
        elif word in VALUED and at < len(given):
            options.append(f"{word}={given[at]}")
            at += 1
        else:
            options.append(word)
    return own, options, list(given[at + (list(given[at : at + 1]) == ["--"]) :])


def filled(text: str, options: Iterable[str], program: Sequence[str], launcher: str = "") -> str:
    """A template with its blanks filled in.

    Parameters
    ----------
    text : str
    options : iterable of str
        Of sbatch, each one word: ``--nodes=4``, ``--exclusive``.
    program : sequence of str
        A script and its arguments.
    launcher : str
        What starts the ranks; the template's own when empty.

    Examples
    --------
    >>> text = "#!/bin/bash\\n#SBATCH --nodes=2\\n\\n# source env\\n\\nexec python \\"$@\\"\\n"
    >>> print(filled(text, ["--nodes=4", "--exclusive"], ["a b.py"]).replace(_here(), "HERE"))
    #!/bin/bash
    #SBATCH --nodes=4
    #SBATCH --exclusive
    <BLANKLINE>
    export PATH=HERE:$PATH
    set -- 'a b.py'
    <BLANKLINE>
    exec python "$@"
    <BLANKLINE>
    """
    said = dict(option.partition("=")[::2] for option in options)
    written = set()

    def line(found: re.Match[str]) -> str:
        name = found[1]
        if name not in said:
            return found[0]
        written.add(name)
        return _directive(name, said[name]) + found[3] + "\n"

    text = _LINE.sub(line, text)
    more = "".join(_directive(name, said[name]) + "\n" for name in said if name not in written)
    last = max(found.end() for found in _LINE.finditer(text))
    text = text[:last] + more + text[last:]
    exports = [f"export PATH={_here()}:$PATH"]
    if launcher:
        exports.append(f"LAUNCH={shlex.quote(launcher)}")
    if program:
        exports.append(f"set -- {shlex.join(program)}")
    return _PYTHON.sub(lambda _: "\n".join(exports) + "\n", text, count=1)


def _directive(name: str, value: str) -> str:
    return f"#SBATCH {name}={value}" if value else f"#SBATCH {name}"


def _here() -> str:
    return shlex.quote(os.path.dirname(sys.executable))


def main(asked: Namespace) -> int:
    """Print the script, or give it to sbatch; returns the exit code."""
    options, program = asked.program
    parser: ArgumentParser = asked.parser
    text = templates()[asked.template]
    if not program and '"$@"' in text and "$#" not in text:
        parser.error(_NO_PROGRAM.format(asked.template))
    if program[:1] and not program[0].startswith("-") and not os.path.exists(program[0]):
        parser.error(f"there is no {program[0]!r} here; write the path of the script")
    if asked.srun and "LAUNCH:-" not in text:
        parser.error(_NOT_BY_SRUN.format(asked.template))
    script = filled(text, options, program, _by_srun() if asked.srun else "")
    if not asked.submit:
        print(script, end="")
        return 0
    return _submit(script)


def _by_srun() -> str:
    kind = "pmix" if "Open MPI" in installed.library() else "pmi2"
    return f"srun --mpi={kind} python -m mpicomp run"


def _submit(script: str) -> int:
    import subprocess

    try:
        return subprocess.run(["sbatch"], input=script, text=True).returncode
    except FileNotFoundError:
        print(
            "mpicomp slurm: expected sbatch on PATH, and there is none; log in where Slurm is, or "
            "leave out --submit and take the script there",
            file=sys.stderr,
        )
        return 1
