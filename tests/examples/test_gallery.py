"""The examples of the gallery: script and notebook agree, and the script prints what is shown."""

import contextlib
import io
import json
import re
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from docs import thumbnails
from tests.examples.pages import check_output

jupytext = pytest.importorskip("jupytext", reason="needs jaxmargin[docs]")

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
SCRIPTS = sorted(GALLERY.glob("scripts/*.py"))

LONG = {"kernel_against_network", "large_kernel"}

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
each_run = pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, marks=[pytest.mark.slow] if script.stem in LONG else [])
        for script in SCRIPTS
    ],
    ids=lambda path: path.stem,
)


def cells(script: Path) -> list[dict]:
    """The cells of the notebook that was made from a script."""
    return json.loads((GALLERY / f"{script.stem}.ipynb").read_text())["cells"]


def code_of(script: Path) -> list[str]:
    return [cell.source for cell in jupytext.read(script).cells if cell.cell_type == "code"]


@each_script
def test_a_notebook_has_the_cells_of_its_script(script: Path):
    expected = [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells(script)] == expected


@each_script
def test_a_notebook_shows_a_picture(script: Path):
    outputs = [output for cell in cells(script) for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)


@each_script
def test_a_thumbnail_is_the_picture_of_its_notebook(script: Path):
    made = np.asarray(thumbnails.thumbnail(GALLERY / f"{script.stem}.ipynb"), float)
    with Image.open(thumbnails.FOLDER / f"{script.stem}.png") as kept:
        apart = np.abs(np.asarray(kept.convert("RGB"), float) - made)
    assert apart.mean() < 2  # of 255: the colors were reduced to 64


@each_run
def test_a_script_prints_what_its_notebook_shows(script: Path, optimized, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    shown = [
        "".join(text)
        for cell in cells(script)
        for output in cell.get("outputs", [])
        if (text := output.get("text")) and output["name"] == "stdout"
    ]
    printed, names = io.StringIO(), {"__name__": "__main__"}
    with (
        contextlib.redirect_stdout(printed),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        for code in code_of(script):
            exec(compile(code, str(script), "exec"), names)
    check_output(printed.getvalue(), "".join(shown))


def test_every_notebook_has_its_script_and_its_line_in_the_index():
    names = [script.stem for script in SCRIPTS]
    assert sorted(path.stem for path in GALLERY.glob("*.ipynb")) == names
    index = (GALLERY / "index.md").read_text()
    assert [name for name in names if f"({name}.ipynb)" not in index] == []
    assert [name for name in names if f"\n{name}\n" not in index] == []


def test_gallery_and_start_page_show_a_picture_of_each_notebook():
    for page, folder in ((GALLERY / "index.md", ""), (GALLERY.parent / "index.md", "gallery/")):
        shown = re.findall(
            rf"!\[.+?\]\({folder}thumbnails/(\w+)\.png\)<br>.+?\]\({folder}\1\.ipynb\)",
            page.read_text(),
        )
        assert sorted(shown) == [script.stem for script in SCRIPTS]
    assert sorted(path.stem for path in thumbnails.FOLDER.iterdir()) == sorted(shown)
