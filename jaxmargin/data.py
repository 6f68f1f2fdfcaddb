"""The data of the paper: the distribution D, teacher networks, one dimension, MNIST, digits."""

import gzip
import math
import zlib
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxmargin.networks import TwoLayer, init_two_layer, two_layer
from jaxmargin.numerics import require_count, require_positive

MAX_TEACHERS = 1000  # teachers drawn before a bound on the majority class is called too tight
MAX_BATCHES = 1000  # batches of inputs drawn before a margin is called too large
LEAST_BATCH = 256  # inputs a batch, so that ten batches without a hit mean something


def two_axis(key: PRNGKeyArray, n: int, d: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Samples of the distribution D (Wei et al. 2019, eq. 2.1).

    y = +1 puts (+-1, 0) and y = -1 puts (0, +-1) in the first two coordinates, each of the four
    with probability 1/4; the other d - 2 coordinates are uniform signs, pure noise.

    Args:
        key: random key.
        n: number of samples, >= 1.
        d: number of features, >= 2.

    Returns:
        x (n, d) with entries in {-1, 0, 1}; y (n,) in {-1, +1}.

    Raises:
        ValueError: n < 1 or d < 2.
        TypeError: n or d is not an integer.

    Example:
        >>> x, y = two_axis(jax.random.key(0), 4, 6)
        >>> x.shape, bool((jnp.abs(x[:, 0]) - jnp.abs(x[:, 1]) == y).all())
        ((4, 6), True)

    Reference:
        Wei, Lee, Liu, Ma (2019), eq. 2.1 and Figure 1.
    """
    require_count("n", n)
    require_count("d", d, least=2)
    key_label, key_sign = jax.random.split(key)
    y = jax.random.rademacher(key_label, (n,), float)
    signs = jax.random.rademacher(key_sign, (n, d), float)
    positive = (y > 0)[:, None]
    on_axis = jnp.concatenate([positive, ~positive], axis=1)
    return signs.at[:, :2].multiply(on_axis.astype(signs.dtype)), y


class TeacherSample(NamedTuple):
    """Labelled samples and the network that labelled them.

    Attributes:
        x: (n, d) inputs.
        y: (n,) labels in {-1, +1}.
        teacher: the `TwoLayer` network with y = sign f(x).
    """

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    teacher: TwoLayer


def teacher(
    key: PRNGKeyArray,
    n: int,
    *,
    d: int,
    hidden: int,
    margin: float = 0.0,
    inputs: Literal["gaussian", "sphere"] = "gaussian",
    max_majority: float = 1.0,
) -> TeacherSample:
    """Samples labelled by a random two-layer network with N(0, 1) weights (section 5, F).

    Inputs with |f(x)| < margin, or f(x) = 0, are rejected. A teacher that gives one class more
    than the fraction `max_majority` of the samples is drawn again, so that guessing cannot look
    good.

    Args:
        key: random key.
        n: number of samples, >= 1; ask for training and test samples at once and split.
        d: number of features, >= 1.
        hidden: hidden units of the teacher, >= 1.
        margin: least |f(x)| of an accepted input, >= 0.
        inputs: "gaussian" for N(0, I), "sphere" for uniform on the unit sphere.
        max_majority: largest accepted fraction of the larger class, in [0.5, 1].

    Returns:
        `TeacherSample(x, y, teacher)`.

    Raises:
        ValueError: an argument out of range, a margin that (nearly) no input has, or a bound on
            the majority class that no teacher met.
        TypeError: a count that is not an integer, or margin not a number.

    Example:
        >>> x, y, f = teacher(jax.random.key(0), 100, d=20, hidden=10, margin=0.01)
        >>> x.shape, bool((y * two_layer(f, x) >= 0.01).all())
        ((100, 20), True)

    Reference:
        Wei, Lee, Liu, Ma (2019), section 5 and appendix F.
    """
    require_count("n", n)
    require_count("d", d)
    require_count("hidden", hidden)
    require_positive("margin", margin, zero=True)
    if inputs not in ("gaussian", "sphere"):
        raise ValueError(f'inputs must be "gaussian" or "sphere", got {inputs!r}')
    if not 0.5 <= max_majority <= 1:
        raise ValueError(f"max_majority must be in [0.5, 1], got {max_majority}")
    for attempt in range(MAX_TEACHERS):
        key_teacher, key_x = jax.random.split(jax.random.fold_in(key, attempt))
        network = init_two_layer(key_teacher, d, hidden)
        x, scores = _accepted_inputs(key_x, network, n, margin, inputs)
        positive = float(jnp.mean(scores > 0))
        if max(positive, 1 - positive) <= max_majority:
            return TeacherSample(x, jnp.sign(scores), network)
    raise ValueError(
        f"none of {MAX_TEACHERS} teachers kept the larger class within max_majority = "
        f"{max_majority} of {n} samples: raise max_majority, or n"
    )


@partial(jax.jit, static_argnames=("n", "inputs"))
def _draw_inputs(key: Array, network: TwoLayer, n: int, inputs: str) -> tuple[Array, Array]:
    x = jax.random.normal(key, (n, network.u.shape[1]))
    if inputs == "sphere":
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return x, two_layer(network, x)


def _accepted_inputs(
    key: Array, network: TwoLayer, n: int, margin: float, inputs: str
) -> tuple[Array, Array]:
    """The first n of a stream of inputs with |f(x)| >= margin (and f(x) != 0)."""
    xs, scores, found, drawn = [], [], 0, 0
    batch = max(n, LEAST_BATCH)
    while found < n:
        # Ten batches without a single hit, or a thousand without enough, will not end well.
        if drawn >= MAX_BATCHES * batch or (drawn >= 10 * batch and found == 0):
            raise ValueError(
                f"only {found} of {drawn} inputs have a margin of at least {margin} on the "
                f"teacher, but {n} are needed: lower the margin"
            )
        # In NumPy: each number of accepted inputs would be a new shape for JAX to compile.
        x, score = map(
            np.asarray, _draw_inputs(jax.random.fold_in(key, drawn), network, batch, inputs)
        )
        accepted = (np.abs(score) >= margin) & (score != 0)
        xs.append(x[accepted])
        scores.append(score[accepted])
        found += int(np.sum(accepted))
        drawn += batch
    return jnp.asarray(np.concatenate(xs)[:n]), jnp.asarray(np.concatenate(scores)[:n])


def sinusoid(
    n: int, *, cycles: float = 1.5, low: float = -1.0, high: float = 1.0
) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
    """Evenly spaced points on a line, labelled by the sign of a sinusoid (appendix F.3).

    Args:
        n: number of points, >= 2; they include both ends.
        cycles: periods of the sinusoid between the ends, > 0.
        low: left end.
        high: right end, > low.

    Returns:
        x (n, 1) ascending, y (n,) in {-1, +1}; append `append_one(x)` for a bias.

    Raises:
        ValueError: n < 2, cycles not positive, or an empty interval.
        TypeError: n is not an integer, or cycles not a number.

    Example:
        >>> x, y = sinusoid(6)
        >>> y.tolist()
        [1.0, 1.0, -1.0, -1.0, 1.0, 1.0]

    Reference:
        Wei, Lee, Liu, Ma (2019), appendix F.3 and Figure 5 (which shows, but does not give,
        the labels).
    """
    require_count("n", n, least=2)
    require_positive("cycles", cycles)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low must be below high, both finite, got {low} and {high}")
    fraction = jnp.linspace(0.5 / n, 1 - 0.5 / n, n)
    y = jnp.where(jnp.sin(2 * jnp.pi * cycles * fraction) >= 0, 1.0, -1.0)
    return jnp.linspace(low, high, n)[:, None], y


MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


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
    if split not in MNIST_FILES:
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    locate = _download_mnist if path is None else partial(_find_idx, Path(path))
    images, labels = (read_idx(locate(name)) for name in MNIST_FILES[split])
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
        path=pooch.os_cache("jaxmargin"), base_url=MNIST_URL, registry=MNIST_MD5
    )
    try:
        return Path(registry.fetch(name))
    except (RequestException, OSError) as error:
        raise FileNotFoundError(
            f"could not download {name} from {MNIST_URL} ({type(error).__name__}): give the "
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
