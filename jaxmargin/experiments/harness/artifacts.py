"""What an experiment leaves on disk: its files, and the finished parts of a run under way."""

import contextlib
import hashlib
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmargin import __version__
from jaxmargin._files import load_arrays, require_writable, save_arrays, written_whole
from jaxmargin.experiments.harness.experiment import Claim, Series

PICTURES = ("png", "svg", "pdf")
_STALE = 30 * 24 * 3600  # seconds after which parts that nobody took up are removed
VERSIONED = ("jax", "jaxlib", "numpy", "optax", "scipy", "matplotlib")


def prepare_folder(path: Path) -> Path:
    """Make a folder if need be, and see that files can be written in it.

    Args:
        path: the folder.

    Returns:
        The same path.

    Raises:
        OSError: the folder cannot be made or written in, or a file has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        reason = error.strerror or "not a folder"
        raise OSError(f"cannot write in the folder {path} ({reason}): choose another --out") from (
            error
        )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute, and the devices that they run on."""
    found = {"jaxmargin": __version__} | {name: version(name) for name in VERSIONED}
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        **found,
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
    }


def finished(folder: Path, name: str, settings: Any) -> list[Claim] | None:
    """The claims of a run with these settings and versions whose files are there, if there is one.

    Args:
        folder: where results go.
        name: the experiment's name.
        settings: the dataclass of settings, with the seed.
    """
    record = _read(_paths(folder, name)[-1])
    if record is None or not all(path.exists() for path in _paths(folder, name)):
        return None
    same = record["settings"] == _plain(settings) and record["versions"] == versions()
    return [Claim(**claim) for claim in record["claims"]] if same else None


def require_free(folder: Path, name: str, settings: Any) -> None:
    """Raise where files of another run would be lost, or cannot be written.

    Args:
        folder: an existing folder.
        name: the experiment's name.
        settings: of the run to come; a run with the same settings may replace the files.

    Raises:
        ValueError: the files are those of a run with other settings.
        OSError: one of the files cannot be written, or a folder has its name.
    """
    *pictures, text = _paths(folder, name)
    for path in (*pictures, text):
        require_writable(path)
    if not text.exists():
        return
    record, now = _read(text), _plain(settings)
    if record is None:
        raise ValueError(f"{text} is no record of a run: --force overwrites it")
    before = record["settings"]
    apart = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if apart:
        there = ", ".join(f"{key} = {before.get(key)}" for key in apart[:3])
        raise ValueError(
            f"{text} is of other settings ({there}{', ...' if len(apart) > 3 else ''}): "
            "choose another --out, or overwrite it by --force"
        )


def _paths(folder: Path, name: str) -> list[Path]:
    """The files of an experiment; the last one has the numbers."""
    return [folder / f"{name}.{ending}" for ending in (*PICTURES, "json")]


def _read(path: Path) -> dict[str, Any] | None:
    """A record that `save` wrote; None for any other file, and where there is none."""
    try:
        record = json.loads(path.read_text())
        known = {"settings", "versions", "claims"} <= record.keys()
    except (OSError, ValueError, AttributeError):
        return None
    return record if known else None


def _plain(settings: Any) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return json.loads(json.dumps(asdict(settings)))


def save(
    folder: Path, name: str, settings: Any, series: Series, claims: list[Claim], figure: Figure
) -> list[Path]:
    """Write the picture as PNG, SVG and PDF, and the numbers as JSON: all files, or none.

    Args:
        folder: an existing folder.
        name: stem of the files.
        settings: the dataclass of settings, with the seed.
        series: every array of the run.
        claims: the statements and the numbers.
        figure: the picture.

    Returns:
        The paths; that of the JSON file is the last one.

    Raises:
        OSError: one of the files cannot be written, or a folder has its name.
    """
    record = {
        "experiment": name,
        "settings": asdict(settings),
        "versions": versions(),
        "claims": [claim._asdict() for claim in claims],
        "series": {key: to_json(value) for key, value in series.items()},
    }
    paths = _paths(folder, name)
    for path in paths:
        require_writable(path)
    with contextlib.ExitStack() as files:
        *pictures, text = [files.enter_context(written_whole(path)) for path in paths]
        for ending, picture in zip(PICTURES, pictures, strict=True):
            undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[ending]
            figure.savefig(picture, format=ending, metadata=undated)
        text.write_text(json.dumps(record, indent=1, allow_nan=False))
    return paths


def to_json(values: np.ndarray) -> Any:
    """An array as nested lists; numbers that are not finite, which JSON lacks, become null."""
    array = np.asarray(values)
    listed = array.astype(object)
    if np.issubdtype(array.dtype, np.floating):
        listed[~np.isfinite(array)] = None
    return listed.tolist()


class Parts:
    """The finished parts of a run that has not ended, so that it can go on when interrupted.

    Args:
        folder: where results go; the parts lie in a hidden folder within, until `clear`.
        name: the experiment's name.
        settings: of the run; a later run takes up the parts only with the same settings and
            versions.
    """

    def __init__(self, folder: Path, name: str, settings: Any):
        identity = json.dumps([name, asdict(settings), versions()], sort_keys=True)
        self._folder = folder / f".{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    def get(self, name: str, compute: Callable[[], Series]) -> Series:
        """The stored part of this name, or the result of `compute()`, which is then stored."""
        path = self._folder / f"{name}.npz"
        with contextlib.suppress(FileNotFoundError, ValueError):
            return load_arrays(path)
        series = compute()
        self._folder.mkdir(exist_ok=True)
        save_arrays(path, series)
        return series

    def clear(self) -> None:
        """Forget all parts, since the run has ended; and those of others that nobody took up."""
        shutil.rmtree(self._folder, ignore_errors=True)
        named = self._folder.name[:-12] + 12 * "[0-9a-f]"
        for other in self._folder.parent.glob(named):
            with contextlib.suppress(OSError):
                if time.time() - other.stat().st_mtime > _STALE:
                    shutil.rmtree(other, ignore_errors=True)
