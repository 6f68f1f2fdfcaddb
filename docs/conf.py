"""Sphinx: `sphinx-build -W --keep-going docs docs/_build`."""

import re
from importlib.metadata import version as installed_version

project = "jaxmargin"
release = version = installed_version("jaxmargin")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jaxmargin"
myst_enable_extensions = ["dollarmath", "colon_fence"]
autodoc_typehints = "none"  # shapes stand in each docstring
napoleon_use_ivar = True
napoleon_attr_annotations = False
default_role = "code"  # docstrings write `code` with single backticks


def escape_plain_mathematics(app, what, name, obj, options, lines):
    """Docstrings hold formulas such as ||Theta||**2: no markup outside backticks and examples."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            pieces = re.split(r"(`[^`]*`)", line)
            pieces[::2] = [re.sub(r"([|*])", r"\\\1", piece) for piece in pieces[::2]]
            lines[i] = "".join(pieces)


def setup(app):
    """Run before napoleon (priority 500), whose own markup must stay."""
    app.connect("autodoc-process-docstring", escape_plain_mathematics, priority=400)
