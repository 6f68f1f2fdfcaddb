"""What tests of optimizers need."""

import jax
import pytest


@pytest.fixture
def standard_promotion():
    """Optax mixes the integer step count with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield
