"""The documentation: its examples are true, its links lead somewhere, its site can be built."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import mpicomp
from tests.launch import ROOT, run_python, run_ranks

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_examples_on_pages_are_true(page: Path) -> None:
    assert not doctest.testfile(str(page), module_relative=False).failed


@each_page
def test_links_lead_to_files(page: Path) -> None:
    found = [link for link in LINK.findall(page.read_text()) if ":" not in link]
    assert not [link for link in found if not (page.parent / link).exists()]


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text()
    directives = re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE)  # not of submodules
    assert sorted(directives) == sorted(set(mpicomp.__all__) - {"__version__"})


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = run_python(
        ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path],
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "plist" in (tmp_path / "reference.html").read_text()


def test_the_pictures_can_be_made(tmp_path: Path) -> None:
    script = ROOT / "docs" / "pictures" / "make.py"
    done = run_python([script, "owners", "chunks", "--to", tmp_path])
    assert done.returncode == 0, done.stderr
    done = run_ranks(2, [script, "gantt", "--to", tmp_path])
    assert done.returncode == 0, done.stderr
    shown = {path.name for path in script.parent.glob("*.png")}
    assert {path.name for path in tmp_path.iterdir()} == shown - {"scaling.png"}  # takes long
