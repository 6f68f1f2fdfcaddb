"""The Nystroem approximation and the preconditioner that it gives, against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmargin import two_layer_ntk
from jaxmargin._devices import device_mesh
from jaxmargin.kernels._fits.nystroem import nystroem
from jaxmargin.kernels._fits.shared_product import AXIS, SharedProduct

N, RIDGE = 40, 0.3


def approximation(x, landmarks):
    product = SharedProduct(two_layer_ntk, device_mesh(AXIS, jax.devices()[:1]), N, None)
    return nystroem(product, product.share(x, mode="edge"), landmarks)


def inputs():
    return jnp.asarray(np.random.default_rng(0).normal(size=(N, 4)))


def test_it_is_the_projection_on_the_landmarks():
    with jax.enable_x64(True):
        x = inputs()
        z = x[::4]
        (basis, eigenvalues), scale = approximation(x, z)
        cross = np.asarray(two_layer_ntk(x, z))
        exact = cross @ np.linalg.solve(two_layer_ntk(z), cross.T)
        found = scale * basis @ (eigenvalues[:, None] * basis.T)
        np.testing.assert_allclose(found, exact, atol=1e-11)
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(z)), atol=1e-11)
        assert bool((jnp.diff(eigenvalues) <= 0).all())


def test_with_every_row_a_landmark_it_preconditions_perfectly():
    """The preconditioner is then a multiple of (K + ridge I)^-1, also where landmarks repeat."""
    with jax.enable_x64(True):
        x = inputs()
        for landmarks in (x, jnp.concatenate([x, x[:3]])):
            found, size = approximation(x, landmarks)
            r = jnp.asarray(np.random.default_rng(1).normal(size=(N, 2)))
            matrix = two_layer_ntk(x) + RIDGE * jnp.eye(N)
            scale = size * found.eigenvalues[-1] + RIDGE
            solved = found.precondition(size, jnp.asarray(RIDGE), r)
            np.testing.assert_allclose(matrix @ solved, scale * r, atol=1e-9)
