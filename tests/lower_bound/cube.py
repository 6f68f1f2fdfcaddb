"""Points of the hypercube and of the distribution D, and the kernel on them, in NumPy."""

import itertools

import numpy as np
from scipy.stats import binom

AXES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def cube(dim: int) -> np.ndarray:
    """All 2^dim points."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=dim)))


def orbit(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """One z for each overlap with (1, ..., 1), ascending, and the probability of that overlap."""
    agree = np.arange(dim + 1)
    return np.where(np.arange(dim) < agree[:, None], 1.0, -1.0), binom.pmf(agree, dim, 0.5)


def signs(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, dim))


def kappa(t: np.ndarray, d: int, r_w: float = 1.0, r_u: float = 1.0) -> np.ndarray:
    """K as a function of <x', x> on D, where |x|^2 = d - 1 (eq. B.1 and above), in NumPy."""
    c = t / (d - 1)
    k1 = t * (1 - np.arccos(c) / np.pi)
    k2 = (d - 1) / np.pi * np.sqrt(1 - c**2)
    return r_w**2 / 2 * k1 + r_u**2 / 2 * (k1 + k2)


def support(d: int) -> tuple[np.ndarray, np.ndarray]:
    """All 4 * 2^(d - 2) inputs of D and their labels."""
    z = cube(d - 2)
    x = np.concatenate([np.hstack([np.tile(axis, (len(z), 1)), z]) for axis in AXES])
    return x, np.abs(x[:, 0]) - np.abs(x[:, 1])


def draw(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.choice([-1.0, 1.0], size=(n, d - 2))
    return np.hstack([AXES[rng.integers(4, size=n)], z])


def ntk(x: np.ndarray, z: np.ndarray, r_w: float = 1.0, r_u: float = 1.0) -> np.ndarray:
    """Eq. B.1 on inputs of D, in NumPy."""
    d = x.shape[1]
    return kappa(np.clip(x @ z.T, 1 - d, d - 1), d, r_w, r_u)


def slope(d: list[int], values: list) -> float:
    return float(np.polyfit(np.log(d), np.log(np.asarray(values, float)), 1)[0])
