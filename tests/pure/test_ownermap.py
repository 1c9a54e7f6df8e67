"""The owner map of a notebook: well-formed, all boxes seen, each in the colour of its rank."""

from __future__ import annotations

import colorsys
import re
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic, Decomposition
from mpicomp.plan.ownermap import colour, shown

SVG = "{http://www.w3.org/2000/svg}"
CONTRAST = 7  # of the black numbers on a colour, as the Web Content Accessibility Guidelines ask


def layouts() -> st.SearchStrategy[Decomposition]:
    n, p, b = st.integers(0, 2000), st.integers(1, 300), st.integers(1, 50)
    return st.builds(Block, n, p) | st.builds(Cyclic, n, p) | st.builds(BlockCyclic, n, p, b)


def rgb(text: str) -> tuple[float, float, float]:
    found = re.fullmatch(r"hsl\((\d+),(\d+)%,(\d+)%\)", text)
    assert found is not None, text
    hue, saturation, lightness = map(int, found.groups())
    return colorsys.hls_to_rgb(hue / 360, lightness / 100, saturation / 100)


@given(layouts())
def test_each_box_is_seen_and_tells_its_owner(layout: Decomposition) -> None:
    page = ElementTree.fromstring(layout._repr_html_())
    picture = page.find(f"{SVG}svg")
    assert picture is not None
    wide, high = int(picture.get("width", "")), int(picture.get("height", ""))
    assert wide <= 800  # a notebook's cell is wider
    assert high <= 200
    boxes, numbers = picture.findall(f"{SVG}rect"), picture.findall(f"{SVG}text")
    places = set()
    for item, box, number in zip(shown(layout.n), boxes, numbers, strict=True):
        owner = layout.owner(item)
        x, y, w, h = (int(box.get(name, "")) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + w <= wide
        assert 0 <= y < y + h <= high
        assert x < int(number.get("x", "")) < x + w
        assert box.get("fill") == colour(int(owner), layout.p)
        assert box.findtext(f"{SVG}title") == f"item {item}: rank {owner}"
        assert number.text == str(owner)
        places.add((x, y))
    assert len(places) == len(boxes), "none is on another"


@given(st.integers(1, 300))
def test_colours_can_be_told_apart_and_read_on(p: int) -> None:
    colours = [rgb(colour(rank, p)) for rank in range(p)]
    for one, next_one in pairwise(colours):
        assert max(abs(a - b) for a, b in zip(one, next_one, strict=True)) > 0.09
    for each in colours:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in each]
        red, green, blue = linear
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert (luminance + 0.05) / 0.05 >= CONTRAST
