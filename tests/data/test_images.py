"""The readers of images, and what they say of broken files and missing packages."""

import gzip
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

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
IMAGES = (np.arange(12).reshape(3, 2, 2) * 20).astype(np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)


@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_from_a_folder(tmp_path: Path, split):
    for folder in (write_mnist(tmp_path, IMAGES, LABELS), str(tmp_path)):
        x, labels = data.idx(folder, split=split)
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


@pytest.mark.parametrize("kind", ["i1", ">i2", "<i4", "f4", "f8"])
def test_idx_files_of_all_types_are_read(tmp_path: Path, kind: str):
    array = np.array([[-3, 0, 2], [100, 7, -120]], kind)
    code = {"i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    stored = array.astype(array.dtype.newbyteorder(">")).tobytes()
    (tmp_path / "a").write_bytes(bytes([0, 0, code, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + stored)
    read = data.read_idx(tmp_path / "a")
    assert read.dtype == np.dtype(kind).newbyteorder("=")
    np.testing.assert_array_equal(read, array)


def write(folder: Path, files: dict[str, np.ndarray | bytes]) -> Path:
    """Files by name; arrays as IDX, compressed where the name says so."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            content = idx_bytes(content)
            content = gzip.compress(content) if name.endswith(".gz") else content
        path.write_bytes(content)
    return folder


QMNIST_LABELS = np.stack([LABELS, LABELS + 1], axis=1).astype(np.int32)
FAMILY: dict[str, dict[str, np.ndarray | bytes]] = {
    "names with dots": {"train-images.idx3-ubyte": IMAGES, "train-labels.idx1-ubyte": LABELS},
    "gzip without its ending": {
        "train-images-idx3-ubyte": gzip.compress(idx_bytes(IMAGES)),
        "train-labels-idx1-ubyte": LABELS,
    },
    "an ending without gzip": {
        "train-images-idx3-ubyte.gz": idx_bytes(IMAGES),
        "train-labels-idx1-ubyte.GZ": gzip.compress(idx_bytes(LABELS)),
    },
    "a damaged copy beside a good one": {
        "train-images-idx3-ubyte.gz": b"\x1f\x8bdamaged",
        "train-images-idx3-ubyte": IMAGES,
        "train-images.idx3-ubyte": b"damaged",
        "train-labels-idx1-ubyte.gz": LABELS,
    },
    "torchvision": {
        "FashionMNIST/raw/train-images-idx3-ubyte": IMAGES,
        "FashionMNIST/raw/train-labels-idx1-ubyte": LABELS,
    },
    "QMNIST": {
        "qmnist-train-images-idx3-ubyte.gz": IMAGES,
        "qmnist-train-labels-idx2-int.gz": QMNIST_LABELS,
    },
}


@pytest.mark.parametrize("files", FAMILY.values(), ids=FAMILY.keys())
def test_the_family_as_it_comes(tmp_path: Path, files):
    x, labels = data.idx(write(tmp_path, files))
    np.testing.assert_allclose(x, IMAGES.reshape(3, 4) / 255, rtol=1e-6)
    np.testing.assert_array_equal(labels, LABELS)
    with pytest.raises(
        FileNotFoundError, match=f"t10k-images.* it holds {min(os.listdir(tmp_path))}"
    ):
        data.idx(tmp_path, split="test")


def test_a_set_of_several_is_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, factor in (("letters", 1), ("balanced", 2)):
        write(tmp_path / "data", {
            f"emnist-{name}-test-images-idx3-ubyte.gz": IMAGES // factor,
            f"emnist-{name}-test-labels-idx1-ubyte.gz": LABELS,
        })  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="several sets, emnist-balanced, emnist-letters: give the"):
        data.idx("~/data", split="test")
    x, _ = data.idx("~/data", split="test", name="balanced")
    np.testing.assert_allclose(x[-1, -1], 220 / 2 / 255, rtol=1e-6)
    with pytest.raises(FileNotFoundError, match="with its labels of a set 'digits'"):
        data.idx("~/data", split="test", name="digits")


def test_classes_are_numbered_as_they_are_given(tmp_path: Path):
    letters = np.array([26, 1, 2], np.uint8)
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    write(tmp_path, dict(zip(names, (IMAGES, letters), strict=True)))
    with pytest.raises(ValueError, match=r"from 1 to 26 and not from 0: .* classes=range\(1, 27\)"):
        data.idx(tmp_path)
    assert data.idx(tmp_path, classes=range(1, 27))[1].tolist() == [25, 0, 1]
    assert data.idx(tmp_path, classes=[2, 26, 1])[1].tolist() == [1, 2, 0]
    for classes, message in (
        ([1, 2], "classes must hold all labels of the files, but 26 is not in"),
        ([1, 2, 2, 26], "classes must differ from one another"),
        (["a"], "classes must be a list of integers"),
    ):
        wrong: Any = classes
        with pytest.raises(ValueError, match=message):
            data.idx(tmp_path, classes=wrong)


WHOLE = idx_bytes(IMAGES)
ZIPPED = gzip.compress(WHOLE)
BROKEN_FILES = {
    "cut off": (
        "a",
        WHOLE[:-1],
        r"holds \(3, 2, 2\) numbers of 1 bytes but holds 11 bytes: fetch",
    ),
    "trailing bytes": ("a", WHOLE + b"\0", "but holds 13 bytes: fetch it again"),
    "cut off in the header": ("a", WHOLE[:9], "is not an IDX file"),
    "empty": ("a", b"", "is not an IDX file"),
    "bytes said to be floats": (
        "a",
        b"\x00\x00\x0d" + WHOLE[3:],
        "of 4 bytes but holds 12 bytes",
    ),
    "an unknown type": ("a", b"\x00\x00\x07" + WHOLE[3:], "is not an IDX file"),
    "a web page": ("a", b"<html>404 Not Found</html>", "is not an IDX file"),
    "cut off gzip": ("a.gz", ZIPPED[:-9], "is not a whole gzip file: fetch it again"),
    "damaged gzip": ("a.gz", ZIPPED[:10] + b"\xff" + ZIPPED[11:], "is not a whole gzip file"),
    "gzip with a tail": ("a.gz", ZIPPED + b"tail", "is not a whole gzip file"),
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
        (IMAGES, IMAGES, r"not images \(n, rows, columns\) of bytes and labels \(n,\)"),
        (LABELS, LABELS, r"not images \(n, rows, columns\) of bytes and labels \(n,\)"),
    ],
)
def test_mnist_files_that_do_not_belong_together(tmp_path: Path, images, labels, message: str):
    with pytest.raises(ValueError, match=message):
        data.idx(write_mnist(tmp_path, images, labels))


def test_mnist_without_a_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_, **__):
        raise requests.exceptions.ConnectionError("a long story\nof several lines")

    monkeypatch.setattr(pooch.Pooch, "fetch", refuse)
    with pytest.raises(FileNotFoundError, match=r"could not download .* give the folder") as caught:
        data.idx()
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
    assert data.idx()[0].shape == (3, 4)
    assert asked == {name: f"md5:{MD5[name]}" for name in MNIST_NAMES["train"]}


@pytest.mark.parametrize(
    ("module", "load", "error"),
    [
        ("pooch", data.idx, FileNotFoundError),
        ("sklearn.datasets", data.digits, ImportError),
    ],
)
def test_without_the_optional_packages(monkeypatch, module: str, load, error):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(error, match=r"pip install 'jaxmargin\[experiments\]'"):
        load()


MNIST_FOLDER = os.environ.get("JAXMARGIN_MNIST", "")
TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.skipif(
    not MNIST_FOLDER or not Path(MNIST_FOLDER).is_dir(),
    reason="JAXMARGIN_MNIST names no folder with MNIST's files",
)
def test_the_real_mnist():
    """The test files; those of training may be a part of the official ones."""
    for name in MNIST_NAMES["test"]:
        content = (Path(MNIST_FOLDER) / name).read_bytes()
        assert hashlib.md5(content).hexdigest() == MD5[name]
    x, labels = data.idx(MNIST_FOLDER, split="test")
    assert x.shape == (10_000, 784)
    assert (float(x.min()), float(x.max())) == (0.0, 1.0)
    np.testing.assert_array_equal(np.bincount(labels), TEST_LABELS)
    x, labels = data.idx(MNIST_FOLDER, split="train")
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
