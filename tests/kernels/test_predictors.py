"""What all predictors in the span share, and what they predict."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from jaxmargin import (
    ConvergenceError,
    fit_interpolant,
    fit_kernel_logistic,
    fit_ridge,
    fit_svm,
    kernel_classify,
    kernel_predict,
    two_layer_ntk,
)
from tests.kernels.problems import N, problem, trials


def test_float32_is_solved_in_float64():
    """A solver in float32 would be wrong in the second digit."""
    gram, y = problem("float32", d=2)
    exact = np.linalg.solve(np.asarray(gram, np.float64), np.asarray(y, np.float64))
    assert np.linalg.cond(np.asarray(gram, np.float64)) > 1e5
    np.testing.assert_allclose(fit_interpolant(gram, y).beta, exact, rtol=1e-6)
    assert jnp.ones(1).dtype == "float32"  # the switch is back where it was


FITS = {
    "interpolant": fit_interpolant,
    "ridge": lambda gram, y: fit_ridge(gram, y, ridge=0.1),
    "svm": fit_svm,
    "soft svm": lambda gram, y: fit_svm(gram, y, c=1.0),
    "logistic": lambda gram, y: fit_kernel_logistic(gram, y, lam=0.01),
}
every_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


@every_fit
def test_trials_are_a_loop(fit):
    gram, y = trials("float32")
    looped = [fit(*one) for one in zip(gram, y, strict=True)]
    expected = jax.tree.map(lambda *one: jnp.stack(one), *looped)
    for actual, wanted in zip(fit(gram, y), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


@every_fit
def test_dtype_is_that_of_the_gram_matrix(fit):
    with jax.enable_x64(True):
        for dtype in ("float32", "float64"):
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(fit(*problem(dtype))))


@every_fit
def test_results_are_pytrees_of_arrays_that_pickle(fit):
    found = fit(*problem("float32"))
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    for actual, expected in zip(again, found, strict=True):
        np.testing.assert_array_equal(actual, expected)


# Each fit with its penalty for a Gram matrix s K: then s beta is that of K.
SCALED = {
    "interpolant": lambda gram, y, s: fit_interpolant(gram, y),
    "ridge": lambda gram, y, s: fit_ridge(gram, y, ridge=0.1 * s),
    "svm": lambda gram, y, s: fit_svm(gram, y),
    "soft svm": lambda gram, y, s: fit_svm(gram, y, c=1.0 / s),
    "logistic": lambda gram, y, s: fit_kernel_logistic(gram, y, lam=0.01 * s),
}


@pytest.mark.parametrize("fit", SCALED.values(), ids=SCALED)
@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-60, 2.0**60, 2.0**100])
def test_beta_is_of_degree_minus_one_in_the_gram_matrix(fit, scale: float):
    gram, y = problem("float32")
    scaled, plain = fit(scale * gram, y, scale), fit(gram, y, 1.0)
    np.testing.assert_allclose(scale * scaled.beta, plain.beta, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scale**0.5 * scaled.norm, plain.norm, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e-18, 1e18, 1e30, 1e300])
@pytest.mark.parametrize("fit", [FITS["interpolant"], FITS["ridge"]], ids=["interpolant", "ridge"])
def test_beta_is_linear_in_y(fit, scale: float):
    with jax.enable_x64(True):
        gram, y = problem("float64" if scale in (1e-300, 1e300) else "float32")
        both = fit(gram, jnp.stack([y, scale * y.astype(gram.dtype)], axis=1))
        np.testing.assert_allclose(both.beta[:, 1] / scale, both.beta[:, 0], rtol=1e-5)
        np.testing.assert_allclose(both.norm[1] / scale, both.norm[0], rtol=1e-5)


def line(n: int = 60):
    """Noisy labels on a line, with a bias: a Gram matrix of rank 2, in float64 and rounded."""
    x = np.random.default_rng(0).uniform(1.0, 8.0, size=n)
    x = np.stack([x, np.ones(n)], axis=1).astype(np.float32).astype(float)
    y = np.sign(x[:, 0] - 4.5 + np.random.default_rng(1).normal(size=n))
    return x @ x.T, jnp.asarray(x @ x.T, jnp.float32), y


def hinge_objective(gram, y, beta, c):
    scores = gram @ beta
    return beta @ scores / 2 + c * np.sum(np.maximum(0, 1 - y * scores))


def test_rounding_changes_a_soft_margin_by_little_or_is_told():
    """The objective of the unrounded kernel, at the beta that the rounded one gave."""
    exact, rounded, y = line()
    for c in (1.0, 30.0):
        best = hinge_objective(exact, y, fit_svm(exact, y, c=c).beta, c)
        found = hinge_objective(exact, y, np.asarray(fit_svm(rounded, y, c=c).beta, float), c)
        np.testing.assert_allclose(found, best, rtol=1e-3)
    with pytest.raises(ConvergenceError, match="the rounding of gram in float32 may decide"):
        fit_svm(rounded, y, c=1e5)


def test_rounding_changes_a_logistic_fit_by_little_or_is_told():
    exact, rounded, y = line()

    def objective(beta, lam):
        scores = exact @ np.asarray(beta, float)
        return np.mean(np.logaddexp(0, -y * scores)) + lam * beta @ scores

    lam = 1e-4
    best = objective(fit_kernel_logistic(exact, y, lam=lam).beta, lam)
    np.testing.assert_allclose(
        objective(fit_kernel_logistic(rounded, y, lam=lam).beta, lam), best, rtol=1e-3
    )
    with pytest.raises(ConvergenceError, match="the rounding of gram in float32 may decide"):
        fit_kernel_logistic(rounded, y, lam=1e-8)


@every_fit
def test_a_float64_matrix_of_numpy_stays_in_float64(fit):
    """Without the switch of JAX, too: the results are those with it."""
    with jax.enable_x64(True):
        gram, y = problem("float64")
        expected = fit(gram, y)
        gram, y = np.asarray(gram), np.asarray(y)
    found = fit(gram, y)
    for actual, wanted in zip(found, expected, strict=True):
        assert isinstance(actual, np.ndarray)
        assert actual.dtype == "float64"
        np.testing.assert_array_equal(actual, np.asarray(wanted))
    scores = kernel_predict(gram, found.beta)
    np.testing.assert_allclose(scores, gram @ found.beta, rtol=1e-12, atol=1e-12)
    assert scores.dtype == "float64"
    assert fit(gram, jnp.asarray(y, jnp.float32)).beta.dtype == "float64"


def test_predictions():
    with jax.enable_x64(True):
        x, z = np.random.default_rng(0).normal(size=(2, 9, 3))
        gram, cross = two_layer_ntk(jnp.asarray(x)), two_layer_ntk(jnp.asarray(z), jnp.asarray(x))
        beta = np.random.default_rng(1).normal(size=(9, 2))
        by_sum = sum(beta[i] * np.asarray(cross)[:, i : i + 1] for i in range(9))
        np.testing.assert_allclose(kernel_predict(cross, jnp.asarray(beta)), by_sum, rtol=1e-12)
        both = kernel_predict(jnp.stack([cross, gram]), jnp.asarray(beta.T))
        np.testing.assert_allclose(both[1], np.asarray(gram) @ beta[:, 1], rtol=1e-12)


def test_labels_by_the_names_of_the_classes():
    names = np.array(["cat", "ant", "bee", "ant"])
    classes, y = np.unique(names, return_inverse=True)
    gram = jnp.eye(4) + 0.5
    beta = fit_svm(gram, y).beta
    assert kernel_classify(gram, beta, classes).tolist() == names.tolist()
    np.testing.assert_array_equal(kernel_classify(gram, beta), y)
    np.testing.assert_array_equal(kernel_classify(gram, beta, [7.0, 8.0, 9.0]), 7.0 + y)
    both = kernel_classify(jnp.stack([gram, gram]), jnp.stack([beta, beta[::-1]]), classes)
    assert both.tolist() == [names.tolist(), kernel_classify(gram, beta[::-1], classes).tolist()]


def test_labels_by_the_sign_of_the_score():
    gram, y = problem("float32")
    beta = fit_svm(gram, y).beta
    np.testing.assert_array_equal(kernel_classify(gram, beta), y)
    names = kernel_classify(jnp.stack([gram, gram]), jnp.stack([beta, -beta]), ["no", "yes"])
    np.testing.assert_array_equal(names == "yes", np.stack([y > 0, y < 0]))
    assert kernel_classify(jnp.zeros((1, N)), beta).tolist() == [-1.0]


def test_balanced_weights_are_those_of_scikit_learn():
    y = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_sample_weight("balanced", y)
    gram = jnp.eye(6) + 0.5
    balanced = fit_kernel_logistic(gram, y, lam=0.1, sample_weight="balanced").beta
    weighted = fit_kernel_logistic(gram, y, lam=0.1, sample_weight=expected).beta
    np.testing.assert_allclose(balanced, weighted, rtol=1e-6)
    signs = np.where(y == 0, -1.0, 1.0)
    several = fit_kernel_logistic(
        jnp.stack([gram, gram]), np.stack([signs, signs[::-1]]), lam=0.1, sample_weight="balanced"
    ).beta
    alone = fit_kernel_logistic(
        gram, signs, lam=0.1, sample_weight=compute_sample_weight("balanced", signs)
    ).beta
    np.testing.assert_allclose(several, np.stack([alone, alone[::-1]]), rtol=1e-5)


def test_a_fault_names_its_trial_and_the_condition_number():
    gram, signs = problem("float32")
    order = jnp.arange(N).at[1].set(0)
    twice = gram[order][:, order]  # the first two inputs are equal
    opposed = signs.at[:2].set(jnp.array([1.0, -1.0]))
    near = jnp.eye(N).at[:2, :2].set(jnp.array([[1.0, 1.0], [1.0, 1.0 + 2**-22]]))
    with pytest.raises(ValueError, match=r"trial 1: .* condition number 1.7e\+07"):
        fit_interpolant(jnp.stack([gram, near, near]), jnp.stack([signs] * 3))
    with pytest.raises(ValueError, match="trial 1: no f separates"):
        fit_svm(jnp.stack([gram, twice, gram]), jnp.stack([opposed] * 3))


def test_an_unfinished_fit_travels_in_its_error():
    gram, y = problem("float32")
    with pytest.raises(ConvergenceError, match="raise lam") as caught:
        fit_kernel_logistic(gram, y, lam=1e-300)
    assert caught.value.result.beta.shape == y.shape
    assert not caught.value.result.residual <= 1e-6


@pytest.mark.accelerator
@every_fit
def test_accelerator_agrees_with_the_cpu(fit):
    gram, y = trials("float32")
    cpu = jax.devices("cpu")[0]
    expected = fit(jax.device_put(gram, cpu), jax.device_put(y, cpu))
    np.testing.assert_allclose(fit(gram, y).beta, expected.beta, rtol=1e-5, atol=1e-6)
