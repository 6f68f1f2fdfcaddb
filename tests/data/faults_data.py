"""Wrong input: the data of the paper."""

import math
import sys
from collections.abc import Callable
from functools import partial
from unittest import mock

from jaxmargin import data
from tests.fault import KEY, Fault, wrong


def without(module: str, call: Callable) -> None:
    with mock.patch.dict(sys.modules, {module: None}):
        call()


teacher_of = partial(wrong, data.teacher, KEY)


FAULTS: list[Fault] = [
    Fault("data.two_axis", wrong(data.two_axis, KEY, 0, 5), ValueError, "n must be at least 1"),
    Fault("data.two_axis", wrong(data.two_axis, KEY, 5, 1), ValueError, "d must be at least 2"),
    Fault("data.two_axis", wrong(data.two_axis, KEY, 5.0, 3), TypeError, "n must be an integer"),
    Fault("data.teacher", teacher_of(9, d=3.0, hidden=2), TypeError, "d must be an integer"),
    Fault("data.sinusoid", wrong(data.sinusoid, "5"), TypeError, "n must be an integer, got '5'"),
    Fault("data.teacher", teacher_of(0, d=3, hidden=2), ValueError, "n must be at least 1, got 0"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=0), ValueError, "hidden must be at least 1"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, margin=-0.1), ValueError,
          "margin must be a finite number >= 0, got -0.1"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, inputs="cube"), ValueError,
          'inputs must be "gaussian" or "sphere", got \'cube\''),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, max_majority=0.4), ValueError,
          r"max_majority must be in \[0.5, 1\], got 0.4"),
    Fault("data.teacher", teacher_of(9, d=3, hidden=2, margin=1e3), ValueError,
          "only 0 of 2560 inputs have a margin of at least 1000.0 .* lower the margin"),
    Fault("data.teacher", mock.patch.object(data, "MAX_TEACHERS", 3)(
              teacher_of(9, d=3, hidden=2, max_majority=0.5)), ValueError,
          "none of 3 teachers .* max_majority = 0.5 of 9 samples: raise max_majority, or n"),
    Fault("data.sinusoid", wrong(data.sinusoid, 1), ValueError, "n must be at least 2, got 1"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, cycles=0.0), ValueError, "cycles must .* > 0"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, low=1.0), ValueError,
          "low must be below high, both finite, got 1.0 and 1.0"),
    Fault("data.sinusoid", wrong(data.sinusoid, 5, high=math.inf), ValueError, "both finite"),
    Fault("data.mnist", wrong(data.mnist, "/no/such"), FileNotFoundError,
          r"/no/such has no train-images.* give the folder with MNIST's four IDX files"),
    Fault("data.mnist", wrong(data.mnist, split="valid"), ValueError,
          'split must be "train" or "test", got \'valid\''),
    Fault("data.read_idx", wrong(data.read_idx, __file__), ValueError, "is not an IDX file of un"),
    Fault("data.digits", wrong(without, "sklearn.datasets", data.digits), ImportError,
          "the digits come with scikit-learn: pip install"),
]  # fmt: skip
