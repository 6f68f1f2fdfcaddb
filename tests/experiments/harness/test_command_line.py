"""The command line: files, resumption, and one clear line for each wrong input."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import jaxmargin
from jaxmargin.experiments import EXPERIMENTS
from jaxmargin.experiments.harness import command_line
from jaxmargin.experiments.harness.command_line import main
from tests.experiments.harness import toy
from tests.experiments.reproduced import refusal, reproduce


@pytest.fixture(autouse=True)
def runs(monkeypatch) -> list[str]:
    """The toy among the experiments; the names of its parts as they are computed."""
    computed: list[str] = []
    real = toy.part

    def part(name, settings, tick):
        computed.append(name)
        return real(name, settings, tick)

    monkeypatch.setattr(toy, "part", part)
    monkeypatch.setitem(EXPERIMENTS, "toy", toy.EXPERIMENT)
    made = command_line.subcommand(toy.EXPERIMENT)
    monkeypatch.setitem(command_line.reproduce.commands, "toy", made)
    return computed


@pytest.fixture
def interrupted(runs: list[str], monkeypatch) -> list[str]:
    """Ctrl-C in the second part that is computed, and not again."""
    real = toy.part

    def part(name, settings, tick):
        if len(runs) == 1:
            runs.append("interrupted")
            raise KeyboardInterrupt
        return real(name, settings, tick)

    monkeypatch.setattr(toy, "part", part)
    return runs


@pytest.mark.parametrize("words", [[], ["reproduce"]])
def test_without_arguments_comes_the_help(words: list[str], capsys):
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "Commands:" in printed.out
    assert ("figure-2" if words else "reproduce") in printed.out
    assert printed.err == ""


def test_list_names_every_experiment_and_its_time(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS)
    assert "hardly more" in printed
    for experiment in EXPERIMENTS.values():
        assert experiment.durations.keys() == experiment.presets.keys()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_names_every_setting_and_its_values(name: str, capsys):
    assert main(["reproduce", name, "--help"]) == 0
    printed = "".join(capsys.readouterr().out.split())
    experiment = EXPERIMENTS[name]
    for preset in experiment.presets:
        assert f"{preset}:" in printed
    for setting, field in type(experiment.presets["paper"]).__dataclass_fields__.items():
        assert f"--{setting.replace('_', '-')}" in printed
        assert "".join(field.metadata["meaning"].split())[1:] in printed  # with its capitals


def test_a_run_leaves_a_picture_and_its_numbers(tmp_path: Path, capsys):
    out = tmp_path / "made" / "on the way"
    record, series = reproduce("toy", out, "--factor", "2.5", "--powers", "3,4")
    assert record["experiment"] == "toy"
    assert record["settings"]["count"] == 3
    assert record["settings"]["factor"] == 2.5
    assert record["settings"]["powers"] == [3, 4]
    assert record["versions"]["jaxmargin"] == jaxmargin.__version__
    assert [claim["holds"] for claim in record["claims"]] == [True, False]
    assert series["first"].tolist() == [None, 2.5, 5.0]
    printed = " ".join(capsys.readouterr().out.split())
    assert "holds" in printed
    assert "does not hold" in printed
    assert "they are stored" in printed  # the comment on what does not hold
    assert printed.index("claims of the paper") < printed.index("there are numbers")
    assert printed.index("there are numbers") < printed.index("asked here")
    assert "verdict" in printed
    assert "first" in printed
    assert "2/2 records" in printed
    assert "objective 0.125" in printed


def test_a_setting_comes_from_the_environment_where_no_option_is_given(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TOY_FOLDER", "there")
    assert reproduce("toy", tmp_path / "one").record["settings"]["folder"] == "there"
    record, _ = reproduce("toy", tmp_path / "two", "--folder", "here")
    assert record["settings"]["folder"] == "here"


def test_an_interrupted_run_goes_on(interrupted: list[str], tmp_path: Path, capsys):
    """The next run computes only the part that is missing, and ends the same."""
    assert main(["reproduce", "toy", "--out", str(tmp_path)]) == 130
    assert "goes on" in capsys.readouterr().err
    assert not list(tmp_path.glob("toy.*"))
    resumed = reproduce("toy", tmp_path)
    assert interrupted == ["first", "interrupted", "second"]
    assert resumed.record["series"] == reproduce("toy", tmp_path).record["series"]


def test_other_settings_do_not_take_up_the_parts(interrupted: list[str], tmp_path: Path):
    assert main(["reproduce", "toy", "--out", str(tmp_path)]) == 130
    assert main(["reproduce", "toy", "--out", str(tmp_path), "--factor", "2"]) == 0
    assert interrupted == ["first", "interrupted", "first", "second"]


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tmp_path: Path, monkeypatch, runs):
    """The parts stay for the next run."""
    old = tmp_path / "toy.png"
    old.write_text("yesterday's")

    def full(*args, **options):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", full)
        assert main(["reproduce", "toy", "--out", str(tmp_path)]) == 1
    assert old.read_text() == "yesterday's"
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".toy-")] == [old.name]
    reproduce("toy", tmp_path)
    assert runs == ["first", "second"]


def test_other_settings_do_not_overwrite_a_finished_run(tmp_path: Path, capsys, runs: list[str]):
    before = reproduce("toy", tmp_path)
    capsys.readouterr()
    words = ["reproduce", "toy", "--out", str(tmp_path), "--factor", "2"]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path / 'toy.json'} is of other settings (factor = 1.0)" in error
    assert "--force" in error
    assert len(runs) == 2
    assert reproduce("toy", tmp_path).record == before.record
    assert reproduce("toy", tmp_path, "--factor", "2", "--force").record != before.record
    (tmp_path / "toy.json").write_text("[]")
    assert main(words) == 1
    assert "toy.json is no record of a run: --force" in capsys.readouterr().err
    assert len(runs) == 6


@pytest.mark.parametrize("ending", ["png", "json"])
def test_a_folder_in_the_place_of_a_file_is_named_before_the_work(
    ending: str, tmp_path: Path, capsys, runs: list[str]
):
    (tmp_path / f"toy.{ending}").mkdir()
    assert main(["reproduce", "toy", "--out", str(tmp_path)]) == 1
    assert f"toy.{ending} is a folder" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1
    assert runs == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # np.load
@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01."])
def test_a_part_that_is_damaged_is_computed_again(
    content: bytes, interrupted: list[str], tmp_path: Path
):
    assert main(["reproduce", "toy", "--out", str(tmp_path)]) == 130
    (part,) = tmp_path.rglob("first.npz")
    part.write_bytes(content)
    reproduce("toy", tmp_path)
    assert interrupted == ["first", "interrupted", "first", "second"]


def test_all_runs_what_is_not_there_yet_and_prints_one_table(
    tmp_path: Path, capsys, monkeypatch, runs: list[str]
):
    other = dataclasses.replace(toy.EXPERIMENT, name="other")
    monkeypatch.setattr(command_line, "EXPERIMENTS", {"toy": toy.EXPERIMENT, "other": other})
    words = ["reproduce", "all", "--out", str(tmp_path)]
    reproduce("toy", tmp_path)
    capsys.readouterr()
    assert main(words) == 0
    assert runs == ["first", "second"] * 2
    table = capsys.readouterr().out.rpartition("all experiments")[2]
    for name in ("toy", "other"):
        assert table.count(f"{name} ") == 2  # a row for each claim
    assert (table.count("does not hold"), table.count("holds")) == (2, 2)
    assert main([*words, "--force"]) == 0
    assert len(runs) == 8
    monkeypatch.setenv("TOY_FOLDER", "there")
    assert main(words) == 1
    assert "toy.json is of other settings (folder = )" in capsys.readouterr().err
    assert len(runs) == 8


def test_an_unwritable_folder_is_named_before_the_work(tmp_path: Path, capsys, runs):
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        assert main(["reproduce", "toy", "--out", str(out)]) == 1
        error = capsys.readouterr().err
        assert "choose another --out" in error
        assert str(out) in error
    assert runs == []


BAD = {
    "unknown experiment": (["reproduce", "figure-9"], "unknown experiment 'figure-9': choose from"),
    "unknown command": (["repeat"], "No such command 'repeat'"),
    "unknown option": (["reproduce", "toy", "--depth", "3"], "No such option"),
    "unknown preset": (["reproduce", "toy", "--preset", "huge"], "'huge' is not one of"),
    "word for a number": (["reproduce", "toy", "--factor", "small"], "not a valid float"),
    "fraction for a count": (["reproduce", "toy", "--count", "2.5"], "not a valid int"),
    "list with a word": (["reproduce", "toy", "--powers", "50,many"], "not a list of int"),
    "list with a zero": (["reproduce", "toy", "--powers", "50,0"], "powers must be at least 1"),
    "too few": (["reproduce", "toy", "--count", "1"], "count must be at least 2, got 1"),
    "zero": (["reproduce", "toy", "--factor", "0"], "factor must be a finite number > 0"),
    "negative": (["reproduce", "toy", "--shift", "-1"], "shift must be a finite number >= 0"),
    "nan": (["reproduce", "toy", "--shift", "nan"], "shift must be a finite number >= 0"),
    "seed of 33 bits": (["reproduce", "toy", "--seed", str(2**32)], "seed must be at most 42949"),
    "seed of 64 bits": (["reproduce", "toy", "--seed", str(2**63)], "seed must be at most 42949"),
    "count beyond JAX": (["reproduce", "toy", "--count", str(2**31)], "count must be at most 2147"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_gives_one_line(case: str, tmp_path: Path, capsys):
    arguments, message = BAD[case]
    assert message in refusal(capsys, tmp_path, *arguments)


def test_without_the_extra_the_command_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from jaxmargin.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'jaxmargin[experiments]'" in done.stderr
    assert done.stderr.count("\n") == 1
