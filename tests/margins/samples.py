"""Samples that the tests of the l1-SVM and of its parts share."""

import itertools

import numpy as np


def labelled(d: int, seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Normal samples (n, d), whose labels alternate."""
    rng = np.random.default_rng([d, seed])
    return rng.normal(size=(n, d)), np.where(np.arange(n) % 2, 1.0, -1.0)


def on_a_line(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten samples with a constant feature, and random labels, five of each."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.permutation(10) % 2, 1.0, -1.0)
    return np.stack([rng.uniform(-1, 1, 10), np.ones(10)], axis=1), labels


def support(d: int) -> tuple[np.ndarray, np.ndarray]:
    """All points of the distribution D, with their labels."""
    axes = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    signs = itertools.product([-1, 1], repeat=d - 2)
    x = np.array([(*axis, *z) for z in signs for axis in axes], float)
    return x, np.abs(x[:, 0]) - np.abs(x[:, 1])


def hexagon() -> tuple[np.ndarray, np.ndarray]:
    """Directions 0, 60, 120 degrees labelled +, -, + and their opposites labelled otherwise."""
    angles = np.pi / 3 * np.arange(6)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([1.0, -1, 1, -1, 1, -1])


def circle(count: int) -> np.ndarray:
    """Evenly spaced directions (count, 2)."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
