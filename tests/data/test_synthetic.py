"""Statistics of the random data (k standard errors, fixed seeds), readers and their errors."""

import gzip
import hashlib
import math
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pooch
import pytest
import requests

import jaxmargin as jm
from jaxmargin import data
from jaxmargin.data import images

K = 4.5  # standard errors allowed to each of some hundred statistics of a correct sampler


@pytest.fixture(scope="module")
def axes_sample() -> tuple[np.ndarray, np.ndarray]:
    x, y = data.two_axis(jax.random.key(0), 20_000, 6)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def test_two_axis_has_the_structure_of_equation_2_1(axes_sample):
    x, y = axes_sample
    assert set(np.unique(y)) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.abs(x[:, 0]), y == 1)
    np.testing.assert_array_equal(np.abs(x[:, 1]), y == -1)
    np.testing.assert_array_equal(np.abs(x[:, 2:]), 1.0)


def test_two_axis_puts_a_quarter_on_each_of_the_four_cases(axes_sample):
    x, _ = axes_sample
    n = len(x)
    for head in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        share = np.mean((x[:, :2] == head).all(1))
        assert abs(share - 0.25) < K * math.sqrt(0.25 * 0.75 / n), head


def test_two_axis_noise_is_fair_and_independent(axes_sample):
    """Each noise bit, and each product of two, with y or with the signal's sign: mean 0."""
    x, y = axes_sample
    signs = np.column_stack([y, x[:, 0] + x[:, 1], x[:, 2:]])
    n, columns = signs.shape
    moments = signs.T @ signs / n
    off_diagonal = moments[~np.eye(columns, dtype=bool)]
    assert np.abs(signs.mean(0)).max() < K / math.sqrt(n)
    assert np.abs(off_diagonal).max() < K / math.sqrt(n)
    triples = [np.mean(y * x[:, i] * x[:, j]) for i in range(2, 6) for j in range(2, i)]
    assert np.abs(triples).max() < K / math.sqrt(n)
    # Nor do the labels reappear among the signs of other samples, as from a key used twice.
    assert abs(np.mean(y * x.ravel()[:n])) < K / math.sqrt(n)


def test_two_axis_without_noise_and_in_float64():
    x, _ = data.two_axis(jax.random.key(1), 5, 2)
    assert x.shape == (5, 2)
    with jax.enable_x64(True):
        x, y = data.two_axis(jax.random.key(1), 5, 3)
        assert x.dtype == y.dtype == jnp.float64


@pytest.mark.parametrize("inputs", ["gaussian", "sphere"])
def test_teacher_labels_by_the_sign_and_respects_the_margin(inputs):
    x, y, network = data.teacher(
        jax.random.key(2), 300, d=5, hidden=4, margin=0.3, inputs=inputs, max_majority=0.6
    )
    u, w = (np.asarray(leaf, np.float64) for leaf in network)
    scores = np.maximum(np.asarray(x, np.float64) @ u.T, 0) @ w
    assert (x.shape, y.shape, u.shape) == ((300, 5), (300,), (4, 5))
    np.testing.assert_array_equal(y, np.sign(scores))
    assert np.abs(scores).min() >= 0.3 * (1 - 1e-5)
    assert np.mean(np.asarray(y) == 1) == pytest.approx(0.5, abs=0.1)
    assert len(np.unique(x, axis=0)) == 300


def test_gaussian_inputs_have_gaussian_moments():
    """Moments 1 to 4 of N(0, 1), whose standard errors are sqrt(1, 2, 15, 96) / sqrt(n)."""
    x = np.asarray(data.teacher(jax.random.key(3), 4000, d=5, hidden=60).x, np.float64)
    n = x.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(x**power) - moment) < K * math.sqrt(variance / n), power
    products = np.asarray(x).T @ x / len(x)
    assert np.abs(products - np.diag(np.diag(products))).max() < K / math.sqrt(len(x))


def test_sphere_inputs_are_uniform_on_the_unit_sphere():
    """E[x] = 0, E[x x^T] = I / d, E[x_1^4] = 3 / (d (d + 2))."""
    d = 5
    x = data.teacher(jax.random.key(4), 4000, d=d, hidden=60, inputs="sphere").x
    x = np.asarray(x, np.float64)
    n = len(x)
    fourth = 3 / (d * (d + 2))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-6)
    assert np.abs(x.mean(0)).max() < K / math.sqrt(d * n)
    second = x.T @ x / n
    assert np.abs(second - np.eye(d) / d).max() < K * math.sqrt(fourth / n)
    eighth = 105 / (d * (d + 2) * (d + 4) * (d + 6))
    assert np.abs(np.mean(x**4, axis=0) - fourth).max() < K * math.sqrt(eighth / n)


def test_max_majority_is_respected_and_needed():
    keys = jax.random.split(jax.random.key(5), 8)

    def majority(key, bound: float) -> float:
        y = data.teacher(key, 200, d=3, hidden=2, max_majority=bound).y
        return max(float(np.mean(y == 1)), float(np.mean(y == -1)))

    assert max(majority(key, 1.0) for key in keys) > 0.65
    assert max(majority(key, 0.55) for key in keys) <= 0.55


def test_few_samples_at_a_rare_margin():
    """One input in about ten has this margin: a single one must still be found."""
    for seed in range(10):
        x, y, f = data.teacher(jax.random.key(seed), 1, d=3, hidden=3, margin=3.0)
        assert float((y * jm.two_layer(f, x))[0]) > 3 * (1 - 1e-5)


@pytest.mark.parametrize(
    "sample",
    [
        lambda key: data.two_axis(key, 20, 5),
        lambda key: data.teacher(key, 20, d=5, hidden=3, margin=0.1),
        lambda key: data.teacher(key, 20, d=5, hidden=3, inputs="sphere", max_majority=0.7),
    ],
)
def test_the_key_determines_the_sample(sample):
    first, again, other = (sample(jax.random.key(seed)) for seed in (7, 7, 8))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first[0], other[0])


def test_sinusoid_alternates_in_equal_runs():
    """2 cycles of 40 points: four half waves of ten points, the first positive."""
    x, y = data.sinusoid(40, cycles=2.0, low=-3.0, high=5.0)
    np.testing.assert_allclose(x[:, 0], np.linspace(-3, 5, 40), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y, np.repeat([1.0, -1.0, 1.0, -1.0], 10))


def idx_bytes(array: np.ndarray) -> bytes:
    shape = np.asarray(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


IMAGES = np.arange(12).reshape(3, 2, 2) * 20
LABELS = np.array([7, 0, 9])


def write_mnist(folder: Path, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> Path:
    """One split zipped and one plain, as the reader takes both."""
    for split, (image_name, label_name) in images.MNIST_FILES.items():
        for name, array in ((image_name, images), (label_name, labels)):
            if split == "train":
                (folder / name).write_bytes(gzip.compress(idx_bytes(array)))
            else:
                (folder / name.removesuffix(".gz")).write_bytes(idx_bytes(array))
    return folder


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_from_a_folder(tmp_path: Path, split):
    for folder in (write_mnist(tmp_path), str(tmp_path)):
        x, labels = data.mnist(folder, split=split)
        np.testing.assert_allclose(x, IMAGES.reshape(3, 4) / 255, rtol=1e-6)
        np.testing.assert_array_equal(labels, LABELS)
        assert (x.dtype, labels.dtype) == (jnp.float32, jnp.int32)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0,)])
def test_idx_files_round_trip(tmp_path: Path, shape: tuple[int, ...]):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    (tmp_path / "plain").write_bytes(idx_bytes(array))
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(idx_bytes(array)))
    for name in ("plain", "zipped.gz"):
        read = data.read_idx(tmp_path / name)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, array)


WHOLE = idx_bytes(IMAGES)
ZIPPED = gzip.compress(WHOLE)
BROKEN_FILES = {
    "cut off": ("a", WHOLE[:-1], r"says it holds \(3, 2, 2\) bytes but holds 11: fetch it again"),
    "trailing bytes": ("a", WHOLE + b"\0", "but holds 13: fetch it again"),
    "cut off in the header": ("a", WHOLE[:9], "is not an IDX file"),
    "empty": ("a", b"", "is not an IDX file"),
    "floats": ("a", b"\x00\x00\x0d" + WHOLE[3:], "is not an IDX file of unsigned bytes"),
    "a web page": ("a", b"<html>404 Not Found</html>", "is not an IDX file"),
    "cut off gzip": ("a.gz", ZIPPED[:-9], "is not a whole gzip file: fetch it again"),
    "damaged gzip": ("a.gz", ZIPPED[:10] + b"\xff" + ZIPPED[11:], "is not a whole gzip file"),
    "gzip with a tail": ("a.gz", ZIPPED + b"tail", "is not a whole gzip file"),
    "not gzip": ("a.gz", WHOLE, "is not a whole gzip file"),
}


@pytest.mark.parametrize(
    ("name", "content", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys()
)
def test_broken_idx_files(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.read_idx(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, LABELS[:2], "hold 3 images but 2 labels: fetch both again"),
        (IMAGES, IMAGES, r"not images \(n, rows, columns\) and labels \(n,\)"),
        (LABELS, LABELS, r"not images \(n, rows, columns\) and labels \(n,\)"),
    ],
)
def test_mnist_files_that_do_not_belong_together(tmp_path: Path, images, labels, message: str):
    with pytest.raises(ValueError, match=message):
        data.mnist(write_mnist(tmp_path, images, labels))


def test_mnist_without_a_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_, **__):
        raise requests.exceptions.ConnectionError("a long story\nof several lines")

    monkeypatch.setattr(pooch.Pooch, "fetch", refuse)
    with pytest.raises(FileNotFoundError, match=r"could not download .* give the folder") as caught:
        data.mnist()
    assert "\n" not in str(caught.value)


def test_mnist_downloads_each_file_once_with_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_mnist(tmp_path)
    asked = []

    def fetch(registry: pooch.Pooch, name: str) -> str:
        assert registry.registry[name] == images.MNIST_MD5[name]
        asked.append(name)
        return str(tmp_path / name)

    monkeypatch.setattr(pooch.Pooch, "fetch", fetch)
    assert data.mnist()[0].shape == (3, 4)
    assert asked == list(images.MNIST_FILES["train"])


@pytest.mark.parametrize(
    ("module", "load", "error"),
    [
        ("pooch", data.mnist, FileNotFoundError),
        ("sklearn.datasets", data.digits, ImportError),
    ],
)
def test_without_the_optional_packages(monkeypatch, module: str, load, error):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(error, match=r"pip install 'jaxmargin\[experiments\]'"):
        load()


MNIST_FOLDER = os.environ.get("JAXMARGIN_MNIST", "")
TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.skipif(not MNIST_FOLDER, reason="JAXMARGIN_MNIST names no folder with MNIST's files")
def test_the_real_mnist():
    """The test files; those of training may be a part of the official ones."""
    for name in images.MNIST_FILES["test"]:
        content = (Path(MNIST_FOLDER) / name).read_bytes()
        assert f"md5:{hashlib.md5(content).hexdigest()}" == images.MNIST_MD5[name]
    x, labels = data.mnist(MNIST_FOLDER, split="test")
    assert x.shape == (10_000, 784)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    np.testing.assert_array_equal(np.bincount(labels), TEST_LABELS)
    x, labels = data.mnist(MNIST_FOLDER, split="train")
    assert x.shape == (len(labels), 784)
    assert set(np.unique(labels)) == set(range(10))


def test_digits():
    x, labels = data.digits()
    assert (x.shape, labels.shape) == ((1797, 64), (1797,))
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    np.testing.assert_array_equal(x * 16, jnp.round(x * 16))
    # The class counts that the data set's own description gives.
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(labels), counts)
