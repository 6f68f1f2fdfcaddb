"""The command line end to end: files, resumption, and one clear line for each wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import jaxmargin
from jaxmargin.experiments import EXPERIMENTS, figure_2
from jaxmargin.experiments.harness.command_line import main

pytestmark = pytest.mark.usefixtures("quick_compilation")

TINY = [
    *("--trials", "2", "--n", "24", "--d", "4", "--width", "8", "--hidden", "3"),
    *("--steps", "120", "--test-samples", "40", "--max-majority", "0.95"),
]


def reproduce(out: Path, *arguments: str, name: str = "figure-2") -> int:
    return main(["reproduce", name, "--out", str(out), *arguments])


def test_list_names_every_experiment(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "made" / "on the way"
    assert reproduce(out, *TINY) == 0
    return out


def test_a_run_leaves_a_picture_and_its_numbers(tiny: Path):
    assert sorted(p.name for p in tiny.iterdir()) == ["figure-2.json", "figure-2.png"]
    assert (tiny / "figure-2.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((tiny / "figure-2.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["settings"]["width"] == 8
    assert record["settings"]["lam"] == figure_2.QUICK.lam
    assert record["versions"]["jaxmargin"] == jaxmargin.__version__
    assert len(record["claims"]) == 5
    for regime in figure_2.REGIMES:
        for metric in ("margin", "train_error", "test_accuracy", "pattern_change"):
            values = np.array(record["series"][f"{regime}/{metric}"])
            assert values.shape == (2, len(record["series"]["step"]))
    assert record["series"]["regularized/pattern_change"][0][0] == 0


def test_both_regimes_start_alike(tiny: Path):
    series = json.loads((tiny / "figure-2.json").read_text())["series"]
    for metric in ("margin", "test_accuracy"):
        with_lam, without = (np.array(series[f"{r}/{metric}"]) for r in figure_2.REGIMES)
        np.testing.assert_array_equal(with_lam[:, 0], without[:, 0])
        assert not np.array_equal(with_lam, without)


def test_the_seed_decides(tiny: Path, tmp_path: Path):
    assert reproduce(tmp_path / "same", *TINY) == 0
    assert reproduce(tmp_path / "other", *TINY, "--seed", "1") == 0

    def series(folder: Path):
        return json.loads((folder / "figure-2.json").read_text())["series"]

    assert series(tmp_path / "same") == series(tiny)
    assert series(tmp_path / "other") != series(tiny)


@pytest.fixture
def calls(monkeypatch) -> list[int]:
    """Ctrl-C in the second training of a process; grows by one with each training."""
    made: list[int] = []
    real = figure_2.train

    def interrupted(*args, **options):
        made.append(1)
        if len(made) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(figure_2, "train", interrupted)
    return made


def test_an_interrupted_run_goes_on(tiny: Path, calls: list[int], tmp_path: Path, capsys):
    """The next run computes only the regime that is missing, and ends the same."""
    assert reproduce(tmp_path, *TINY) == 130
    assert "goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("figure-2.*"))
    assert reproduce(tmp_path, *TINY) == 0
    assert len(calls) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure-2.json", "figure-2.png"]
    left, whole = (json.loads((f / "figure-2.json").read_text()) for f in (tmp_path, tiny))
    assert left["series"] == whole["series"]


def test_other_settings_do_not_take_up_the_parts(calls: list[int], tmp_path: Path):
    assert reproduce(tmp_path, *TINY) == 130
    assert reproduce(tmp_path, *TINY, "--lam", "0.01") == 0
    assert len(calls) == 4


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tiny: Path, tmp_path: Path, monkeypatch):
    old = tmp_path / "figure-2.png"
    old.write_text("yesterday's")

    def full(*args, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    assert reproduce(tmp_path, *TINY) == 1
    assert old.read_text() == "yesterday's"
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".figure-2-")] == [old.name]


def test_figure_1_holds_its_claims(tmp_path: Path):
    assert reproduce(tmp_path, name="figure-1") == 0
    claims = json.loads((tmp_path / "figure-1.json").read_text())["claims"]
    assert all(claim["holds"] for claim in claims)


COLLAPSED = ["--problems", "2", "--n", "5", "--steps", "120"]
FLOWS = {
    "flow": [*COLLAPSED, "--particles", "4", "--records", "10"],
    "flow-sweep": [*COLLAPSED, "--sizes", "4", "--noises", "0.1", "--temperatures", "0.1"],
}


@pytest.mark.parametrize("name", FLOWS)
def test_small_flows_end_with_two_files_and_no_energy_below_the_optimum(name: str, tmp_path: Path):
    assert reproduce(tmp_path, *FLOWS[name], name=name) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.json", f"{name}.png"]
    series = json.loads((tmp_path / f"{name}.json").read_text())["series"]
    optimum = np.array(series["optimum"])
    assert optimum.shape == (2,)
    lowest = [np.array(values) for key, values in series.items() if key.endswith("/lowest")]
    assert len(lowest) == {"flow": 3, "flow-sweep": 4}[name]
    for values in lowest:
        assert values.shape[0] == 2
        assert np.isfinite(values).all()
        assert (values.reshape(2, -1).min(axis=1) >= optimum * (1 - 1e-5)).all()


FEW = ["--trials", "2", "--steps", "40", "--test-samples", "50"]
SMALL = {
    "figure-4": [*FEW, "--sizes", "8,16", "--d", "4", "--max-majority", "0.95"],
    "theorem-2.1": [
        *(*FEW, "--dims", "6", "--width", "8"),
        *("--network-ratios", "2,3", "--kernel-ratios", "0.25,0.5"),
    ],
}


@pytest.mark.parametrize("name", SMALL)
def test_small_runs_end_with_two_files_and_series_of_the_right_shape(name: str, tmp_path: Path):
    with jax.numpy_dtype_promotion("standard"):  # optax's adam is not strict
        assert reproduce(tmp_path, *SMALL[name], name=name) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.json", f"{name}.png"]
    series = json.loads((tmp_path / f"{name}.json").read_text())["series"]
    errors = {key: np.array(values) for key, values in series.items() if not key.startswith("n")}
    assert all(values.shape == (2, 2) for values in errors.values())
    assert all((values >= 0).all() for values in errors.values())


IMAGES = np.random.default_rng(0).integers(0, 256, (12, 2, 3), dtype=np.uint8)
WIDTHS = ["--widths", "8", "--compared-widths", "8", "--mnist-widths", "4"]


def test_small_figure_3_reads_the_folder_of_the_environment(tmp_path: Path, monkeypatch):
    """Without the regularizer, the two regimes are one: same data, start and order."""
    out, folder = tmp_path / "out", tmp_path / "mnist"
    folder.mkdir()
    for images, labels in images.MNIST_FILES.values():
        for name, array in ((images, IMAGES), (labels, np.arange(12, dtype=np.uint8) % 10)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / name.removesuffix(".gz")).write_bytes(header + array.tobytes())
    monkeypatch.setenv("JAXMARGIN_MNIST", str(folder))
    options = [*FEW, *WIDTHS, "--mnist-compared-widths", "4", "--lam", "0", "--mnist-lam", "0"]
    sizes = ["--n", "10", "--d", "4", "--mnist-epochs", "6", "--mnist-batch", "5"]
    assert reproduce(out, *options, *sizes, "--max-majority", "0.95", name="figure-3") == 0
    assert sorted(p.name for p in out.iterdir()) == ["figure-3.json", "figure-3.png"]
    record = json.loads((out / "figure-3.json").read_text())
    series = {key: np.array(values) for key, values in record["series"].items()}
    assert series["images/n"] == 12
    radius = np.linalg.norm(IMAGES.reshape(12, -1) / 255, axis=1).max()
    assert series["images/radius"] == pytest.approx(radius, rel=1e-6)
    for panel, trials in (("synthetic", 2), ("images", 1)):
        for metric in ("margin", "train_error", "test_error"):
            values = series[f"{panel}/regularized/{metric}"]
            assert values.shape == (trials, 1)
            np.testing.assert_array_equal(values, series[f"{panel}/unregularized/{metric}"])
    margins = series["synthetic/large/margin"]
    assert not np.array_equal(margins, series["synthetic/regularized/margin"])


def test_a_claim_that_fails_says_so(tiny: Path, tmp_path: Path, capsys):
    """Eight units do not fit their data in 50 steps."""
    assert reproduce(tmp_path, *TINY) == 0
    assert "does not hold" in " ".join(capsys.readouterr().out.split())


BAD = {
    "unknown experiment": (["reproduce", "figure-9"], "unknown experiment 'figure-9': choose from"),
    "unknown command": (["repeat"], "No such command 'repeat'"),
    "unknown option": (["reproduce", "figure-2", "--depth", "3"], "No such option"),
    "unknown preset": (["reproduce", "figure-2", "--preset", "huge"], "'huge' is not one of"),
    "word for a number": (["reproduce", "figure-2", "--lam", "small"], "not a valid float"),
    "fraction for a count": (["reproduce", "figure-2", "--width", "2.5"], "not a valid int"),
    "negative lam": (["reproduce", "figure-2", "--lam", "-1"], "lam must be a finite number >= 0"),
    "nan lam": (["reproduce", "figure-2", "--lam", "nan"], "lam must be a finite number >= 0"),
    "width 0": (["reproduce", "figure-2", "--width", "0"], "width must be at least 1, got 0"),
    "no trials": (["reproduce", "figure-2", "--trials", "0"], "trials must be at least 1"),
    "no samples": (["reproduce", "figure-2", "--n", "0"], "n must be at least 1"),
    "no features": (["reproduce", "figure-2", "--d", "0"], "d must be at least 1"),
    "no teacher": (["reproduce", "figure-2", "--hidden", "-2"], "hidden must be at least 1"),
    "no test": (["reproduce", "figure-2", "--test-samples", "0"], "test_samples must be at least"),
    "too few steps": (["reproduce", "figure-2", "--steps", "50"], "steps must be at least 101"),
    "no step size": (
        ["reproduce", "figure-2", "--learning-rate", "0"],
        "learning_rate must be a finite number > 0",
    ),
    "infinite start": (
        ["reproduce", "figure-2", "--init-std", "inf"],
        "init_std must be a finite number > 0",
    ),
    "negative seed": (["reproduce", "figure-2", "--seed", "-1"], "seed must be at least 0"),
    "negative margin": (["reproduce", "figure-2", "--margin", "-1"], "margin must be a finite"),
    "impossible margin": (
        ["reproduce", "figure-2", *TINY, "--margin", "1e6"],
        "lower the margin",
    ),
    "impossible balance": (
        ["reproduce", "figure-2", *TINY, "--max-majority", "0.3"],
        "max_majority must be in [0.5, 1]",
    ),
    "divergence": (
        ["reproduce", "figure-2", *TINY, "--learning-rate", "1e8"],
        "lower the learning rate",
    ),
    "list with a word": (["reproduce", "figure-4", "--sizes", "50,many"], "not a list of int"),
    "list with a zero": (["reproduce", "figure-4", "--sizes", "50,0"], "sizes must be at least 1"),
    "negative ratio": (
        ["reproduce", "theorem-2.1", "--kernel-ratios", "-0.5"],
        "kernel_ratios must be a finite number > 0",
    ),
    "D needs noise in each d": (
        ["reproduce", "theorem-2.1", "--dims", "20,2"],
        "dims must be at least 3",
    ),
    "too few flow steps": (["reproduce", "flow", "--steps", "9"], "steps must be at least 100"),
    "negative noise": (
        ["reproduce", "flow", "--noise", "-1"],
        "noise must be a finite number >= 0",
    ),
    "no regularizer": (["reproduce", "flow", "--lam", "0"], "lam must be a finite number > 0"),
    "too much noise": (
        ["reproduce", "flow", "--noise", "100"],
        "step_size * noise must be at most",
    ),
    "one slot": (["reproduce", "flow-sweep", "--sizes", "1"], "sizes must be at least 2"),
    "cold": (
        ["reproduce", "flow-sweep", "--temperatures", "-1"],
        "temperatures must be a finite number > 0",
    ),
    "no MNIST there": (
        ["reproduce", "figure-3", "--mnist", "no/such/folder"],
        "no/such/folder has no",
    ),
    "more than the digits": (
        ["reproduce", "figure-3", "--mnist-batch", "2000"],
        "mnist_batch must be at most the 1348 images, got 2000",
    ),
    "lambda 0 is the limit": (
        ["reproduce", "regression", "--lams", "0.1,0"],
        "lams must be a finite number > 0",
    ),
    "one point": (["reproduce", "regression", "--points", "1"], "points must be at least 2"),
    "D needs noise": (["reproduce", "figure-1", "--d", "2"], "d must be at least 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_gives_one_line(case: str, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.delenv("JAXMARGIN_MNIST", raising=False)
    arguments, message = BAD[case]
    if len(arguments) > 1 and arguments[1] in EXPERIMENTS:
        arguments = [*arguments, "--out", str(tmp_path)]
    assert main(arguments) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("jaxmargin: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_named_before_the_work(tmp_path: Path, capsys, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setattr(figure_2, "train", None)  # not reached
    for out in (file, file / "below"):
        assert reproduce(out) == 1
        error = capsys.readouterr().err
        assert "choose another --out" in error
        assert str(out) in error


def test_without_the_extra_the_command_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from jaxmargin.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'jaxmargin[experiments]'" in done.stderr
    assert done.stderr.count("\n") == 1
