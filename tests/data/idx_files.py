"""Small files in the formats of MNIST."""

import gzip
from pathlib import Path

import numpy as np

MNIST_NAMES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def idx_bytes(array: np.ndarray) -> bytes:
    shape = np.asarray(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Both splits alike; one is zipped and one plain, as the reader takes both."""
    for split, names in MNIST_NAMES.items():
        for name, array in zip(names, (images, labels), strict=True):
            if split == "train":
                (folder / name).write_bytes(gzip.compress(idx_bytes(array)))
            else:
                (folder / name.removesuffix(".gz")).write_bytes(idx_bytes(array))
    return folder
