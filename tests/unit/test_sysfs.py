"""Sysfs shows kobjects by path, and refuses with Linux's errno."""

import errno
from typing import Any

import pytest

from siov.host.kobject import KObject, KSet, RootKObject
from siov.host.linux import LinuxError, TraceEvent
from siov.host.sysfs import (
    ATTR_RO,
    ATTR_RW,
    ATTR_WO,
    AttributeGroup,
    BinAttribute,
    Sysfs,
    sysfs_create_file,
    sysfs_create_groups,
    sysfs_create_link,
    sysfs_remove_groups,
    sysfs_remove_link,
)


class World:
    """/sys/top/one and /sys/top/two, and a trace."""

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self.sysfs = Sysfs()
        self.root = RootKObject(self.sysfs, self.events.append)
        self.top = self.add("top", self.root)
        self.one = self.add("one", self.top)
        self.two = self.add("two", self.top)

    def add(self, name: str, parent: KObject) -> KObject:
        kobj = KObject(name, parent=parent)
        kobj.add()
        return kobj


@pytest.fixture
def world() -> World:
    return World()


def show_name(kobj: KObject) -> str:
    return f"{kobj.name}\n"


def ignore(kobj: KObject, data: bytes) -> None:
    pass


def refused(number: int) -> Any:
    class Refused:
        def __enter__(self) -> None:
            self.context = pytest.raises(LinuxError)
            self.info = self.context.__enter__()

        def __exit__(self, *exc: Any) -> bool:
            caught = self.context.__exit__(*exc)
            assert self.info.value.errno == number, self.info.value
            return bool(caught)

    return Refused()


def test_a_callback_gets_the_kobject_its_file_was_created_on(world):
    name = ATTR_RO(show_name)
    sysfs_create_file(world.one, name)
    sysfs_create_file(world.two, name)
    assert world.sysfs.read("/sys/top/one/show_name") == b"one\n"
    assert world.sysfs.read("/sys/top/two/show_name") == b"two\n"


def test_a_kobject_s_type_may_hand_its_callbacks_another_object(world):
    class TypeKObject(KObject):
        def show(self, attr):
            return attr.show(self.parent)

    kobj = TypeKObject("type", parent=world.one)
    kobj.add()
    sysfs_create_file(kobj, ATTR_RO(show_name))
    assert world.sysfs.read("/sys/top/one/type/show_name") == b"one\n"


def test_a_file_is_named_after_its_functions(world):
    def enable_show(kobj):
        return "1\n"

    def enable_store(kobj, data):
        return None

    assert ATTR_RO(enable_show).name == ATTR_WO(enable_store).name == "enable"
    assert ATTR_RW(enable_show, enable_store).mode == 0o644


def test_a_write_reaches_the_store_and_is_traced_from_kernfs_down(world):
    got: list[tuple[str, bytes]] = []

    def create_store(kobj: KObject, data: bytes) -> None:
        got.append((kobj.name, data))

    sysfs_create_file(world.one, ATTR_WO(create_store))
    assert world.sysfs.write("/sys/top/one/create", b"\x00\xff raw\n") == 7
    assert got == [("one", b"\x00\xff raw\n")]
    assert [event.function for event in world.events] == ["kernfs_fop_write_iter", "sysfs_kf_write"]


def test_a_write_only_file_can_t_be_read_nor_a_read_only_one_written(world):
    sysfs_create_file(world.one, ATTR_WO(ignore))
    sysfs_create_file(world.one, ATTR_RO(show_name))
    with refused(errno.EACCES):
        world.sysfs.read("/sys/top/one/ignore")
    with refused(errno.EACCES):
        world.sysfs.write("/sys/top/one/show_name", b"x")


def test_what_a_store_refuses_arrives_with_its_errno(world):
    def bad_store(kobj: KObject, data: bytes) -> None:
        raise OSError(errno.ERANGE, "too big")

    sysfs_create_file(world.one, ATTR_WO(bad_store))
    with refused(errno.ERANGE):
        world.sysfs.write("/sys/top/one/bad", b"x")


def test_an_unknown_path_is_refused_with_what_is_there(world):
    with pytest.raises(LinuxError, match=r"no /sys/top/three/x: /sys/top has one, two$") as info:
        world.sysfs.read("/sys/top/three/x")
    assert info.value.errno == errno.ENOENT
    with refused(errno.ENOENT):
        world.sysfs.listdir("/proc")
    with refused(errno.EISDIR):
        world.sysfs.read("/sys/top/one")
    sysfs_create_file(world.one, ATTR_RO(show_name))
    with refused(errno.ENOTDIR):
        world.sysfs.listdir("/sys/top/one/show_name")
    with refused(errno.ENOTDIR):
        world.sysfs.read("/sys/top/one/show_name/deeper")


@pytest.mark.parametrize(("made", "seen"), [(4095, 4095), (4096, 4095), (10_000, 4095)])
def test_a_text_is_cut_before_it_fills_a_page(world, made, seen):
    def long(kobj: KObject) -> str:
        return "x" * made

    sysfs_create_file(world.one, ATTR_RO(long))
    assert len(world.sysfs.read("/sys/top/one/long")) == seen
    assert bool(world.events) == (made > seen)


def test_one_write_takes_at_most_a_page(world):
    sysfs_create_file(world.one, ATTR_WO(ignore))
    assert world.sysfs.write("/sys/top/one/ignore", bytes(5000)) == 4096


def memory_file(size: Any) -> tuple[BinAttribute, bytearray]:
    memory = bytearray(range(256)) * 40

    def read(kobj: KObject, off: int, count: int) -> bytes:
        assert count <= 4096
        return bytes(memory[off : off + count])

    def write(kobj: KObject, off: int, data: bytes) -> None:
        memory[off : off + len(data)] = data

    return BinAttribute("config", 0o644, size, read, write), memory


def test_a_binary_file_is_read_and_written_at_offsets(world):
    attr, memory = memory_file(256)
    sysfs_create_file(world.one, attr)
    path = "/sys/top/one/config"
    assert world.sysfs.read(path) == bytes(range(256))
    assert world.sysfs.read(path, 250, 100) == bytes(range(250, 256))
    assert world.sysfs.read(path, 256) == b""
    assert world.sysfs.write(path, b"\xaa" * 10, 250) == 6
    assert memory[250:257] == b"\xaa" * 6 + b"\x00"
    with refused(errno.EFBIG):
        world.sysfs.write(path, b"x", 256)
    assert world.sysfs.lstat(path).size == 256


def test_a_binary_file_longer_than_a_page_is_read_whole(world):
    attr, memory = memory_file(0)
    sysfs_create_file(world.one, attr)
    assert world.sysfs.read("/sys/top/one/config") == memory


def test_a_binary_file_s_size_may_depend_on_its_kobject(world):
    attr, _ = memory_file(lambda kobj: {"one": 64, "two": 4096}[kobj.name])
    for kobj, size in ((world.one, 64), (world.two, 4096)):
        sysfs_create_file(kobj, attr)
        assert len(world.sysfs.read(f"/sys/top/{kobj.name}/config")) == size


def test_groups_are_named_or_not_and_hide_what_is_not_visible(world):
    power = AttributeGroup((ATTR_RO(show_name),), name="power")
    plain = AttributeGroup(
        (ATTR_RO(show_name), ATTR_WO(ignore)),
        is_visible=lambda kobj, attr: 0o400 if attr.name == "show_name" and kobj is world.one else 0,
    )
    for kobj in (world.one, world.two):
        sysfs_create_groups(kobj, (power, plain))
    assert world.sysfs.tree("/sys/top/one") == {"power": {"show_name": "0444"}, "show_name": "0400"}
    assert world.sysfs.tree("/sys/top/two") == {"power": {"show_name": "0444"}}
    assert world.sysfs.read("/sys/top/two/power/show_name") == b"two\n"
    sysfs_remove_groups(world.one, (power, plain))
    assert world.sysfs.tree("/sys/top/one") == {}


def test_groups_are_created_all_or_none_and_a_name_s_owner_keeps_it(world):
    sysfs_create_file(world.one, ATTR_WO(ignore))
    groups = (AttributeGroup((ATTR_RO(show_name),), name="power"), AttributeGroup((ATTR_WO(ignore),)))
    with refused(errno.EEXIST):
        sysfs_create_groups(world.one, groups)
    assert world.sysfs.listdir("/sys/top/one") == ["ignore"]


def test_removing_a_group_leaves_another_s_file_of_the_same_name_alone(world):
    sysfs_create_file(world.one, ATTR_WO(ignore))
    sysfs_remove_groups(world.one, (AttributeGroup((ATTR_WO(ignore, mode=0o220),)),))
    assert world.sysfs.listdir("/sys/top/one") == ["ignore"]


def test_a_link_is_relative_and_paths_go_through_it(world):
    deep = world.add("deep", world.one)
    sysfs_create_file(deep, ATTR_RO(show_name))
    sysfs_create_link(world.two, deep, "link")
    sysfs_create_link(deep, world.top, "up")
    assert world.sysfs.readlink("/sys/top/two/link") == "../one/deep"
    assert world.sysfs.readlink("/sys/top/one/deep/up") == "../../../top"
    assert world.sysfs.realpath("/sys/top/two/link/up/two/link/../deep") == "/sys/top/one/deep"
    assert world.sysfs.read("/sys/top/two/link/show_name") == b"deep\n"
    assert world.sysfs.kobject("/sys/top/two/link") is deep
    with refused(errno.EINVAL):
        world.sysfs.readlink("/sys/top/one")


def test_a_link_to_what_is_gone_dangles(world):
    sysfs_create_link(world.two, world.one, "link")
    world.one.delete()
    with pytest.raises(LinuxError, match="leads to is gone"):
        world.sysfs.listdir("/sys/top/two/link")
    assert world.sysfs.readlink("/sys/top/two/link") == "../one"
    sysfs_remove_link(world.two, "link")
    assert world.sysfs.listdir("/sys/top/two") == []


def test_removing_a_link_leaves_a_file_of_that_name_alone(world):
    sysfs_create_file(world.one, ATTR_WO(ignore))
    sysfs_remove_link(world.one, "ignore")
    assert world.sysfs.listdir("/sys/top/one") == ["ignore"]


def test_a_removed_kobject_takes_its_files_along_and_gives_its_parent_back(world):
    sysfs_create_file(world.one, ATTR_RO(show_name))
    before = world.top.refcount
    world.one.delete()
    assert world.top.refcount == before - 1
    assert world.sysfs.listdir("/sys/top") == ["two"]
    assert world.one.path == "/top/one"


def test_the_last_put_removes_and_releases_once(world):
    world.one.get()
    world.one.put()
    assert world.one.sd is not None
    world.one.put()
    assert world.one.sd is None
    assert [event.function for event in world.events] == ["kobject_release"]


def test_a_slash_in_a_name_becomes_an_exclamation_mark(world):
    world.add("a/b", world.top)
    assert "a!b" in world.sysfs.listdir("/sys/top")


@pytest.mark.parametrize("name", ["", ".", "..", "nul\0"])
def test_a_name_that_no_path_could_reach_is_refused(world, name):
    with refused(errno.EINVAL):
        world.add(name, world.top)


def test_a_kset_keeps_the_order_and_a_walk_outlives_changes(world):
    kset: KSet[KObject] = KSet("set", parent=world.root)
    kset.add()
    members = [KObject(name, kset=kset) for name in "cab"]
    for kobj in members:
        kobj.add()
    assert kset.names() == ["c", "a", "b"]
    assert kset.find("a") is members[1]
    assert world.sysfs.listdir("/sys/set") == ["a", "b", "c"]
    walk = iter(kset)
    assert next(walk).name == "c"
    members[1].delete()
    assert [kobj.name for kobj in walk] == ["b"]
    assert [kobj.name for kobj in reversed(kset)] == ["b", "c"]
    for kobj in (members[0], members[2]):
        kobj.delete()
    assert kset.refcount == 1


def test_walk_shows_every_name_a_directory_before_its_content(world):
    sysfs_create_file(world.one, ATTR_RO(show_name))
    sysfs_create_link(world.two, world.one, "link")
    assert [str(entry) for entry in world.sysfs.walk()] == [
        "drwxr-xr-x /sys",
        "drwxr-xr-x /sys/top",
        "drwxr-xr-x /sys/top/one",
        "-r--r--r-- /sys/top/one/show_name",
        "drwxr-xr-x /sys/top/two",
        "lrwxrwxrwx /sys/top/two/link -> ../one",
    ]
