"""The readers of images, and what they say of broken files and missing packages."""

import gzip
import hashlib
import os
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pooch
import pytest
import requests

from jaxmargin import data
from tests.data.idx_files import MNIST_NAMES, idx_bytes, write_mnist

MD5 = {  # of the files of the official distribution
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
IMAGES = np.arange(12).reshape(3, 2, 2) * 20
LABELS = np.array([7, 0, 9])


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_from_a_folder(tmp_path: Path, split):
    for folder in (write_mnist(tmp_path, IMAGES, LABELS), str(tmp_path)):
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
    write_mnist(tmp_path, IMAGES, LABELS)
    asked = {}

    def fetch(registry: pooch.Pooch, name: str) -> str:
        assert registry.base_url.startswith("https://")
        asked[name] = registry.registry[name]
        return str(tmp_path / name)

    monkeypatch.setattr(pooch.Pooch, "fetch", fetch)
    assert data.mnist()[0].shape == (3, 4)
    assert asked == {name: f"md5:{MD5[name]}" for name in MNIST_NAMES["train"]}


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
    for name in MNIST_NAMES["test"]:
        content = (Path(MNIST_FOLDER) / name).read_bytes()
        assert hashlib.md5(content).hexdigest() == MD5[name]
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
