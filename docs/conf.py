"""How the documentation is built: ``python -m tests --docs`` does it, warnings being errors."""

from mpicomp._version import version

project = "mpicomp"
author = "the mpicomp developers"
copyright = "the mpicomp developers"
release = version

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "pictures"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

default_role = "code"  # docstrings name what is not in the reference, too
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"mpicomp {version}"
html_static_path: list[str] = []
