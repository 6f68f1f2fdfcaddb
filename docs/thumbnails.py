"""The small pictures of the gallery. `python -m docs.thumbnails` makes them from the notebooks.

They are committed, so that the gallery and the start page show them on a git host too.
"""

import base64
import io
import json
from pathlib import Path

from PIL import Image

GALLERY = Path(__file__).parent / "gallery"
FOLDER = GALLERY / "thumbnails"
SIZE = (480, 320)


def thumbnail(notebook: Path) -> Image.Image:
    """The last picture of a notebook, shrunk to fit into a white rectangle that is always alike."""
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    shown = [data["image/png"] for data in outputs if "image/png" in data]
    picture = Image.open(io.BytesIO(base64.b64decode(shown[-1]))).convert("RGB")
    scale = min(small / large for small, large in zip(SIZE, picture.size, strict=True))
    width, height = (round(scale * side) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    made = Image.new("RGB", SIZE, "white")
    made.paste(small, ((SIZE[0] - width) // 2, (SIZE[1] - height) // 2))
    return made


def main() -> None:
    """Write one picture for each notebook of the gallery."""
    FOLDER.mkdir(exist_ok=True)
    for notebook in sorted(GALLERY.glob("*.ipynb")):
        few_colors = thumbnail(notebook).quantize(64)
        few_colors.save(FOLDER / f"{notebook.stem}.png", optimize=True)


if __name__ == "__main__":
    main()
