"""Small files in the formats of MNIST and its family."""

import gzip
from pathlib import Path

import numpy as np

MNIST_NAMES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


KINDS = {1: (8, ">u1"), 2: (11, ">i2"), 4: (12, ">i4")}


def idx_bytes(array: np.ndarray) -> bytes:
    """Of bytes, or of integers of two or four bytes where the array holds such."""
    shape = np.asarray(array.shape, ">u4").tobytes()
    kind = KINDS[array.dtype.itemsize if array.dtype.kind == "i" else 1]
    return bytes([0, 0, kind[0], array.ndim]) + shape + array.astype(kind[1]).tobytes()


def write_mnist(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Both splits alike; one is zipped and one plain, as the reader takes both."""
    for split, names in MNIST_NAMES.items():
        for name, array in zip(names, (images, labels), strict=True):
            if split == "train":
                (folder / name).write_bytes(gzip.compress(idx_bytes(array)))
            else:
                (folder / name.removesuffix(".gz")).write_bytes(idx_bytes(array))
    return folder
