from pathlib import Path

import pytest

from shared.errors import InputError
from shared.whole_files import replaced, writable, write_whole


def test_a_file_is_written_with_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, b"old")
    write_whole(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_until_all_is_written_and_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt), replaced(path) as temporary:
        temporary.write_bytes(b"half of it")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with replaced(path) as one, replaced(path) as other:
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert path.read_bytes() == b"one"  # the last to end


@pytest.mark.parametrize(("what", "sentence"), [("", "cannot be written"), ("the record", "the record cannot be written")])
def test_what_cannot_be_written_is_told(tmp_path: Path, what: str, sentence: str) -> None:
    path = tmp_path / "none" / "report.json"
    with pytest.raises(InputError) as caught, writable(path, what):
        write_whole(path, b"new")
    assert str(caught.value) == f"{path}: {sentence} (No such file or directory)"
