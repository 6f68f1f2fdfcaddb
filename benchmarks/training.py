"""Figure 2's training, many trials at once, against PyTorch: `python -m benchmarks.training`.

Both sides run the same full-batch gradient descent on the same data from the same start, with
PyTorch's autograd and SGD: one trial after the other, and all trials batched (bmm). The final
parameters are compared in the same run.
"""

import os

import jax
import numpy as np
import optax
import torch  # pyright: ignore[reportMissingImports]

from benchmarks.timing import interleaved
from jaxmargin import TwoLayer, init_two_layer, regularized, train, two_layer

TRIALS, N, D = 20, 200, 20
LAM, LEARNING_RATE = 5e-4, 0.1
STEPS = 100
WIDTHS = {200: {"sequential": 8.0, "batched": 3.0}, 1000: {"sequential": 3.0, "batched": 3.0}}


def problem(width: int) -> tuple[jax.Array, jax.Array, TwoLayer]:
    """Gaussian inputs with random labels, and a start, for every trial."""
    key_x, key_y, key_start = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(key_x, (TRIALS, N, D))
    y = jax.random.rademacher(key_y, (TRIALS, N), float)
    start = jax.vmap(lambda key: init_two_layer(key, D, width))(jax.random.split(key_start, TRIALS))
    return x, y, start


def torch_objective(u, w, x, y):
    """Mean logistic loss of each trial, and the penalty, summed; u is (..., d, m)."""
    scores = (torch.relu(x @ u) @ w.unsqueeze(-1)).squeeze(-1)
    loss = torch.nn.functional.softplus(-y * scores).mean(-1)
    return (loss + LAM * ((u * u).sum((-2, -1)) + (w * w).sum(-1))).sum()


def torch_descend(u, w, x, y):
    """STEPS steps of SGD from u (..., d, m), w (..., m)."""
    u, w = u.clone().requires_grad_(), w.clone().requires_grad_()
    optimizer = torch.optim.SGD([u, w], lr=LEARNING_RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch_objective(u, w, x, y).backward()
        optimizer.step()
    return u.detach(), w.detach()


def measure(width: int, repeats: int) -> dict[str, float]:
    """Median seconds of each side for all trials, after comparing their answers."""
    x, y, start = problem(width)
    objective = regularized(two_layer, "logistic", lam=LAM)
    optimizer = optax.sgd(LEARNING_RATE)

    def jaxmargin():
        return train(objective, optimizer, start, x, y, num_steps=STEPS, trials=True).params

    x_torch, y_torch = torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y))
    u_torch = torch.tensor(np.asarray(start.u)).transpose(1, 2).contiguous()
    w_torch = torch.tensor(np.asarray(start.w))

    def sequential():
        args = zip(u_torch, w_torch, x_torch, y_torch, strict=True)
        return [torch_descend(*trial) for trial in args]

    def batched():
        return torch_descend(u_torch, w_torch, x_torch, y_torch)

    ours = np.asarray(jaxmargin().u).swapaxes(1, 2)
    for theirs in (batched()[0], torch.stack([u for u, _ in sequential()])):
        # As a whole: rounding may flip a relu, and that unit then differs in the third digit.
        distance = np.linalg.norm(ours - theirs.numpy()) / np.linalg.norm(ours)
        if distance > 1e-4:
            raise RuntimeError(f"the two sides disagree: relative distance {distance:.1e}")
    sides = {"jaxmargin": jaxmargin, "sequential": sequential, "batched": batched}
    return interleaved(sides, repeats)


def main() -> None:
    """Print the table of ratios."""
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    print(f"jax {jax.__version__}, torch {torch.__version__} ({torch.get_num_threads()} threads)")
    print(f"{jax.devices()}; {TRIALS} trials, n = {N}, d = {D}, float32, {STEPS} steps")
    row = "{:>6} {:>11} {:>9} {:>10} {:>6} {:>7}".format
    print(row("width", "PyTorch", "us/step", "jaxmargin", "ratio", "target"))
    for width, targets in WIDTHS.items():
        seconds = measure(width, repeats=7)
        for side, target in targets.items():
            theirs, ours = (1e6 * seconds[name] / STEPS for name in (side, "jaxmargin"))
            print(row(width, side, f"{theirs:.0f}", f"{ours:.0f}", f"{theirs / ours:.1f}", target))


if __name__ == "__main__":
    main()
