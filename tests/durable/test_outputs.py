"""Outputs: never written through a link, but for what this process has open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fourfold.durable.outputs import check_no_link, open_descriptor, open_output, write_output


def test_what_this_process_has_open() -> None:
    """The names of standard output and of other open files are theirs; nothing else is."""
    paths: list[str | Path] = [
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/fd/7",
        "/proc/self/fd/12",
        Path("/dev/stdout"),
    ]
    assert [open_descriptor(path) for path in paths] == [0, 1, 2, 7, 12, 1]
    for path in ("/dev/null", "stdout", "/dev/stdout/", "/dev/fd/", "/dev/fd/1x", "/tmp/dev/stdout", "/proc/1/fd/1"):
        assert open_descriptor(path) is None


@pytest.mark.parametrize("target", ["there", "nowhere", "link"])
def test_a_link_is_not_written_through(tmp_path: Path, target: str) -> None:
    """Whether it leads to a file, nowhere or to itself: it is refused with where it leads, and nothing is made."""
    (tmp_path / "there").write_text("data")
    (tmp_path / "link").symlink_to(target)
    before = sorted(path.name for path in tmp_path.iterdir())
    for write in (
        lambda: check_no_link(tmp_path / "link"),
        lambda: write_output(tmp_path / "link", b"new"),
        lambda: open_output(tmp_path / "link", os.O_RDWR),
    ):
        with pytest.raises(OSError, match=f"symbolic link to '{target}'"):
            write()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "there").read_text() == "data"


def test_a_link_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that appears after the look is not followed either."""
    (tmp_path / "there").write_text("data")
    (tmp_path / "link").symlink_to("there")
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)
    with pytest.raises(OSError, match="symbolic link"):
        write_output(tmp_path / "link", b"new")
    assert (tmp_path / "there").read_text() == "data"


def test_a_file_is_replaced_and_a_descriptor_written(tmp_path: Path) -> None:
    """A file holds what was written last; an open file goes on where it is, and stays open."""
    path = tmp_path / "file"
    write_output(path, b"a longer text")
    write_output(path, b"short")
    assert path.read_bytes() == b"short"
    with path.open("ab") as file:
        write_output(Path(f"/dev/fd/{file.fileno()}"), b" and more")
        file.write(b".")
    assert path.read_bytes() == b"short and more."
