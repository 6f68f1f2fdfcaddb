"""Which devices share the work, and how many threads BLAS has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import threadpoolctl
from jax.sharding import NamedSharding, PartitionSpec

from jaxmargin._devices import cores, device_mesh, on_all_cores, one_blas_thread, sharing_mesh


@pytest.mark.parametrize(
    ("count", "devices"), [(1, 1), (2, 2), (3, 3), (8, 8), (9, 3), (11, 1), (16, 8), (20, 5)]
)
def test_every_device_gets_an_equal_share(count: int, devices: int):
    """Of the eight devices of the tests."""
    mesh = sharing_mesh("t", count)
    assert mesh.shape == {"t": devices}
    assert mesh.devices.tolist() == jax.devices()[:devices]


def test_products_of_a_sharded_array_are_allowed():
    """With JAX's default type of axis this product raises."""
    mesh = device_mesh("rows", jax.devices()[:2])
    x = jax.device_put(jnp.ones((4, 3)), NamedSharding(mesh, PartitionSpec("rows")))
    np.testing.assert_array_equal(x @ x.T, jnp.full((4, 4), 3.0))
    assert device_mesh("rows").size == len(jax.devices())


def test_no_devices():
    with pytest.raises(ValueError, match="the number of devices must be at least 1, got 0"):
        device_mesh("rows", [])


def threads() -> list[int]:
    np.linalg.norm(np.eye(2) @ np.eye(2))  # BLAS is loaded
    pools = threadpoolctl.threadpool_info()
    return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]


def test_blas_has_one_thread_inside_of_the_context():
    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before


@pytest.mark.parametrize("count", [0, 1, 5])
def test_pieces_on_all_cores_keep_their_order(count: int):
    assert on_all_cores(lambda piece: 2 * piece, range(count)) == [2 * i for i in range(count)]
    assert cores() >= 1


def test_an_error_of_one_piece_is_raised():
    with pytest.raises(ZeroDivisionError):
        on_all_cores(lambda piece: 1 / piece, [1, 0, 2])
