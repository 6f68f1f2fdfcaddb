"""Sphinx: `sphinx-build -W --keep-going docs docs/_build`."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # the checkout that this file belongs to

from docs import api_pages, docstrings  # noqa: E402

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
napoleon_custom_sections = ["Reference"]
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


def prepare_docstring(app, what, name, obj, options, lines):
    """Formulas and examples of a docstring stay as they are written."""
    lines[:] = docstrings.prepared(lines)


def call_fields_by_their_name(app, doctree):
    """Results are NamedTuples: what Sphinx calls variables are their fields."""
    for name in doctree.findall(nodes.field_name):
        if name.astext() == "Variables":
            name.children = [nodes.Text("Fields")]


def link_pictures(app, doctree):
    """A picture that fills the page leads to its file, to be enlarged on a phone.

    Sphinx makes such links for pictures that have a width. The pictures of the gallery are small,
    and those that stand within a link have one.
    """
    if not app.env.docname.startswith("gallery/"):
        for image in doctree.findall(nodes.image):
            if isinstance(image.parent, nodes.paragraph):
                image.setdefault("width", "100%")


def setup(app):
    """Docstrings are prepared before napoleon (priority 500), whose own markup must stay."""
    app.connect("builder-inited", write_api_pages)
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("doctree-read", link_pictures)
    app.connect("doctree-read", call_fields_by_their_name)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)
