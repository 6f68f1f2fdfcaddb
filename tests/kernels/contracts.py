"""The contracts of `jaxmargin.kernels`: see `tests/contracts.py`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp

import jaxmargin as jm
from tests.contracts import Contract, net, normal, rows, samples, signs, zero_net


def _kernel(name: str, kernel: Callable) -> Contract:
    return Contract(
        f"kernels.{name}",
        kernel,
        lambda dtype: (normal(4, 3, dtype=dtype), normal(5, 3, dtype=dtype, seed=1)),
        edges=lambda dtype: [(rows(dtype),), (rows(dtype), rows(dtype))],
    )


CONTRACTS = [
    _kernel("k1", jm.k1),
    _kernel("k2", partial(jm.k2, precise=True)),
    _kernel("two_layer_ntk", partial(jm.two_layer_ntk, r_w=0.5, r_u=2.0)),
    _kernel("relu_nngp", partial(jm.relu_nngp, depth=3)),
    _kernel("relu_ntk", partial(jm.relu_ntk, depth=3, precise=True)),
    _kernel("ntk", partial(jm.ntk, activation="abs", bias_variance=0.5)),
    _kernel("nngp", partial(jm.nngp, activation="erf", depth=3)),
    Contract(
        "kernels.kernel_diagonal",
        partial(jm.kernel_diagonal, jm.two_layer_ntk),
        lambda dtype: (normal(5, 3, dtype=dtype),),
        edges=lambda dtype: [(rows(dtype),)],
    ),
    Contract(
        "kernels.kernel_matvec",
        partial(jm.kernel_matvec, jm.two_layer_ntk, block_size=2),
        lambda dtype: (normal(5, 3, dtype=dtype), normal(5, 2, dtype=dtype, seed=1)),
        edges=lambda dtype: [(rows(dtype), signs(6, dtype))],
    ),
    Contract(
        "kernels.empirical_ntk",
        partial(jm.empirical_ntk, jm.two_layer),
        lambda dtype: (net(dtype), normal(5, 3, dtype=dtype), normal(4, 3, dtype=dtype, seed=1)),
        edges=lambda dtype: [(zero_net(dtype), rows(dtype))],
    ),
    Contract(
        "kernels.kernel_alignment",
        jm.kernel_alignment,
        lambda dtype: (normal(4, 5, dtype=dtype), normal(4, 5, dtype=dtype, seed=1)),
        edges=lambda dtype: [(normal(4, 5, dtype=dtype), normal(4, 5, dtype=dtype))],
    ),
    Contract(
        "kernels.kernel_change",
        jm.kernel_change,
        lambda dtype: (normal(4, 5, dtype=dtype), normal(4, 5, dtype=dtype, seed=1)),
        edges=lambda dtype: [(normal(4, 5, dtype=dtype), normal(4, 5, dtype=dtype))],
    ),
    Contract(
        "kernels.kernel_predict",
        jm.kernel_predict,
        lambda dtype: (normal(4, 5, dtype=dtype), normal(5, 2, dtype=dtype, seed=1)),
        edges=lambda dtype: [(jnp.zeros((4, 5), dtype), jnp.zeros(5, dtype))],
    ),
    Contract(
        "kernels.kernel_classify",
        jm.kernel_classify,
        lambda dtype: (normal(4, 5, dtype=dtype), normal(5, dtype=dtype, seed=1)),
    ),
]
DRIVERS = {
    "kernels.fit_interpolant",
    "kernels.fit_kernel_logistic",
    "kernels.fit_ridge",
    "kernels.fit_ridge_matrix_free",
    "kernels.fit_ridge_path",
    "kernels.fit_svm",
    "kernels.kernel_margin",
}


def _gram_and_signs():
    x, y = samples("float32")
    return jm.two_layer_ntk(x), y


def _matrix_free():
    return jm.fit_ridge_matrix_free(jm.k1, *samples("float32"), ridge=1.0)


CONTAINERS: dict[str, Callable[[], Any]] = {
    "kernels.KernelFit": lambda: jm.fit_interpolant(*_gram_and_signs()),
    "kernels.LogisticFit": lambda: jm.fit_kernel_logistic(*_gram_and_signs(), lam=1.0),
    "kernels.RidgeFit": _matrix_free,
    "kernels.RidgeHistory": lambda: _matrix_free().history,
    "kernels.RidgePath": lambda: jm.fit_ridge_path(*_gram_and_signs(), ridges=[0.1, 1.0]),
    "kernels.SvmFit": lambda: jm.fit_svm(*_gram_and_signs()),
}
TYPES = {"kernels.Kernel"}
