from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wsproxy.errors import RecordingError
from wsproxy.recording.aside import aside, aside_file


def test_what_is_written_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with aside(out) as directory:
        assert directory.parent == out.parent
        assert directory.name.startswith(".out.")
        assert not out.exists()
        (directory / "file").write_bytes(b"x")
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["file"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


def test_an_empty_directory_is_replaced(tmp_path: Path) -> None:
    with aside(tmp_path) as directory:
        (directory / "file").write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RecordingError, SystemExit])
def test_nothing_is_left_of_what_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with aside(tmp_path / "out") as directory:
            (directory / "file").write_bytes(b"x")
            raise error

    with pytest.raises(error):
        fail()
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path: Path) -> None:
    for name, make in (("file", Path.touch), ("directory", Path.mkdir)):
        make(tmp_path / name)
    (tmp_path / "directory" / "something").touch()
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "directory"):
        with (
            pytest.raises(RecordingError, match=f"{name} is there already"),
            aside(tmp_path / name),
        ):
            pytest.fail("it has begun")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_came_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def meanwhile() -> None:
        with aside(out):
            out.mkdir()
            (out / "other").touch()

    with pytest.raises(RecordingError, match="out cannot be made"):
        meanwhile()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "other"]


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    with pytest.raises(RecordingError, match="out cannot be made"), aside(out):
        pytest.fail("it has begun")


def test_directories_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    with aside(tmp_path / "out"):
        pass
    assert synced == [(tmp_path / "out").stat().st_ino, tmp_path.stat().st_ino]


def test_a_file_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with aside_file(out) as file:
        file.write(b"x")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert out.read_bytes() == b"x"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device"), RecordingError),
    ],
)
def test_a_file_that_fails_leaves_nothing(
    tmp_path: Path, error: BaseException, raised: type[BaseException]
) -> None:
    def write() -> None:
        with aside_file(tmp_path / "out") as file:
            file.write(b"x")
            raise error

    with pytest.raises(raised, match=r"cannot be written: No space|^$"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def write() -> None:
        with aside_file(out) as file:
            file.write(b"theirs")
            out.write_bytes(b"mine")

    for _ in range(2):  # it comes while ours is written; it is there before
        with pytest.raises(RecordingError, match="is there already"):
            write()
        assert out.read_bytes() == b"mine"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
