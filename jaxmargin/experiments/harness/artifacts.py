"""What an experiment leaves on disk: its two files, and the finished parts of a run under way."""

import contextlib
import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmargin._files import load_arrays, save_arrays, written_whole
from jaxmargin.experiments.harness.experiment import Claim, Series

VERSIONED = ("jaxmargin", "jax", "jaxlib", "numpy", "optax", "scipy", "matplotlib")


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
    found = {name: version(name) for name in VERSIONED}
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        **found,
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
    }


def save(
    folder: Path, name: str, settings: Any, series: Series, claims: list[Claim], figure: Figure
) -> list[Path]:
    """Write `<name>.png` and `<name>.json` into the folder: both, or neither.

    Args:
        folder: an existing folder.
        name: stem of both files.
        settings: the dataclass of settings, with the seed.
        series: every array of the run.
        claims: the statements and the numbers.
        figure: the picture.

    Returns:
        The two paths.
    """
    record = {
        "experiment": name,
        "settings": asdict(settings),
        "versions": versions(),
        "claims": [claim._asdict() for claim in claims],
        "series": {key: to_json(value) for key, value in series.items()},
    }
    png, text = folder / f"{name}.png", folder / f"{name}.json"
    with written_whole(png) as picture, written_whole(text) as data:
        figure.savefig(picture, format="png")
        data.write_text(json.dumps(record, indent=1, allow_nan=False))
    return [png, text]


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
        """Forget all parts, since the run has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)
