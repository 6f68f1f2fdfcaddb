"""The dual of a support vector machine without an intercept, by an interior point method.

For a Gram matrix K, labels y in {-1, +1} and Q_ij = y_i y_j K_ij the dual variables b solve

    min  b'Qb / 2 - 1'b    subject to    0 <= b_i <= c,

and f(x) = sum_i y_i b_i K(x_i, x) is the classifier. The hard margin has no upper bound c.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Int

from jaxmargin._arithmetic import step_to_boundary

MAX_ITERATIONS = 60  # 10 to 20 are usual
TOLERANCE = 1e-9  # of the relative duality gap
MAX_FACES = 10


class Solution(NamedTuple):
    """Coefficients, and what is proven about them.

    Attributes:
        beta: (n,) coefficients y_i b_i.
        gap: (P - D) / D for the primal and dual objectives at beta; ||f - f*||^2 <= 2 (P - D).
        radius_margin: lower bound on max_i K_ii ||f*||^2. For the hard margin that is the square
            of the data's radius over its margin.
    """

    beta: Float[Array, " n"]
    gap: Float[Array, ""]
    radius_margin: Float[Array, ""]


class _Iterate(NamedTuple):
    """One row of slack and multiplier for each side of the box: b >= 0, then b <= c."""

    slack: Float[Array, "sides n"]  # distance of b from the side, > 0
    multiplier: Float[Array, "sides n"]  # > 0
    gap: Float[Array, ""]
    dual: Float[Array, ""]
    iteration: Int[Array, ""]


def solve_svm(
    gram: Float[Array, "n n"],
    y: Float[Array, " n"],
    limit: Float[Array, ""],
    c: Float[Array, "*n"] | None = None,
) -> Solution:
    """Take interior point steps until the gap closes, then solve exactly on the face they reach.

    The price c is one number, or one for each sample.

    The steps stop early once `radius_margin` is proven to exceed `limit`. A result that did not
    converge has a gap above TOLERANCE or NaN.
    """
    matrix = jnp.outer(y, y) * gram
    scale = jnp.max(jnp.diagonal(matrix))
    upper = None if c is None else jnp.broadcast_to(c * scale, y.shape)
    unit = jnp.ones_like(scale) if upper is None else jnp.minimum(1, jnp.max(upper))  # of b
    matrix = matrix / scale * unit
    upper = None if upper is None else upper / unit

    def unfinished(now: _Iterate) -> Array:
        going = (now.gap > TOLERANCE) & (2 * now.dual <= limit)
        return going & (now.iteration < MAX_ITERATIONS)

    def advance(now: _Iterate) -> _Iterate:
        slack, multiplier = _step(matrix, now.slack, now.multiplier)
        return _Iterate(
            slack, multiplier, *_certificate(matrix, slack[0], upper), now.iteration + 1
        )

    slack = _middle(y, upper)
    start = _Iterate(
        slack,
        jnp.ones_like(slack),
        jnp.full_like(scale, jnp.inf),
        jnp.zeros_like(scale),
        jnp.array(0),
    )
    end = jax.lax.while_loop(unfinished, advance, start)
    face = _settle(matrix, end.slack[0], upper)
    gap, dual = _certificate(matrix, face, upper)
    exact = gap <= TOLERANCE  # NaN where the face is singular
    b = jnp.where(exact, face, end.slack[0]) * unit / scale
    return Solution(
        jnp.where(b > 0, y * b, 0),
        jnp.where(exact, gap, end.gap),
        2 * unit * jnp.where(exact, dual, end.dual),
    )


def _middle(y: Array, upper: Array | None) -> Float[Array, "sides n"]:
    """Slacks of a start inside the box."""
    if upper is None:
        return jnp.ones((1, len(y)), y.dtype)
    middle = jnp.minimum(1, upper / 2)
    return jnp.stack([middle, upper - middle])


def _step(matrix: Array, slack: Array, multiplier: Array) -> tuple[Array, Array]:
    """One predictor-corrector step (Mehrotra 1992) towards the conditions of optimality.

    These are Qb - 1 = sum_sides sign * multiplier and slack * multiplier = target, with target = 0.
    """
    sign = jnp.array([[1], [-1]], slack.dtype)[: len(slack)]
    dual_residual = matrix @ slack[0] - 1 - jnp.sum(sign * multiplier, axis=0)
    stiffness = jnp.sum(multiplier / slack, axis=0)
    factor = jnp.linalg.cholesky(matrix + jnp.diag(stiffness), symmetrize_input=False)

    def direction(target: Array) -> tuple[Array, Array]:
        pull = jnp.sum(sign * (target / slack - multiplier), axis=0)
        d_slack = sign * cho_solve((factor, True), pull - dual_residual)[None]
        return d_slack, (target - multiplier * d_slack) / slack - multiplier

    def longest(d_slack: Array, d_multiplier: Array) -> Array:
        return jnp.minimum(
            step_to_boundary(slack, d_slack), step_to_boundary(multiplier, d_multiplier)
        )

    complementarity = jnp.mean(slack * multiplier)
    d_slack, d_multiplier = direction(jnp.zeros_like(slack))
    length = jnp.minimum(1, longest(d_slack, d_multiplier))
    predicted = jnp.mean((slack + length * d_slack) * (multiplier + length * d_multiplier))
    centred = (predicted / complementarity) ** 3 * complementarity
    d_slack, d_multiplier = direction(centred - d_slack * d_multiplier)
    length = jnp.minimum(1, 0.99 * longest(d_slack, d_multiplier))
    return slack + length * d_slack, multiplier + length * d_multiplier


def _settle(matrix: Array, b: Array, upper: Array | None) -> Array:
    """Solve Qb = 1 for the entries inside the box, and hold the others exactly on its sides.

    Which entries lie on which side is decided by a projected gradient step from b. This is repeated
    until the sides stay the same (the primal-dual active set method), which takes one or two rounds
    from a start near the solution.
    """
    high = jnp.asarray(jnp.inf if upper is None else upper, b.dtype)
    own = jnp.eye(len(b), dtype=matrix.dtype)

    def sides(b: Array) -> Array:
        aim = b - (matrix @ b - 1)
        return (aim >= high).astype(jnp.int8) - (aim <= 0).astype(jnp.int8)

    def on_face(side: Array) -> Array:
        free = side == 0
        reduced = jnp.where(jnp.outer(free, free), matrix, own)
        factor = jnp.linalg.cholesky(reduced, symmetrize_input=False)
        b = jnp.where(side > 0, high, 0)
        for _ in range(2):  # the second pass refines the first
            b = b + cho_solve((factor, True), jnp.where(free, 1 - matrix @ b, 0))
        return b

    def unsettled(state: tuple) -> Array:
        side, b, rounds = state
        return jnp.any(sides(b) != side) & (rounds < MAX_FACES)

    def advance(state: tuple) -> tuple:
        _, b, rounds = state
        side = sides(b)
        return side, on_face(side), rounds + 1

    nowhere = jnp.full(b.shape, 2, jnp.int8)
    _, b, _ = jax.lax.while_loop(unsettled, advance, (nowhere, b, jnp.array(0)))
    return jnp.clip(b, 0, upper)


def _certificate(matrix: Array, b: Array, upper: Array | None) -> tuple[Array, Array]:
    """The relative duality gap and the dual objective of a point 0 <= b <= c.

    The primal value is that of f, or of f rescaled to margin 1 where that is better. Without the
    second, the rounding of a margin times a large c would exceed the gap.
    """
    margins = matrix @ b
    energy = b @ margins / 2
    dual = jnp.sum(b) - energy
    smallest = jnp.min(margins)
    separated = smallest > 0
    primal = jnp.where(separated, energy / jnp.where(separated, smallest, 1) ** 2, jnp.inf)
    if upper is not None:
        primal = jnp.minimum(primal, energy + jnp.sum(upper * jnp.maximum(0, 1 - margins)))
    return (primal - dual) / jnp.abs(dual), dual
