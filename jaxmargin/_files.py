"""Files that are written whole or not at all, and archives of arrays."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary neighbour that becomes `path` when the block ends well, and vanishes if not."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive of named arrays (NumPy's .npz), whole or not at all."""
    with written_whole(path) as temporary, temporary.open("wb") as file:
        # Its own option allow_pickle is younger than the oldest NumPy that is supported.
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that `save_arrays` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not such an archive, or is damaged.
    """
    try:
        with path.open("rb") as file:
            stored = np.load(file)
            if isinstance(stored, np.lib.npyio.NpzFile):
                return dict(stored)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not an archive of arrays") from error
    raise ValueError(f"{path} is not an archive of arrays, but a single array")
