"""What a notebook shows of the engines.

Rules of this file: text in, text out.
"""

from __future__ import annotations

from collections import Counter
from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mpicomp.notebook.engine import About


class Info:
    """Who the engines are; a table in a notebook, text elsewhere.

    Attributes
    ----------
    engines : list of (int, About)
        Engine id, and what the engine has said, in the order of the ranks.
    """

    def __init__(self, engines: list[tuple[int, About]]) -> None:
        self.engines = engines

    def __repr__(self) -> str:
        return self.title

    def __str__(self) -> str:
        lines = [f"  rank {a.rank}: engine {e}, pid {a.pid} on {a.host}" for e, a in self.engines]
        return "\n".join([self.title, *lines])

    @property
    def title(self) -> str:
        """All of it in one line."""
        hosts = Counter(about.host for _, about in self.engines)
        first = self.engines[0][1]
        where = ", ".join(f"{many} on {host}" for host, many in hosts.items())
        return (
            f"mpicomp {first.version}: {len(self.engines)} MPI ranks ({where}), "
            f"{first.library}, Python {first.python}"
        )

    def _repr_html_(self) -> str:
        rows = [(a.rank, e, a.host, a.pid, a.library, a.python) for e, a in self.engines]
        names = ("rank", "engine", "host", "pid", "MPI", "Python")
        return f"<p>{escape(self.title)}</p>{table(names, rows)}"


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table.

    Examples
    --------
    >>> table(["a"], [["<1>"]])
    '<table><tr><th>a</th></tr><tr><td>&lt;1&gt;</td></tr></table>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = ("".join(f"<td>{escape(str(value))}</td>" for value in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"
