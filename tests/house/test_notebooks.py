"""Each example notebook runs from a clean kernel, and shows what it speaks of."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.launch import NEEDED, ROOT, mpi_beside, run_python

EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SHOWN = {  # beside no error: what is to be seen in the outputs
    "getting_started": ["2 MPI ranks", "True", "in item 5 (x=5)", "<svg", "0 4950"],
    "monte_carlo": ["pi is 3.1", "psum"],
    "uneven_sweep": ["efficiency", "data:image/png;base64,", "on 64 ranks"],
}
RUN = """if True:
    import sys, nbformat, nbclient
    from traitlets.config import Config
    local = Config(KernelManager={"transport": "ipc"})  # no port to lose
    book = nbformat.read(sys.argv[1], 4)
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3", config=local).execute()
    nbformat.write(book, sys.argv[2])
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_example_notebook_runs(path: Path, tmp_path: Path) -> None:
    done = run_python(
        ["-c", RUN, path, tmp_path / path.name],
        timeout=280,
        env=NEEDED[mpi_beside()],
        cwd=tmp_path,  # the sockets lie there
    )
    assert done.returncode == 0, done.stderr
    shown = "\n".join(texts(json.loads((tmp_path / path.name).read_text())))
    for text in SHOWN[path.stem]:
        assert text in shown, f"{text!r} is not shown"
    for picture in shown.split("data:image/png;base64,")[1:]:
        assert base64.b64decode(picture.partition('"')[0]).startswith(b"\x89PNG")


def texts(book: Any) -> list[str]:
    """All that the cells have put out."""
    found = []
    for cell in book["cells"]:
        for output in cell.get("outputs", []):
            found += ["".join(output.get("text", ""))]
            found += ["".join(data) for data in output.get("data", {}).values()
                      if not isinstance(data, dict)]  # fmt: skip
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_example_notebook_is_small_and_in_the_readme(path: Path) -> None:
    book = json.loads(path.read_text())
    assert not any(cell.get("outputs") for cell in book["cells"]), "outputs are made in CI"
    assert f"[{path.name}]({path.name})" in (EXAMPLES / "README.md").read_text()
    assert path.stem in SHOWN
