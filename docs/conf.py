"""Sphinx: `sphinx-build -W --keep-going docs docs/_build`."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the checkout that this file belongs to

from docs import api_pages  # noqa: E402

project = "jaxmargin"
release = version = installed_version("jaxmargin")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "jaxmargin"
html_show_copyright = False
html_static_path = [str(DOCS / "static")]
html_css_files = ["site.css"]
mathjax_path = "mathjax/tex-chtml.js"  # in the site itself, by sphinx-mathjax-offline
nb_execution_mode = "off"  # the notebooks of the gallery hold their output
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "colon_fence"]
autodoc_typehints = "none"  # shapes stand in each docstring
autodoc_preserve_defaults = True  # jax.nn.relu, not the object that it is
napoleon_use_ivar = True
napoleon_attr_annotations = False
default_role = "code"  # docstrings write `code` with single backticks


def write_api_pages(app):
    """Write what has changed, so that a second build reads only that again."""
    folder = DOCS / "api"
    folder.mkdir(exist_ok=True)
    for name, text in api_pages.pages().items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def skip_tuple_fields(app, what, name, obj, skip, options):
    """A NamedTuple documents its fields under `Attributes`: the fields themselves say nothing."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def escape_plain_mathematics(app, what, name, obj, options, lines):
    """Docstrings hold formulas such as ||Theta||**2: no markup outside backticks and examples.

    An arrow becomes one character, which no line breaks in two.
    """
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            pieces = re.split(r"(`[^`]*`)", line)
            pieces[::2] = [
                re.sub(r"([|*])", r"\\\1", piece).replace(" -> ", " → ") for piece in pieces[::2]
            ]
            lines[i] = "".join(pieces)


def setup(app):
    """Formulas are escaped before napoleon (priority 500), whose own markup must stay."""
    app.connect("builder-inited", write_api_pages)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("autodoc-process-docstring", escape_plain_mathematics, priority=400)
