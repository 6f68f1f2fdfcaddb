"""Wrong input: images."""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from jaxmargin import data
from tests.fault import Fault, wrong


def without(module: str, call: Callable) -> None:
    with mock.patch.dict(sys.modules, {module: None}):
        call()


FAULTS: list[Fault] = [
    Fault("idx", wrong(data.idx, "/no/such"), FileNotFoundError,
          "there is no folder /no/such: give the folder with the IDX files, or none to download"),
    Fault("idx", wrong(data.idx, __file__), FileNotFoundError,
          "faults_images.py is a file: give the folder with the IDX files"),
    Fault("idx", wrong(data.idx, Path(__file__).parent), FileNotFoundError,
          "has no train-images-idx3-ubyte with its labels, .*; it holds __init__.py"),
    Fault("idx", wrong(data.idx, split="valid"), ValueError,
          "split must be one of train, test, got 'valid'"),
    Fault("idx", wrong(data.idx, 3), TypeError, "folder must be a path, got int"),
    Fault("idx", wrong(data.idx, "/no/such", name=3), TypeError, "name must be text, got 3"),
    Fault("read_idx", wrong(data.read_idx, "/no/such"), FileNotFoundError, "no file /no/such"),
    Fault("read_idx", wrong(data.read_idx, None), TypeError, "path must be a path, got NoneType"),
    Fault("read_idx", wrong(data.read_idx, __file__), ValueError, "is not an IDX file"),
    Fault("digits", wrong(without, "sklearn.datasets", data.digits), ImportError,
          "the digits come with scikit-learn: pip install"),
]  # fmt: skip
