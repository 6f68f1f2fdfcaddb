"""Kernel logistic regression by Newton's method, for two classes and for several.

The objective is (1/n) sum_i loss(f_i, y_i) + lam ||f||_K^2 for f = K beta. With s = 2 lam n,
a = s beta and P = K / s, it is 1/n times

    F(a) = sum_i w_i loss(f_i, y_i) + a'f / 2,    f = P a,

which is stationary where a equals the pull of the labels, -w d loss / d f. The weights w are 1 if
there are none. No step inverts K, so K
may be singular. Then many beta give the best f, and the solution is the one of this equation.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, Int

MAX_ITERATIONS = 100  # about 10 + log(1 / lam) are usual
TOLERANCE = 1e-9  # of the residual


class Solution(NamedTuple):
    """Coefficients, max |a - pull| / max |pull|, which is 0 at the minimiser, and the objective."""

    beta: Float[Array, "n *k"]
    residual: Float[Array, ""]
    objective: Float[Array, ""]


class _Iterate(NamedTuple):
    dual: Float[Array, "n *k"]  # a
    scores: Float[Array, "n *k"]  # f = P a
    residual: Float[Array, ""]
    iteration: Int[Array, ""]


def solve_logistic(
    gram: Float[Array, "n n"], y: Float[Array, " n"], lam: Float[Array, ""], w: Float[Array, " n"]
) -> Solution:
    """Minimise for labels y in {-1, +1} and the loss log(1 + e^{-y f})."""

    def pull(scores: Array) -> Array:
        return w * y * jax.nn.sigmoid(-y * scores)

    def loss(scores: Array) -> Array:
        return jnp.sum(w * jax.nn.softplus(-y * scores))

    def newton(prior: Array, scores: Array) -> Array:
        weight = w * jax.nn.sigmoid(scores) * jax.nn.sigmoid(-scores)
        aim = weight * scores + pull(scores)
        return aim - _damped_inverse(prior, weight, prior @ aim)

    return _minimise(gram, jnp.zeros_like(y), lam, loss, pull, newton)


def solve_softmax(
    gram: Float[Array, "n n"], own: Bool[Array, "n k"], lam: Float[Array, ""], w: Float[Array, " n"]
) -> Solution:
    """Minimise for one-hot labels and the loss -log softmax(f)[label]."""
    tall = w[:, None]

    def pull(scores: Array) -> Array:
        others = jnp.where(own, 0, jax.nn.softmax(scores))
        missing = jnp.sum(others, axis=1, keepdims=True)  # 1 - p, exactly
        return tall * jnp.where(own, missing, -others)

    def loss(scores: Array) -> Array:
        return jnp.sum(w * (logsumexp(scores, axis=1) - jnp.sum(jnp.where(own, scores, 0), axis=1)))

    def newton(prior: Array, scores: Array) -> Array:
        """Step of Rasmussen and Williams (2006), algorithm 3.3."""
        identity = jnp.eye(len(prior))
        p = jax.nn.softmax(scores)
        # Only differences of scores matter. With the own class's score at 0, no p near 1 enters a
        # sum that cancels.
        ahead = scores - jnp.sum(jnp.where(own, scores, 0), axis=1, keepdims=True)
        aim = tall * p * (ahead - jnp.sum(p * ahead, axis=1, keepdims=True)) + pull(scores)
        per_class = jax.vmap(lambda weight: _damped_inverse(prior, weight, identity))((tall * p).T)
        damped = jnp.einsum("cij,jc->ic", per_class, prior @ aim)
        total = jnp.linalg.cholesky(jnp.sum(per_class, axis=0))
        shared = cho_solve((total, True), jnp.sum(damped, axis=1))
        return aim - damped + jnp.einsum("cij,j->ic", per_class, shared)

    return _minimise(gram, jnp.zeros(own.shape, gram.dtype), lam, loss, pull, newton)


def _damped_inverse(prior: Array, weight: Array, v: Array) -> Array:
    """(P + W^-1)^-1 v for W = diag(weight), which may vanish.

    It is W^1/2 B^-1 W^1/2 with B = I + W^1/2 P W^1/2, whose eigenvalues are at least 1.
    """
    root = jnp.sqrt(weight)
    factor = jnp.linalg.cholesky(jnp.outer(root, root) * prior + jnp.eye(len(root)))
    tall = root if v.ndim == 1 else root[:, None]
    return tall * cho_solve((factor, True), tall * v)


def _minimise(
    gram: Array,
    zero: Array,
    lam: Array,
    loss: Callable[[Array], Array],
    pull: Callable[[Array], Array],
    newton: Callable[[Array, Array], Array],
) -> Solution:
    """Newton's method, with the best of the step lengths 1, 1/2, 1/4, ..."""
    strength = 2 * lam * len(gram)
    prior = gram / strength
    lengths = 0.5 ** jnp.arange(20.0)

    def unfinished(now: _Iterate) -> Array:
        return (now.residual > TOLERANCE) & (now.iteration < MAX_ITERATIONS)

    def advance(now: _Iterate) -> _Iterate:
        d_dual = newton(prior, now.scores) - now.dual
        d_scores = prior @ d_dual

        def at(length: Array) -> tuple[Array, Array]:
            return now.dual + length * d_dual, now.scores + length * d_scores

        def objective(length: Array) -> Array:
            dual, scores = at(length)
            return loss(scores) + jnp.vdot(dual, scores) / 2

        length = lengths[jnp.argmin(jax.vmap(objective)(lengths))]
        dual, scores = at(length)
        return _Iterate(dual, scores, residual(dual, scores), now.iteration + 1)

    def residual(dual: Array, scores: Array) -> Array:
        target = pull(scores)
        return jnp.max(jnp.abs(dual - target)) / jnp.max(jnp.abs(target))

    start = _Iterate(zero, zero, jnp.ones_like(strength), jnp.array(0))
    end = jax.lax.while_loop(unfinished, advance, start)
    scores = prior @ end.dual
    value = (loss(scores) + jnp.vdot(end.dual, scores) / 2) / len(gram)
    return Solution(end.dual / strength, residual(end.dual, scores), value)
