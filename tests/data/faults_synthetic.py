"""Wrong input: the distribution D, teachers and points on a line."""

import math
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp

from jaxmargin import data
from jaxmargin.data import synthetic
from tests.fault import KEY, SIGNS, Fault, X, wrong

teacher_of = partial(wrong, data.teacher, KEY)


FAULTS: list[Fault] = [
    Fault("two_axis", wrong(data.two_axis, KEY, 0, 5), ValueError, "n must be at least 1"),
    Fault("two_axis", wrong(data.two_axis, KEY, 5, 1), ValueError, "d must be at least 2"),
    Fault("two_axis", wrong(data.two_axis, KEY, 5.0, 3), TypeError, "n must be an integer"),
    Fault("teacher", teacher_of(9, d=3.0, hidden=2), TypeError, "d must be an integer"),
    Fault("sinusoid", wrong(data.sinusoid, "5"), TypeError, "n must be an integer, got '5'"),
    Fault("teacher", teacher_of(0, d=3, hidden=2), ValueError, "n must be at least 1, got 0"),
    Fault("teacher", teacher_of(9, d=3, hidden=0), ValueError, "hidden must be at least 1"),
    Fault("teacher", teacher_of(9, d=3, hidden=2, margin=-0.1), ValueError,
          "margin must be a finite number >= 0, got -0.1"),
    Fault("teacher", teacher_of(9, d=3, hidden=2, inputs="cube"), ValueError,
          "inputs must be one of gaussian, sphere, got 'cube'"),
    Fault("teacher", teacher_of(9, d=3, hidden=2, max_majority=0.4), ValueError,
          r"max_majority must be in \[0.5, 1\], got 0.4"),
    Fault("teacher", teacher_of(9, d=3, hidden=2, margin=1e3), ValueError,
          "only 0 of 2560 inputs have a margin of at least 1000.0 .* lower the margin"),
    Fault("teacher", mock.patch.object(synthetic, "_MAX_TEACHERS", 3)(
              teacher_of(9, d=3, hidden=2, max_majority=0.5)), ValueError,
          "none of 3 teachers .* max_majority = 0.5 of 9 samples: raise max_majority, or n"),
    Fault("sinusoid", wrong(data.sinusoid, 1), ValueError, "n must be at least 2, got 1"),
    Fault("sinusoid", wrong(data.sinusoid, 5, cycles=0.0), ValueError, "cycles must .* > 0"),
    Fault("sinusoid", wrong(data.sinusoid, 5, low=1.0), ValueError,
          "low must be below high, both finite and .*, got 1.0 and 1.0"),
    Fault("sinusoid", wrong(data.sinusoid, 5, high=math.inf), ValueError, "both finite"),
    Fault("sinusoid", wrong(data.sinusoid, 5, high=1e39), ValueError,
          "both finite and as far apart as float32 can hold, got -1.0 and 1e[+]39"),
    Fault("sinusoid", wrong(data.sinusoid, 5, low=None), TypeError, "low must be a number"),
    Fault("two_axis", wrong(data.two_axis, 3, 5, 3), TypeError,
          r"key must be a random key, such as jax.random.key\(0\), got int"),
    Fault("two_axis", wrong(data.two_axis, KEY, 2**31, 3), ValueError,
          r"n \* d must be at most 2,147,483,647, the most entries of x, got 2,147,483,648 \* 3, "
          "which would take 26 GB: take fewer"),
    Fault("sinusoid", wrong(data.sinusoid, 10**12), ValueError,
          "n must be at most 2,147,483,647, .* got 1,000,000,000,000, which would take 4,000 GB"),
    Fault("teacher", wrong(data.teacher, None, 5, d=3, hidden=2), TypeError, "key must be a ran"),
    Fault("teacher", teacher_of(9, d=3, hidden=2, max_majority="all"), TypeError,
          "max_majority must be a number, got 'all'"),
    Fault("teacher", lambda: jax.jit(lambda key: data.teacher(key, 4, d=3, hidden=2).x)(KEY),
          TypeError, "teacher takes concrete numbers: call it outside jit, vmap and grad"),
    Fault("support_of_d", wrong(data.support_of_d, 40), ValueError,
          r"d must be at most 20, got 40: the arrays have 2\^d rows"),
    Fault("embed", wrong(data.embed, "ab", 0, 1), TypeError, "z must be an array of numbers"),
    Fault("embed", wrong(data.embed, [[1.0, 2.0], [1.0]], 0, 1), TypeError,
          "z must be an array of numbers, got list with rows of several lengths"),
    Fault("embed", wrong(data.embed, X, None, 1), TypeError, "first must be an array of numbers"),
    Fault("embed", wrong(data.embed, X, SIGNS, SIGNS), ValueError,
          r"first must be a number, got shape \(6,\)"),
    Fault("groups_of_d", wrong(data.groups_of_d, [1]), ValueError, "target must be one of label"),
    Fault("embed", wrong(data.embed, jnp.ones(3), 0, 1), ValueError,
          r"z must be \(n, d - 2\), got shape \(3,\)"),
    Fault("groups_of_d", wrong(data.groups_of_d, "sign"), ValueError,
          "target must be one of label, half_space, got 'sign'"),
    Fault("support_of_d", wrong(data.support_of_d, 2), ValueError,
          "d must be at least 3, got 2"),
    Fault("support_of_d", wrong(data.support_of_d, 3.0), TypeError,
          "d must be an integer, got 3.0"),
]  # fmt: skip
