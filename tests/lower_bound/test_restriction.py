"""The kernel without the label's coordinates is the kernel across the axes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmargin as jm
from jaxmargin import lower_bound
from tests.lower_bound.cube import cube, kappa


@pytest.mark.parametrize(("r_w", "r_u"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0), (0.0, 1.0)])
def test_tilde_is_the_kernel_across_the_axes(r_w, r_u):
    z, d = cube(4), 6
    with jax.enable_x64(True):
        kernel = lower_bound.tilde(partial(jm.two_layer_ntk, r_w=r_w, r_u=r_u))
        gram = kernel(jnp.asarray(z[:5]), jnp.asarray(z))
        assert np.allclose(gram, kappa(z[:5] @ z.T, d, r_w, r_u), rtol=0, atol=1e-13)
        tau1, tau2 = r_w**2 / 2, r_u**2 / 2
        parts = [lower_bound.tilde(k)(jnp.asarray(z)) for k in (jm.k1, jm.k2)]
        assert np.allclose((tau1 + tau2) * parts[0] + tau2 * parts[1], kernel(jnp.asarray(z)))
