"""Files that are written whole or not at all, and archives of arrays."""

import contextlib
import glob
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_SUFFIX = ".tmp"
_OLD = 600  # seconds after which a temporary that nothing has written to was left behind


def as_path(name: str, value: Any) -> Path:
    """The path, with the user's folder in place of "~".

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {type(value).__name__}")
    return Path(value).expanduser()


def require_writable(path: Path) -> None:
    """Raise unless a file may be written there.

    Raises:
        FileNotFoundError: there is no such folder.
        PermissionError: the folder, or the file in it, may not be written.
        IsADirectoryError: it is a folder itself.
    """
    path = path.resolve()  # a link stays, and what it names is written
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}: make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path.parent} may not be written to: choose another folder")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary neighbour that becomes `path` when the block ends well, and vanishes if not.

    Where `path` is a link, it stays one, and what it names is written. Temporaries that a killed
    process left behind there are removed.
    """
    path = path.resolve()
    prefix = f".{path.name}."
    for left in path.parent.glob(f"{glob.escape(prefix)}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _OLD:
                left.unlink()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=_SUFFIX)
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
    with path.open("rb") as file:
        try:
            stored = np.load(file)
            archive = isinstance(stored, np.lib.npyio.NpzFile)
            if archive and zipfile.ZipFile(file).testzip() is not None:  # checksums of the arrays
                raise ValueError("a damaged array")
            found = dict(stored) if archive else None
        except Exception as error:  # damaged bytes raise a dozen kinds of error
            raise ValueError(f"{path} is not an archive of arrays, or is damaged") from error
    if found is None:
        raise ValueError(f"{path} is not an archive of arrays, but a single array")
    return found
