"""Images: MNIST and its family from their files, and the small digits of scikit-learn."""

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmargin._checks import require_choice, shown
from jaxmargin._files import as_path

_NAME = re.compile(r"(?:(?P<name>.*)-)?(?P<split>\w+)-(?P<kind>images|labels)-idx\d-(?:ubyte|int)")
_SPLITS = {"train": ("train",), "test": ("t10k", "test")}
_DEPTHS = ("*", "*/*", "*/*/*")  # below the folder; torchvision has MNIST/raw
_SHOWN = 8  # names that a message lists

_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_TYPES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}  # of IDX, big-endian


def idx(
    folder: str | Path | None = None,
    *,
    split: Literal["train", "test"] = "train",
    name: str = "",
    classes: Sequence[int] | None = None,
) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    """Images of MNIST and its family as vectors in [0, 1]^d, from IDX files.

    The family is MNIST, Fashion-MNIST, KMNIST, QMNIST and EMNIST, by the names of their official
    files, with dots or dashes, compressed or not. They may lie up to two folders below the given
    one, as torchvision keeps them.

    Args:
        folder: where the files are, "~" included. None downloads MNIST to the user's cache and
            checks its MD5 sums (needs `jaxmargin[experiments]`).
        split: "train" or "test" (files called t10k or test).
        name: a part of the name of the set, where the folder holds several: "letters" for
            emnist-letters, "Fashion" for FashionMNIST/raw.
        classes: the labels in the files, in the order in which they become 0, ..., k - 1. The
            letters of EMNIST have classes=range(1, 27). None takes labels that count from 0.

    Returns:
        x (n, d) and integer labels (n,) in [0, k). Images of EMNIST are transposed, as its files
        have them.

    Raises:
        FileNotFoundError: the folder lacks a file, or nothing could be downloaded.
        ValueError: unknown split; several sets, or none, of this name; a file that is not IDX or is
            cut off; labels that do not count from 0, or are not among the classes.
        TypeError: folder is no path, or name no text.

    Example:
        >>> idx("no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: there is no folder no/such/folder: ...

    Reference:
        LeCun, Cortes, Burges (1998), the MNIST database. Xiao, Rasul, Vollgraf (2017),
        Fashion-MNIST. Clanuwat et al. (2018), KMNIST. Yadav, Bottou (2019), QMNIST. Cohen et al.
        (2017), EMNIST.
    """
    require_choice("split", split, _SPLITS)
    if not isinstance(name, str):
        raise TypeError(f"name must be text, got {shown(name)}")
    files = _downloaded(split) if folder is None else _found(as_path("folder", folder), split, name)
    images, labels = (_first_readable(files[kind]) for kind in ("images", "labels"))
    if labels.ndim == 2:  # QMNIST tells more of each image than its class
        labels = labels[:, 0]
    if images.ndim != 3 or labels.ndim != 1 or images.dtype != np.uint8:
        raise ValueError(
            f"the {split} files hold arrays of shapes {images.shape} and {labels.shape}, not "
            "images (n, rows, columns) of bytes and labels (n,): fetch both again"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"the {split} files hold {len(images)} images but {len(labels)} labels: "
            "fetch both again"
        )
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    return jnp.asarray(x), jnp.asarray(_numbered(labels, classes), jnp.int32)


def _numbered(labels: np.ndarray, classes: Sequence[int] | None) -> np.ndarray:
    """The labels as numbers of their classes."""
    present = np.unique(labels)
    if classes is None:
        if len(present) and present[0] != 0:
            raise ValueError(
                f"labels count from {present[0]} to {present[-1]} and not from 0: give classes, "
                f"such as classes=range({present[0]}, {present[-1] + 1})"
            )
        return labels
    known = np.array(list(classes))
    if known.ndim != 1 or not np.issubdtype(known.dtype, np.integer):
        raise ValueError(f"classes must be a list of integers, got {classes!r}")
    if len(np.unique(known)) < len(known):
        raise ValueError(f"classes must differ from one another, got {classes!r}")
    unknown = np.setdiff1d(present, known)
    if len(unknown):
        raise ValueError(f"classes must hold all labels of the files, but {unknown[0]} is not in")
    order = np.argsort(known)
    return order[np.searchsorted(known[order], labels)]


def _found(folder: Path, split: str, name: str) -> dict[str, list[Path]]:
    """The files of images and of labels, of which there may be several forms."""
    if not folder.is_dir():
        what = f"{folder} is a file" if folder.exists() else f"there is no folder {folder}"
        raise FileNotFoundError(
            f"{what}: give the folder with the IDX files, or none to download MNIST"
        )
    for depth in _DEPTHS:
        sets: dict[str, dict[str, list[Path]]] = {}
        for path in sorted(folder.glob(depth)):
            match = _NAME.fullmatch(path.name.lower().removesuffix(".gz").replace(".", "-"))
            if match and match["split"] in _SPLITS[split] and path.is_file():
                label = (path.parent.relative_to(folder) / (match["name"] or "")).as_posix()
                sets.setdefault(label, {}).setdefault(match["kind"], []).append(path)
        whole = {
            label: files
            for label, files in sets.items()
            if len(files) == 2 and name.lower() in label.lower()
        }
        if len(whole) > 1:
            raise ValueError(
                f"{folder} holds several sets, {', '.join(whole)}: give the name of one, such as "
                f"name={next(iter(whole))!r}"
            )
        if whole:
            return next(iter(whole.values()))
    held = sorted(path.name for path in folder.iterdir())
    more = ", ..." if len(held) > _SHOWN else ""
    raise FileNotFoundError(
        f"{folder} has no {_SPLITS[split][0]}-images-idx3-ubyte with its labels"
        f"{f' of a set {name!r}' if name else ''}, compressed or not; it holds "
        f"{', '.join(held[:_SHOWN]) or 'nothing'}{more}"
    )


def _first_readable(files: list[Path]) -> np.ndarray:
    """The array of the first form that can be read; the first error if there is none."""
    errors = []
    for path in files:
        try:
            return read_idx(path)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _downloaded(split: str) -> dict[str, list[Path]]:
    start = _SPLITS[split][0]
    return {
        kind: [_download_mnist(f"{start}-{kind}-idx{ndim}-ubyte.gz")]
        for kind, ndim in (("images", 3), ("labels", 1))
    }


def _download_mnist(name: str) -> Path:
    try:
        import pooch
        from requests.exceptions import RequestException
    except ImportError as error:
        raise FileNotFoundError(
            "MNIST needs a folder with its IDX files, or pip install "
            "'jaxmargin[experiments]' to download them"
        ) from error
    registry = pooch.create(
        path=pooch.os_cache("jaxmargin"), base_url=_MNIST_URL, registry=_MNIST_MD5
    )
    try:
        return Path(registry.fetch(name))
    except (RequestException, OSError) as error:
        raise FileNotFoundError(
            f"could not download {name} from {_MNIST_URL} ({type(error).__name__}): give the "
            "folder with its IDX files"
        ) from error


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file, gzip or plain; its first bytes tell which.

    Args:
        path: the file.

    Returns:
        Array of the shape and the type that the header gives, in the byte order of this machine.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an IDX file, or shorter or longer than its header says.
        TypeError: path is no path.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "two-bytes"
        >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
        >>> read_idx(file).tolist()
        [7, 9]

    Reference:
        LeCun, Cortes, Burges (1998), the IDX file format.
    """
    path = as_path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is not a whole gzip file: fetch it again") from error
    known = content[:2] == b"\0\0" and len(content) >= 4 and content[2] in _TYPES
    if not known or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"{path} is not an IDX file")
    kind, ndim = np.dtype(_TYPES[content[2]]), content[3]
    shape = tuple(np.frombuffer(content, ">u4", ndim, offset=4).tolist())
    stored = len(content) - 4 - 4 * ndim
    if stored != math.prod(shape) * kind.itemsize:
        raise ValueError(
            f"{path} says it holds {shape} numbers of {kind.itemsize} bytes but holds {stored} "
            "bytes: fetch it again"
        )
    values = np.frombuffer(content, kind.newbyteorder(">"), offset=4 + 4 * ndim)
    return values.astype(kind).reshape(shape)


def digits() -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships, as vectors in [0, 1]^64.

    Returns:
        x (1797, 64) and integer labels (1797,) in [0, 10).

    Raises:
        ImportError: scikit-learn is not installed (`pip install 'jaxmargin[experiments]'`).

    Example:
        >>> x, labels = digits()
        >>> x.shape, float(x.max())
        ((1797, 64), 1.0)

    Reference:
        Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits come with scikit-learn: pip install 'jaxmargin[experiments]'"
        ) from error
    images, labels = load_digits(return_X_y=True)
    x = np.asarray(images, np.float32) / 16
    return jnp.asarray(x), jnp.asarray(labels, jnp.int32)
