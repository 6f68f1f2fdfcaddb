"""Images: MNIST from its files, and the small digits of scikit-learn."""

import gzip
import math
import zlib
from functools import partial
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def mnist(
    path: str | Path | None = None, *, split: Literal["train", "test"] = "train"
) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    """MNIST images as vectors in [0, 1]^784, from a folder or downloaded once and verified.

    Args:
        path: folder with the original IDX files (gzip or unpacked); None downloads them to the
            user's cache and checks their MD5 sums (needs `jaxmargin[experiments]`).
        split: "train" (60,000 images in the official file) or "test" (10,000).

    Returns:
        x (n, 784) and integer labels (n,) in [0, 10).

    Raises:
        FileNotFoundError: the folder lacks a file, or nothing could be downloaded.
        ValueError: unknown split, or a file that is not IDX or is cut off.

    Example:
        >>> mnist("no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: no/such/folder has no train-images-idx3-ubyte.gz ...

    Reference:
        LeCun, Cortes, Burges (1998), the MNIST database.
    """
    if split not in _MNIST_FILES:
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    locate = _download_mnist if path is None else partial(_find_idx, Path(path))
    images, labels = (read_idx(locate(name)) for name in _MNIST_FILES[split])
    if images.ndim != 3 or labels.ndim != 1:
        raise ValueError(
            f"the {split} files hold arrays of shapes {images.shape} and {labels.shape}, not "
            "images (n, rows, columns) and labels (n,): fetch both again"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"the {split} files hold {len(images)} images but {len(labels)} labels: "
            "fetch both again"
        )
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    return jnp.asarray(x), jnp.asarray(labels.astype(np.int32))


def _find_idx(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / name.removesuffix(".gz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"{folder} has no {name} (nor {name.removesuffix('.gz')}): give the folder with "
        "MNIST's four IDX files, or no path to download them"
    )


def _download_mnist(name: str) -> Path:
    try:
        import pooch
        from requests.exceptions import RequestException
    except ImportError as error:
        raise FileNotFoundError(
            "MNIST needs a folder with its four IDX files, or pip install "
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
            "folder with MNIST's four IDX files"
        ) from error


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzip or plain.

    Args:
        path: the file; gzip if its name ends in .gz.

    Returns:
        uint8 array of the shape that the header gives.

    Raises:
        ValueError: not an IDX file of bytes, or shorter or longer than its header says.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "two-bytes"
        >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
        >>> read_idx(file).tolist()
        [7, 9]

    Reference:
        LeCun, Cortes, Burges (1998), the IDX file format.
    """
    path = Path(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: fetch it again") from error
    if content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    ndim = content[3]
    shape = tuple(np.frombuffer(content, ">u4", ndim, offset=4).tolist())
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)
    if values.size != math.prod(shape):
        raise ValueError(
            f"{path} says it holds {shape} bytes but holds {values.size}: fetch it again"
        )
    return values.reshape(shape)


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
