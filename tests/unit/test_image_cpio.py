"""The initramfs writer, read back by a reader of the format's description."""

import stat
from dataclasses import dataclass

import pytest

from siov.guests.cpio import Cpio
from siov.guests.initramfs import segment


@dataclass
class Entry:
    name: str
    ino: int
    mode: int
    nlink: int
    device: tuple[int, int]
    data: bytes


def read(archive: bytes) -> list[Entry]:
    """Entries of one newc archive, up to its trailer, which must be what the archive ends with."""
    entries: list[Entry] = []
    at = 0
    while True:
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + fields[11]
        name = archive[at + 110 : name_end]
        assert name.endswith(b"\0")
        data_start = (name_end + 3) & ~3
        data = archive[data_start : data_start + fields[6]]
        assert len(data) == fields[6]
        at = (data_start + fields[6] + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return entries
        entries.append(
            Entry(name[:-1].decode(), fields[0], fields[1], fields[4], (fields[9], fields[10]), data)
        )


def test_files_links_folders_and_devices_are_read_back_as_written() -> None:
    cpio = Cpio()
    cpio.folder("tmp", 0o700)
    cpio.file("init", b"#!/bin/sh\n", 0o755)
    cpio.symlink("bin", "usr/bin")
    cpio.character_device("dev/console", 5, 1)
    entries = {entry.name: entry for entry in read(cpio.finish())}
    assert entries["tmp"].mode == stat.S_IFDIR | 0o700
    assert entries["init"].mode == stat.S_IFREG | 0o755
    assert entries["init"].data == b"#!/bin/sh\n"
    assert stat.S_ISLNK(entries["bin"].mode)
    assert entries["bin"].data == b"usr/bin"
    assert entries["dev/console"].mode == stat.S_IFCHR | 0o600
    assert entries["dev/console"].device == (5, 1)


def test_a_folder_stands_once_and_before_what_is_in_it() -> None:
    cpio = Cpio()
    cpio.file("/usr/share/a", b"")
    cpio.file("usr/share/b", b"")
    cpio.folder("usr")
    assert [entry.name for entry in read(cpio.finish())] == ["usr", "usr/share", "usr/share/a", "usr/share/b"]


@pytest.mark.parametrize("length", range(9))
def test_data_and_names_of_every_length_are_padded_to_four_bytes(length: int) -> None:
    cpio = Cpio()
    cpio.file("n" * (length + 1), b"d" * length)
    cpio.file("next", b"x")
    first, second = read(cpio.finish())
    assert (first.name, first.data) == ("n" * (length + 1), b"d" * length)
    assert (second.name, second.data) == ("next", b"x")


def test_no_two_entries_are_hard_links_of_each_other() -> None:
    cpio = Cpio()
    for name in "abc":
        cpio.file(name, name.encode())
    entries = read(cpio.finish())
    assert len({entry.ino for entry in entries}) == 3
    assert {entry.nlink for entry in entries} == {1}


@pytest.mark.parametrize("path", ["there", "/", ""])
def test_an_entry_that_is_there_or_has_no_name_is_refused(path: str) -> None:
    cpio = Cpio()
    cpio.file("there", b"")
    with pytest.raises(ValueError, match="has an entry"):
        cpio.file(path, b"")


def test_a_path_that_leaves_the_archive_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the archive"):
        Cpio().file("a/../../etc/passwd", b"")


def test_files_for_the_guest_do_not_replace_its_links_into_usr() -> None:
    names = [
        entry.name for entry in read(segment({"/bin/x": b"", "/lib/y": b"", "/binary": b"", "/root/z": b""}))
    ]
    assert names == ["usr", "usr/bin", "usr/bin/x", "binary", "usr/lib", "usr/lib/y", "root", "root/z"]
