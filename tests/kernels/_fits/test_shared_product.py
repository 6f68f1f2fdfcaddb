"""Products whose rows are shared out to eight devices, against the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmargin import two_layer_ntk
from jaxmargin._devices import device_mesh
from jaxmargin.kernels._fits.shared_product import AXIS, SharedProduct

N = 21  # no multiple of the number of devices


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_products_are_those_with_the_whole_matrix(devices: int):
    x, v = (
        jnp.asarray(np.random.default_rng(seed).normal(size=(N, 3)), jnp.float32) for seed in (0, 1)
    )
    product = SharedProduct(two_layer_ntk, device_mesh(AXIS, jax.devices()[:devices]), N, 2)
    shared_x, shared_v = product.share(x, mode="edge"), product.share(v, mode="constant")
    assert len(shared_x) % devices == 0
    out = product(shared_x, shared_v)
    np.testing.assert_allclose(out[:N], two_layer_ntk(x) @ v, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(out[N:], 0)
    with_landmarks = product.with_landmarks(shared_x, x[:5], v[:5])
    np.testing.assert_allclose(
        with_landmarks[:N], two_layer_ntk(x, x[:5]) @ v[:5], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(with_landmarks[N:], 0)
