"""Who holds which item, as a coloured map for notebooks.

Rules of this file: pure; HTML with a picture in it that needs no script and no other file.
"""

from __future__ import annotations

from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.plan.decomposition import Decomposition

_ROW, _ROWS = 32, 8  # items in a row, and rows
_WIDE, _HIGH = 24, 22  # pixels of an item
_NAMED = 16  # ranks in the table


def html(layout: Decomposition) -> str:
    """Each item as a box in the colour of the rank that holds it, and how many each rank holds.

    Of more items than there is room for, a few hundred are shown, at equal distances.

    Examples
    --------
    >>> from mpicomp.plan.decomposition import Block
    >>> text = html(Block(5, 2))
    >>> text.count("<rect"), text.count(colour(0, 2)) - 1  # one box is in the table
    (5, 3)
    """
    return f"<div><p>{escape(caption(layout))}</p>{_map(layout)}{_table(layout)}</div>"


def shown(n: int) -> range:
    """The items that are drawn.

    Examples
    --------
    >>> shown(10), len(shown(10**9)) <= 256
    (range(0, 10), True)
    """
    return range(0, n, -(-n // (_ROW * _ROWS)) or 1)


def caption(layout: Decomposition) -> str:
    """What is drawn, in one line."""
    step = shown(layout.n).step
    every = "" if step == 1 else f"; every {step}th item is shown"
    return f"{layout!r}: {layout.n} items on {layout.p} ranks; the number is an item's rank{every}"


def colour(rank: int, p: int) -> str:
    """Of one of *p* ranks: neighbours in number differ in shade, and ranks far apart in hue."""
    return f"hsl({360 * rank // p},60%,{(72, 84)[rank % 2]}%)"


def _map(layout: Decomposition) -> str:
    boxes = []
    for place, item in enumerate(shown(layout.n)):
        row, column = divmod(place, _ROW)
        owner = int(layout.owner(item))
        x, y = column * _WIDE, row * _HIGH
        boxes.append(
            f'<rect x="{x}" y="{y}" width="{_WIDE - 1}" height="{_HIGH - 1}" '
            f'fill="{colour(owner, layout.p)}"><title>item {item}: rank {owner}</title></rect>'
            f'<text x="{x + _WIDE // 2}" y="{y + 15}" text-anchor="middle" font-size="10">'
            f"{owner}</text>"
        )
    rows = -(-len(boxes) // _ROW)
    size = f'width="{min(len(boxes), _ROW) * _WIDE}" height="{rows * _HIGH}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(boxes)}</svg>'


def _table(layout: Decomposition) -> str:
    ranks = range(min(layout.p, _NAMED))
    names = "".join(
        f'<td style="background:{colour(rank, layout.p)};color:black">rank {rank}</td>'
        for rank in ranks
    )
    counts = "".join(f"<td>{layout.count(rank)}</td>" for rank in ranks)
    more = f"<td>… {layout.p} ranks</td>" if layout.p > _NAMED else ""
    return f"<table><tr>{names}{more}</tr><tr>{counts}</tr></table>"
