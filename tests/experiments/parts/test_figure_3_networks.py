"""The networks of Figure 3: a small run on images from a folder, and wrong settings."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.idx_files import write_mnist
from tests.experiments.reproduced import refusal, reproduce

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 2, 3), dtype=np.uint8)
SMALL = [
    *("--trials", "2", "--steps", "40", "--test-samples", "50", "--n", "10", "--d", "4"),
    *("--widths", "8", "--compared-widths", "8", "--max-majority", "0.95", "--lam", "0"),
    *("--mnist-widths", "4", "--mnist-compared-widths", "4", "--mnist-epochs", "6"),
    *("--mnist-batch", "5", "--mnist-lam", "0"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of MNIST's format."""
    made = tmp_path / "mnist"
    made.mkdir()
    return write_mnist(made, IMAGES, np.arange(12, dtype=np.uint8) % 10)


def test_a_small_run_reads_the_folder_of_the_environment(folder: Path, tmp_path: Path, monkeypatch):
    """Without the regularizer, the two regimes are one: same data, start and order."""
    monkeypatch.setenv("JAXMARGIN_MNIST", str(folder))
    _, series = reproduce("figure-3", tmp_path / "out", *SMALL)
    assert series["images/n"] == 12
    radius = np.linalg.norm(IMAGES.reshape(12, -1) / 255, axis=1).max()
    assert series["images/radius"] == pytest.approx(radius, rel=1e-6)
    for panel, trials, width in (("synthetic", 2, 8), ("images", 1, 4)):
        assert series[f"{panel}/regularized/width"].tolist() == [width]
        for metric in ("margin", "train_error", "test_error"):
            values = series[f"{panel}/regularized/{metric}"]
            assert values.shape == (trials, 1)
            np.testing.assert_array_equal(values, series[f"{panel}/unregularized/{metric}"])
    margins = series["synthetic/large/margin"]
    assert not np.array_equal(margins, series["synthetic/regularized/margin"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mnist", "no/such/folder"], "there is no folder no/such/folder"),
        (["--mnist-batch", "2000"], "mnist_batch must be at most the 1348 images, got 2000"),
        (["--widths", "8,0"], "widths must be at least 1"),
    ],
)
def test_wrong_settings_give_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys, monkeypatch
):
    monkeypatch.delenv("JAXMARGIN_MNIST", raising=False)
    assert message in refusal(capsys, tmp_path, "reproduce", "figure-3", *arguments)
