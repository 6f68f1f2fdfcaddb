"""The constants of Theorem E.4: which noise its proof allows, and how long it then takes.

The theorem says sigma = exp(-d log(1/eps) poly) and t_eps = d^2/eps^4 poly. The polynomials are
never written out, but the proof can be followed with numbers. Where its text cannot be taken
literally, this is what is computed instead:

- Lemma E.5 needs t < b_V / (sigma B_L), where W_t^2 <= (L[rho_0] + sigma t B_L) / (b_V - sigma t
  B_L) is finite. It is printed as t <= sigma B_L / b_V.
- Lemma E.14 needs |grad h| <= M on the sphere, radial part included: see `assumptions`.
- Lemma E.16 bounds the cap of radius r = delta / c2 by r^(2d). That is false for r near 1. The
  lemma that it cites (Ball, Lemma 2.3) says (r/2)^d / 2 for 0 <= r <= 2, which is used.
- In the proof of Theorem E.4 the interval l is said to satisfy Lemma E.8. At tau = eps / (2 W^2)
  the l of that lemma has twice the term 2d log(4 W^2 c2 / eps), and 1 more. Here l is that of
  Lemma E.8 with the cap above.
- Claim E.20 prints (1 + 2 tau ds) where (1 + tau ds) is proved and used. The proof of Lemma E.8
  prints W for W^2. Lemma E.7 has 4 E[L']^2 / W^2 by its own argument, of which it keeps one.
- R = sum (a - y)^2 is not Lipschitz: M_R holds on the sublevel set {R <= 2 L[rho_0]}. That
  L[rho_t] stays there is one more condition on the noise.

The result is that the noise must be small like a power of eps and of 1/d only. Nothing in the proof
needs it to be exponentially small: sigma enters l through log(1/sigma) alone, and all other terms
are sigma times polynomials.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from jaxmargin._arithmetic import as_float64
from jaxmargin._checks import require_concrete, require_positive
from jaxmargin.mean_field._particles.checks import check_measure
from jaxmargin.mean_field.assumptions import Regularity, regularity
from jaxmargin.mean_field.measure import Measure
from jaxmargin.mean_field.problem import MeanField, energy

_SMALLEST = 2.0**-1022  # positive float64
_TOLERANCE = 1e-6  # of log(sigma)
_LARGEST = 1e150  # constant, whose square is finite
_MOST_GAP = 1e7  # of log(sigma), below the noise that is too much


class TheoreticalRate(NamedTuple):
    """What the proof of Theorem E.4 guarantees. `print` gives a summary.

    Attributes:
        log10_noise: log10 of sigma.
        log10_time: log10 of t_eps, after which min_t L[rho_t] <= inf L + 2 epsilon.
        interval: l. In each time 2 l, L falls by at least min(delta_1, delta_2) as long as it is
            more than 2 epsilon above its infimum.
        log10_delta_1: log10 of the fall when some direction has L' <= -tau.
        log10_delta_2: log10 of the fall when the mean of L' is >= epsilon / 2.
        second_moment: W_eps^2, which int |theta|^2 drho_t never exceeds.
        tau: epsilon / (2 W_eps^2).
        B_L: M_R B_Phi + B_V >= |L'| on the sphere.
        c1: max(k C_R B_Phi^2, k C_R B_Phi M_Phi, B_L).
        c2: sqrt(k) M_R M_Phi + M_V, a Lipschitz constant of L' on the sphere.
        epsilon: half of the excess over the infimum that is reached.
        energy: L[rho_0].
        dim: D, entries of a particle (the paper's d + 1).
        regularity: the constants that all of this rests on.
    """

    log10_noise: float
    log10_time: float
    interval: float
    log10_delta_1: float
    log10_delta_2: float
    second_moment: float
    tau: float
    B_L: float
    c1: float
    c2: float
    epsilon: float
    energy: float
    dim: int
    regularity: Regularity

    @property
    def noise(self) -> float:
        """Sigma; 0 where it underflows."""
        return _power_of_ten(self.log10_noise)

    @property
    def time(self) -> float:
        """t_eps; inf where it overflows."""
        return _power_of_ten(self.log10_time)

    def log10_steps(self, step_size: float) -> float:
        """Log10 of the number of steps of that size within t_eps.

        The error that such steps make is not bounded here: Theorem E.21 omits its proof.
        """
        require_positive("step_size", step_size)
        return self.log10_time - math.log10(step_size)

    def __str__(self) -> str:
        delta = min(self.log10_delta_1, self.log10_delta_2)
        return (
            f"Theorem E.4, L[rho_0] = {self.energy:.4g}, D = {self.dim}: "
            f"noise {_scientific(self.log10_noise)} for time {_scientific(self.log10_time)} "
            f"reaches 2 epsilon = {2 * self.epsilon:.4g} above the optimum\n"
            f"  second moment <= {self.second_moment:.4g}; while above, L falls by "
            f"{_scientific(delta)} in each time 2 l = {2 * self.interval:.4g}\n"
            f"  B_L = {self.B_L:.4g}, c1 = {self.c1:.4g}, c2 = {self.c2:.4g}, "
            f"tau = {self.tau:.4g}"
        )


def theoretical_rate(
    problem: MeanField,
    measure: Measure,
    *,
    epsilon: float,
    noise: float | None = None,
    constants: Regularity | None = None,
) -> TheoreticalRate:
    """The noise that the proof of Theorem E.4 allows, and the time that it then needs.

    The proof is followed with numbers. (The module tells what had to be repaired.) With
    W^2 = (L_0 + sigma t B_L) / (b_V - sigma t B_L), tau = epsilon / (2 W^2) and, for d = D - 1,

        l       = [log(W^2 / sigma) + d log(4 c2 / tau) + log 2] / (tau - sigma) + 1,
        delta_1 = (tau / 4 - sigma l c1 (W^2 + 1))^2 / (c1^2 W^2 l) - 3 sigma l c1 (W^2 + 1),
        delta_2 = l epsilon^2 / (4 W^2) - 2 sigma l B_L (W^2 + 1),

    L falls by min(delta_1, delta_2) in each time 2 l while it is 2 epsilon above the infimum, which
    is >= 0. So t = 2 l ((L_0 - 2 epsilon) / min(delta_1, delta_2) + 1) is enough. This t must also
    be the one in W^2, and is found as a fixed point. All of it is computed with logarithms, so that
    nothing underflows.

    Args:
        problem: `MeanField`.
        measure: rho_0, particles (m, D) with masses (m,).
        epsilon: half of the excess to reach, > 0.
        noise: sigma; None takes the largest that the proof allows, up to a few parts in a million.
        constants: those of a problem of your own. None takes `regularity`.

    Returns:
        `TheoreticalRate`. The paper assumes in addition that a solution of the flow exists, which
        is not known for relu.

    Raises:
        ValueError: epsilon so large that nothing is to be shown, or not positive; a noise that is
            not positive or that the proof does not allow; constants below 0 or too large, b_V = 0,
            or a level that the start exceeds.
        TypeError: a problem whose constants are not known, where none are given; constants that are
            no `Regularity`; called under `jit`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxmargin import two_layer_problem
        >>> problem = two_layer_problem(jnp.eye(2), jnp.array([1.0, -1.0]), "logistic", lam=0.1)
        >>> start = Measure(jnp.ones((1, 3)), jnp.ones(1))
        >>> print(theoretical_rate(problem, start, epsilon=0.05))
        Theorem E.4, L[rho_0] = 1.927, D = 3: noise ... for time ...

    Reference:
        Wei, Lee, Liu, Ma (2019), Theorem E.4 and its proof.
    """
    require_concrete("theoretical_rate", problem, measure, epsilon, noise)
    measure = check_measure(problem, measure)
    require_positive("epsilon", epsilon)
    with jax.enable_x64(True):  # float32 would overflow at particles of 1e20
        start = float(energy(*jax.tree.map(as_float64, (problem, measure))))
    require_positive("L[rho_0]", start)
    if 2 * epsilon >= start:
        raise ValueError(
            f"epsilon must be below L[rho_0] / 2 = {start / 2:g}, got {epsilon}: the start is "
            "within 2 epsilon of the infimum, which is >= 0"
        )
    dim = measure.theta.shape[1]
    if constants is None:
        constants = regularity(problem, dim, level=2 * start)
    constants = Regularity.checked(constants, start)
    proof = _Proof(constants, start, float(epsilon), dim)
    if noise is not None:
        require_positive("noise", noise)
    log_noise = proof.largest_log_noise() if noise is None else math.log(noise)
    found = proof.settle(log_noise)
    if found is None:
        limit = proof.largest_log_noise() / math.log(10)
        raise ValueError(
            f"noise must be at most {_scientific(limit)} for the proof to hold, got {noise}"
        )
    return proof.report(log_noise, found)


class _Decrease(NamedTuple):
    """The proof at one noise and one bound of sigma t B_L."""

    second_moment: float
    log_tau: float
    log_interval: float
    log_delta_1: float
    log_delta_2: float
    log_time: float


class _Proof:
    """The proof of Theorem E.4 with numbers, as a function of log(sigma)."""

    def __init__(self, constants: Regularity, start: float, epsilon: float, dim: int):
        self.constants, self.start, self.epsilon, self.dim = constants, start, epsilon, dim
        self.b_V, self.B_L, self.c1 = constants.b_V, constants.B_L, constants.c1
        if not max(self.c1, constants.c2, start / self.b_V) < _LARGEST:
            raise ValueError(
                "constants must be numbers that float64 can multiply, got "
                f"{constants} at L[rho_0] = {start:.4g}: scale the data or the particles down"
            )

    def decrease(self, log_noise: float, drift: float) -> _Decrease | None:
        """The proof where sigma t B_L <= drift; None if L need not fall."""
        W2 = (self.start + drift) / (self.b_V - drift)
        log_tau = math.log(self.epsilon) - math.log(2 * W2)
        log_rate = _log_minus(log_tau, log_noise)
        if log_rate == -math.inf or self.start + drift * (W2 + 1) > self.constants.level:
            return None
        log_cap = self.constants.log_share(log_tau - math.log(2), self.dim)
        growth = max(math.log(W2) - log_noise - log_cap, _SMALLEST)
        log_l = float(np.logaddexp(math.log(growth) - log_rate, 0))
        log_drop = _log_minus(
            log_tau - math.log(4), log_noise + log_l + math.log(self.c1 * (W2 + 1))
        )
        delta_1 = _log_minus(
            2 * log_drop - 2 * math.log(self.c1) - math.log(W2) - log_l,
            log_noise + log_l + math.log(3 * self.c1 * (W2 + 1)),
        )
        delta_2 = log_l + _log_minus(
            2 * (math.log(self.epsilon) - math.log(2)) - math.log(W2),
            log_noise + math.log(2 * self.B_L * (W2 + 1)),
        )
        least = min(delta_1, delta_2)
        if least == -math.inf:
            return None
        windows = np.logaddexp(math.log(self.start - 2 * self.epsilon) - least, 0)
        log_time = math.log(2) + log_l + float(windows)
        return _Decrease(W2, log_tau, log_l, delta_1, delta_2, log_time)

    def settle(self, log_noise: float) -> _Decrease | None:
        """The proof at the least drift >= sigma t B_L; None if no such drift is found."""
        drift = 0.0
        for _ in range(1000):
            found = self.decrease(log_noise, drift)
            if found is None:
                return None
            log_drift = log_noise + found.log_time + math.log(self.B_L)
            if log_drift >= math.log(self.b_V):
                return None
            needed = math.exp(log_drift) * (1 + 1e-9)  # rounding
            if needed <= drift or needed == 0:
                return found
            if needed >= self.b_V:
                return None
            drift = needed
        return None

    def largest_log_noise(self) -> float:
        """The largest log(sigma) that the proof allows. It allows every smaller one as well."""
        from scipy.optimize import root_scalar  # slow to import

        def excess(log_noise: float) -> float:
            return 1.0 if self.settle(log_noise) is None else -1.0

        high = math.log(self.epsilon) - math.log(self.start / self.b_V)  # 2 tau, too much
        gap = 1.0
        while excess(high - gap) > 0:
            gap *= 2
            if gap > _MOST_GAP:
                raise ValueError(
                    "constants allow no noise: the proof holds at none of the numbers that were "
                    f"tried, down to exp(-{gap:.0e})"
                )
        bracket = (high - gap, high)
        found = root_scalar(excess, method="brentq", bracket=bracket, xtol=_TOLERANCE).root
        while excess(found) > 0:  # rounding blurs the border a little
            found -= _TOLERANCE
        return float(found)

    def report(self, log_noise: float, found: _Decrease) -> TheoreticalRate:
        """The guarantee at a noise that the proof allows, with logarithms to base 10."""
        ten = math.log(10)
        return TheoreticalRate(
            log10_noise=log_noise / ten,
            log10_time=found.log_time / ten,
            interval=_power_of_ten(found.log_interval / ten),
            log10_delta_1=found.log_delta_1 / ten,
            log10_delta_2=found.log_delta_2 / ten,
            second_moment=found.second_moment,
            tau=_power_of_ten(found.log_tau / ten),
            B_L=self.B_L,
            c1=self.c1,
            c2=self.constants.c2,
            epsilon=self.epsilon,
            energy=self.start,
            dim=self.dim,
            regularity=self.constants,
        )


def _log_minus(a: float, b: float) -> float:
    """log(e^a - e^b), -inf where that is not positive."""
    return a + math.log1p(-math.exp(b - a)) if b < a else -math.inf


def _power_of_ten(exponent: float) -> float:
    return 10.0**exponent if exponent < 308 else math.inf


def _scientific(log10: float) -> str:
    """10**log10 to two digits, whatever its size."""
    exponent = math.floor(log10)
    mantissa = 10 ** (log10 - exponent)
    if mantissa >= 9.95:  # 10.0 is 1.0 of the next
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.1f}e{exponent:+03d}"
