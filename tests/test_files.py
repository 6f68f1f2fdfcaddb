"""Files that are written whole or not at all, and archives of arrays."""

from pathlib import Path

import numpy as np
import pytest

from jaxmargin._files import load_arrays, save_arrays, written_whole


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
