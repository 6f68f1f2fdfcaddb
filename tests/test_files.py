"""Files that are written whole or not at all, and archives of arrays."""

import os
from pathlib import Path

import numpy as np
import pytest

from jaxmargin._files import load_arrays, require_writable, save_arrays, written_whole


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "result.txt"
    with written_whole(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"

    def interrupted() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_what_it_names_is_written(tmp_path: Path):
    there = tmp_path / "there"
    there.mkdir()
    link = tmp_path / "link.npz"
    link.symlink_to(there / "arrays.npz")
    for value in range(2):
        save_arrays(link, {"a": np.array(value)})
        assert link.is_symlink()
        assert load_arrays(there / "arrays.npz")["a"] == value
    assert [path.name for path in there.iterdir()] == ["arrays.npz"]


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path):
    path = tmp_path / "arrays.npz"

    with written_whole(path) as old, written_whole(path) as young:
        os.utime(old, (0, 0))
        save_arrays(path, {"a": np.zeros(2)})
        assert not old.exists()
        assert young.exists()
        old.touch()


def test_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    require_writable(tmp_path / "new")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent for new: make it"):
        require_writable(tmp_path / "absent" / "new")
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        require_writable(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="may not be written to: choose another folder"):
        require_writable(tmp_path / "new")


def test_arrays_come_back_bit_by_bit(tmp_path: Path):
    path = tmp_path / "arrays.npz"
    arrays = {
        "a/b": np.array([[1.5, np.nan], [-0.0, np.inf]], "float32"),
        "word": np.array("identity"),
        "none": np.zeros((0, 3)),
        "truth": np.array(True),
    }
    save_arrays(path, arrays)
    found = load_arrays(path)
    assert found.keys() == arrays.keys()
    for name, expected in arrays.items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert found[name].tobytes() == expected.tobytes()


def test_what_is_no_archive_is_refused(tmp_path: Path):
    path = tmp_path / "arrays.npz"
    with pytest.raises(FileNotFoundError):
        load_arrays(path)
    save_arrays(path, {"a": np.arange(1000)})
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"arrays\.npz is not an archive of arrays"):
            load_arrays(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="but a single array"):
        load_arrays(path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # np.load
def test_each_damaged_byte_is_noticed_or_changes_nothing(tmp_path: Path):
    path = tmp_path / "arrays.npz"
    save_arrays(path, {"a": np.arange(3.0)})
    whole = path.read_bytes()
    damaged, refused = tmp_path / "damaged.npz", 0
    for place in range(len(whole)):
        for value in (whole[place] ^ 1, whole[place] ^ 128, 255):
            damaged.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                found = load_arrays(damaged)
            except ValueError:
                refused += 1
                continue
            assert [array.tolist() for array in found.values()] == [[0.0, 1.0, 2.0]]
    assert refused > 2 * len(whole)
