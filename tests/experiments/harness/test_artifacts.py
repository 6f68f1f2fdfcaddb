"""Files of a run: both or neither, numbers that JSON has, and parts that are kept until the end."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from jaxmargin.experiments.harness.artifacts import Parts, prepare_folder, save, to_json, versions
from jaxmargin.experiments.harness.plots import house_style
from tests.experiments.harness import toy


def test_json_has_null_for_numbers_that_are_not_finite():
    values = np.array([[1.5, np.nan], [np.inf, -np.inf]])
    assert to_json(values) == [[1.5, None], [None, None]]
    assert to_json(np.arange(3)) == [0, 1, 2]
    assert to_json(np.array(True)) is True


def test_float32_survives_json_to_the_last_digit():
    values = np.random.default_rng(0).normal(size=20).astype(np.float32)
    back = np.array(json.loads(json.dumps(to_json(values))), np.float32)
    np.testing.assert_array_equal(back, values)


def test_numbers_without_a_json_form_leave_neither_file(tmp_path: Path):
    """The picture was drawn by then."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(tmp_path, "toy", toy.Settings(), {"x": np.array(1j)}, [], Figure())
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_and_tried(tmp_path: Path):
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="choose another --out"):
        prepare_folder(tmp_path / "file")


def test_versions_name_what_computes():
    assert {"python", "jaxmargin", "jax", "jaxlib", "numpy", "device"} <= versions().keys()


def test_parts_are_taken_up_with_the_same_settings_only_and_go_at_the_end(tmp_path: Path):
    computed = []

    def compute():
        computed.append(1)
        return {"x": np.array([1.0, np.nan]), "y": np.arange(3)}

    def parts(**settings) -> Parts:
        return Parts(tmp_path, "toy", toy.Settings(**settings))

    first = parts().get("one", compute)
    again = parts().get("one", compute)
    assert len(computed) == 1
    np.testing.assert_array_equal(first["x"], again["x"])
    assert again["y"].dtype == first["y"].dtype
    parts(count=9).get("one", compute)
    parts().get("two", compute)
    assert len(computed) == 3
    parts().clear()
    parts(count=9).clear()
    assert not list(tmp_path.iterdir())


def test_parts_that_nobody_took_up_are_removed_in_the_end(tmp_path: Path):
    """Those of other settings, and not of other experiments; after a month."""
    folders = []
    for name, count in (("toy", 7), ("toy", 8), ("toy-2", 7)):
        before = set(tmp_path.iterdir())
        Parts(tmp_path, name, toy.Settings(count=count)).get("one", lambda: {"x": np.zeros(2)})
        folders += set(tmp_path.iterdir()) - before
    old, young, other = folders
    for folder in (old, other):
        os.utime(folder, (0, 0))
    Parts(tmp_path, "toy", toy.Settings()).clear()
    assert set(tmp_path.iterdir()) == {young, other}


def test_a_file_that_cannot_be_written_leaves_none(tmp_path: Path):
    (tmp_path / "toy.pdf").mkdir()
    with pytest.raises(IsADirectoryError, match=r"toy\.pdf is a folder"):
        save(tmp_path, "toy", toy.Settings(), {}, [], Figure())
    assert [path.name for path in tmp_path.iterdir()] == ["toy.pdf"]


def test_pictures_of_one_run_are_the_same_bytes(tmp_path: Path):
    """No date, no random names."""
    made = []
    for _ in range(2):
        with house_style():
            figure = toy.plot(toy.Settings(), {"first": np.arange(3)})
            made.append(save(tmp_path, "toy", toy.Settings(), {}, [], figure)[:3])
        made[-1] = [path.read_bytes() for path in made[-1]]
    assert made[0] == made[1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # np.load
def test_a_broken_part_is_computed_again(tmp_path: Path):
    parts = Parts(tmp_path, "toy", toy.Settings())
    parts.get("one", lambda: {"x": np.zeros(2)})
    (stored,) = tmp_path.rglob("one*")
    stored.write_bytes(stored.read_bytes()[:50])
    assert parts.get("one", lambda: {"x": np.ones(2)})["x"].tolist() == [1.0, 1.0]
