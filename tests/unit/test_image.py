"""The rig in the user's cache folder: where it is, when it is rebuilt, and what an interruption leaves."""

import errno
import json
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from siov.errors import RigError
from siov.guests import image, initramfs
from siov.guests.image import Recipe, Rig, default_path, fetch
from siov.guests.packages import Package

PLAN = [
    Package("qemu-system-x86_1%3a11.1_amd64.deb", 1, "SHA256", ""),
    Package("linux-image-6.12-amd64_6.12-1_amd64.deb", 1, "SHA256", ""),
]


class FakeApt:
    """In place of apt: unpacks small trees of the right shape, and counts."""

    unpacked = 0
    interrupt = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.archives = folder
        self.mirror = "http://a.example/debian"

    def update(self) -> None: ...

    def plan(self) -> list[Package]:
        return PLAN

    def download(self, packages: Iterable[Package]) -> None: ...

    def keep_only(self, packages: Iterable[Package]) -> None: ...

    def unpack(self, packages: Iterable[Package], into: Path) -> None:
        (package,) = packages
        if package is PLAN[0]:
            files = [image.QEMU]
        else:
            files = ["boot/vmlinuz-6.12-amd64", "usr/lib/modules/6.12-amd64/modules.order"]
            if FakeApt.interrupt:
                raise KeyboardInterrupt
        for file in files:
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            (into / file).write_text(package.file)
        FakeApt.unpacked += 1


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image, "Apt", FakeApt)
    monkeypatch.setattr(FakeApt, "unpacked", 0)
    monkeypatch.setattr(initramfs, "build", lambda root, modules: modules.name.encode())
    monkeypatch.setenv("SIOV_RIG", str(tmp_path / "cache" / "rig"))
    return tmp_path / "cache" / "rig"


def quiet(line: str) -> None: ...


def change_recipe(path: Path, part: str) -> None:
    data = json.loads((path / "rig.json").read_text())
    data["recipe"][part] = "of before"
    (path / "rig.json").write_text(json.dumps(data))


def test_the_rig_is_in_the_users_cache_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIOV_RIG", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_path() == Path("/home/me/.cache/siov/rig")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_path() == Path("/caches/siov/rig")
    monkeypatch.setenv("SIOV_RIG", "/elsewhere")
    assert default_path() == Path("/elsewhere")


def test_a_fetched_rig_is_found_with_its_parts_and_versions(path: Path) -> None:
    rig = fetch(quiet)
    assert rig == Rig.find()
    assert rig.kernel_release == "6.12-amd64"
    assert rig.versions == {"qemu-system-x86": "1:11.1", "linux-image-6.12-amd64": "6.12-1"}
    assert rig.initramfs.read_bytes() == b"6.12-amd64"
    assert rig.vmlinuz.is_file()
    assert (rig.modules / "modules.order").is_file()
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rig", "rig.lock", "rig.packages"]


def test_programs_of_the_rig_run_with_its_own_loader_and_libraries(path: Path) -> None:
    rig = fetch(quiet)
    argv = rig.lspci_argv("-F", "dump")
    assert argv[0] == f"{path}/root/usr/lib64/ld-linux-x86-64.so.2"
    assert argv[1:3] == ["--library-path", f"{path}/root/usr/lib/x86_64-linux-gnu"]
    assert argv[-4:] == ["-i", f"{path}/root/usr/share/misc/pci.ids", "-F", "dump"]
    assert f"{path}/root/{image.QEMU}" in rig.qemu_argv()


def test_a_second_fetch_builds_nothing_and_force_builds_all(path: Path) -> None:
    fetch(quiet)
    assert FakeApt.unpacked == 2
    fetch(quiet)
    assert FakeApt.unpacked == 2
    fetch(quiet, force=True)
    assert FakeApt.unpacked == 4


def test_another_recipe_of_the_initramfs_rebuilds_only_that(path: Path) -> None:
    fetch(quiet)
    change_recipe(path, "initramfs")
    (path / "initramfs.cpio").write_bytes(b"of before")
    with pytest.raises(RigError, match="of another recipe; rebuild it with 'siov vm fetch'"):
        Rig.find()
    fetch(quiet)
    assert FakeApt.unpacked == 2
    assert Rig.find().initramfs.read_bytes() == b"6.12-amd64"


def test_another_recipe_of_the_packages_rebuilds_all(path: Path) -> None:
    fetch(quiet)
    change_recipe(path, "packages")
    fetch(quiet)
    assert FakeApt.unpacked == 4
    assert Rig.find().recipe == Recipe.current()


@pytest.mark.parametrize("part", ["init", "initramfs.py", "cpio.py", "modules.py", "packages.py"])
def test_the_recipe_changes_with_each_file_that_carries_it_out(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Recipe.current()
    copy = tmp_path / "guests"
    copy.mkdir()
    for source in Path(image.__file__).parent.iterdir():
        if source.is_file():
            (copy / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr("siov.guests.image.resources.files", lambda package: copy)
    assert Recipe.current() == before
    (copy / part).write_bytes((copy / part).read_bytes() + b"\n")
    after = Recipe.current()
    assert (after.packages != before.packages) is (part == "packages.py")
    assert (after.initramfs != before.initramfs) is (part != "packages.py")


def test_an_interrupted_fetch_leaves_the_former_rig_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeApt, "interrupt", True)
    with pytest.raises(KeyboardInterrupt):
        fetch(quiet)
    assert not path.exists()
    monkeypatch.setattr(FakeApt, "interrupt", False)
    fetch(quiet)
    monkeypatch.setattr(FakeApt, "interrupt", True)
    with pytest.raises(KeyboardInterrupt):
        fetch(quiet, force=True)
    assert Rig.find().vmlinuz.is_file()
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rig", "rig.lock", "rig.packages"]


def test_what_a_killed_fetch_left_is_removed_by_the_next(path: Path) -> None:
    leftover = path.parent / "rig.abc-building"
    (leftover / "rig").mkdir(parents=True)
    fetch(quiet)
    assert not leftover.exists()


def test_fetches_at_the_same_time_build_once(path: Path) -> None:
    threads = [threading.Thread(target=fetch, args=(quiet,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert FakeApt.unpacked == 2


@pytest.mark.parametrize("content", [None, "", "{}", '{"recipe": 1}', '{"recipe": {"packages": "x"}}', "[]"])
def test_a_missing_or_broken_rig_is_told_with_the_next_step(path: Path, content: str | None) -> None:
    if content is not None:
        path.mkdir(parents=True)
        (path / "rig.json").write_text(content)
    with pytest.raises(RigError, match=r"no guest rig at .*; build it with 'siov vm fetch'"):
        Rig.find()


def test_a_rig_without_qemu_is_told_with_the_next_step(path: Path) -> None:
    rig = fetch(quiet)
    (rig.root / image.QEMU).unlink()
    with pytest.raises(RigError, match=r"QEMU is missing .*'siov vm fetch --force'"):
        rig.qemu_argv()


def test_a_cache_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RigError, match="the guest rig can't be made at"):
        fetch(quiet, tmp_path / "file" / "rig")


def test_a_full_disk_is_told_and_leaves_the_former_rig(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(quiet)

    def build(root: Path, modules: Path) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(initramfs, "build", build)
    with pytest.raises(RigError, match=r"can't be made at .*: .*No space left on device"):
        fetch(quiet, force=True)
    assert Rig.find().initramfs.read_bytes() == b"6.12-amd64"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rig", "rig.lock", "rig.packages"]


def test_another_processor_than_the_rigs_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(RigError, match="for x86_64 and this machine is riscv64"):
        fetch(quiet)
