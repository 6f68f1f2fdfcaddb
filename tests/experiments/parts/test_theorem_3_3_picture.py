"""The picture of Theorem 3.3 on made-up series: its rows of particles."""

import numpy as np

from jaxmargin.experiments.parts import theorem_3_3_picture as picture

STEPS, FRAMES = np.arange(0, 101, 5), np.array([0, 1, 3, 8, 20])


def series() -> dict[str, np.ndarray]:
    """Two problems, of which every flow ends 1% above the optimum."""
    rng = np.random.default_rng(0)
    made = {
        "step": STEPS,
        "optimum": np.array([1.0, 2.0]),
        "first/x": rng.normal(size=(6, 2)),
        "first/frame_step": STEPS[FRAMES],
        "first/optimum/theta": rng.normal(size=(4, 3)),
        "first/optimum/mass": np.ones(4),
    }
    fall = 1.01 + np.geomspace(1, 1e-6, len(STEPS))
    for name in picture.STRIP:
        made |= {
            f"{name}/energy": made["optimum"][:, None] * fall,
            f"{name}/gap": made["optimum"][:, None] * (fall - 0.9),
            f"first/{name}/theta": rng.normal(size=(len(FRAMES), 8, 3)),
            f"first/{name}/mass": np.full((len(FRAMES), 8), 1 / 8),
        }
    return made


def test_each_row_of_particles_tells_its_energies():
    figure = picture.draw(0.02, series())
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels.count("1% above") == len(picture.STRIP)  # the last column
    assert labels.count("1e+02% above") == len(picture.STRIP)
    titles = [axes.get_title() for axes in figure.axes]
    assert [title for title in titles if "eta t" in title][-1] == r"$\eta t = 2$"
    for name in picture.STRIP:
        assert any(axes.get_ylabel() == picture.FLOWS[name][0] for axes in figure.axes)
