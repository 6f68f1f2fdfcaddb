"""The example of the documentation, an MLP on digits, in a small setting."""

from functools import cache

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import jaxmargin as jm
from docs.examples import own_model

N, STEPS = 128, 200


@cache
def digits() -> own_model.Digits:
    return own_model.load_digits(jax.random.key(0), n=N)


def test_training_and_test_digits_are_all_digits_once():
    x, y, x_test, y_test = (np.asarray(part) for part in digits())
    everything, labels = jm.data.digits()
    assert len(x) == N
    assert np.linalg.norm(x, axis=1).max() <= 65**0.5
    together = np.c_[np.concatenate([x, x_test]), np.concatenate([y, y_test])]
    whole = np.c_[np.asarray(everything), np.ones(len(labels)), np.asarray(labels)]
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (together, whole)))


def test_the_layers_are_those_of_the_same_mlp():
    x = digits().x[:20]
    model = own_model.flax_model(jax.random.key(1), x.shape[1])
    scores = jm.mlp(model.layers(model.params), x)
    np.testing.assert_allclose(model.apply(model.params, x), scores, rtol=1e-4, atol=1e-5)
    assert float(jm.homogeneity_degree(model.apply, model.params, x).residual) < 1e-5


def test_the_bound_of_ten_classes():
    """8 k R_n / gamma + sqrt(log log2(8 C / gamma) / n) + sqrt(log(1 / delta) / (2 n)), q = 3."""
    gamma, n, delta = 0.01, 10**6, 0.05
    largest = 65**0.5 * 3**-1.5
    complexity = largest * ((6 * np.log(2)) ** 0.5 + 1) / n**0.5
    expected = 80 * complexity / gamma + (np.log(np.log2(8 * largest / gamma)) / n) ** 0.5
    expected += (np.log(1 / delta) / (2 * n)) ** 0.5
    assert own_model.multiclass_bound(gamma, n=n, delta=delta) == pytest.approx(expected, rel=1e-5)


def test_the_example_runs(capsys):
    with jax.numpy_dtype_promotion("standard"):  # optax's adam is not strict
        figure = own_model.main(n=N, steps=STEPS)
    assert isinstance(figure, Figure)
    assert len(figure.axes[0].lines) == len(own_model.CASES)
    lines = capsys.readouterr().out.splitlines()
    residual = {line[:22].strip(): float(line.split()[-1]) for line in lines[:3]}
    assert residual["no biases"] < 1e-5 < residual["biases, trained"]
    rows = {line[:30].strip(): [float(word) for word in line[30:].split()] for line in lines[4:]}
    assert rows["train error"] == [0, 0, 0]
    assert all(0 < low < middle for low, middle in
               zip(rows["normalised margin"], rows["its median"], strict=True))  # fmt: skip
    plain, _, large = rows["patterns changed"]
    assert large < plain
    plain, _, large = rows["alignment of the kernels"]
    assert plain < large <= 1
