"""A sysfs as a file system: what the kernel asks is answered, and real programs see the tree."""

import errno
import struct
import sys

import pytest

from siov.cli.main import main
from siov.control import fuse
from siov.control.fuse import FuseServer, Opcode
from siov.control.server import ControlServer
from siov.errors import SiovError
from siov.host.core import DriverCore
from siov.host.kobject import KObject
from siov.host.linux import LinuxError
from siov.host.sysfs import ATTR_RO, ATTR_RW, ATTR_WO, Sysfs, sysfs_create_file, sysfs_create_link

BIG = "x" * 4000 + "\n"


@pytest.fixture
def tree() -> Sysfs:
    """/sys/devices/a with a file that can be read, one that can be both, one that refuses, and a link."""
    core = DriverCore()
    a = KObject("a", kset=core.devices_kset)
    a.add()
    kept = {"value": "start\n"}

    def refuse_store(kobj: object, data: bytes) -> None:
        raise LinuxError(errno.EUSERS, "0 are left")

    def value_store(kobj: object, data: bytes) -> None:
        kept["value"] = data.decode()

    def big_show(kobj: object) -> str:
        return BIG

    def value_show(kobj: object) -> str:
        return kept["value"]

    for attr in (ATTR_RO(big_show), ATTR_RW(value_show, value_store), ATTR_WO(refuse_store)):
        sysfs_create_file(a, attr)
    sysfs_create_link(core.bus_kset, a, "link")
    return core.sysfs


@pytest.fixture
def mountable(tree: Sysfs) -> None:
    try:
        fuse.run(tree, ["true"])
    except SiovError as why:
        pytest.skip(str(why))


def ask(server: FuseServer, opcode: int, node: int = 1, body: bytes = b"") -> tuple[int, bytes]:
    """One request: the errno, and the reply's body."""
    request = struct.pack("<IIQQIIII", 40 + len(body), opcode, 77, node, 0, 0, 0, 0) + body
    reply = server.answer(request)
    assert reply is not None
    length, error, unique = struct.unpack_from("<IiQ", reply)
    assert (length, unique) == (len(reply), 77)
    return -error, reply[16:]


def look_up(server: FuseServer, *names: str) -> int:
    node = 1
    for name in names:
        error, reply = ask(server, Opcode.LOOKUP, node, name.encode() + b"\0")
        assert error == 0
        node = struct.unpack_from("<Q", reply)[0]
    return node


def test_a_kernel_that_is_too_old_is_refused_and_a_newer_one_gets_ours(tree):
    server = FuseServer(tree, -1)
    error, reply = ask(server, Opcode.INIT, 0, struct.pack("<IIII", 7, 40, 0, 0))
    assert (error, struct.unpack_from("<II", reply), len(reply)) == (0, (7, 31), 64)
    assert ask(server, Opcode.INIT, 0, struct.pack("<IIII", 7, 8, 0, 0))[0] == errno.EPROTO


def test_what_is_not_known_is_refused_with_an_errno(tree):
    server = FuseServer(tree, -1)
    assert ask(server, Opcode.LOOKUP, 1, b"nothing\0")[0] == errno.ENOENT
    assert ask(server, Opcode.GETATTR, 99)[0] == errno.ESTALE
    assert ask(server, 4095)[0] == errno.ENOSYS


def test_a_node_is_the_same_until_it_is_forgotten_and_nothing_is_kept_after(tree):
    server = FuseServer(tree, -1)
    first = look_up(server, "devices", "a")
    assert look_up(server, "devices", "a") == first
    known = len(server._paths)
    devices = look_up(server, "devices")
    header = struct.pack("<IIQQIIII", 0, Opcode.BATCH_FORGET, 0, 0, 0, 0, 0, 0)
    forget = struct.pack("<IIQQQQ", 2, 0, first, 2, devices, 3)
    assert server.answer(header + forget) is None
    assert (known, len(server._paths), len(server._lookups)) == (3, 1, 0)
    assert ask(server, Opcode.GETATTR, first)[0] == errno.ESTALE


def test_a_directory_is_told_in_as_many_pieces_as_it_is_asked_for(tree):
    server = FuseServer(tree, -1)
    names, offset = [], 0
    while True:
        error, reply = ask(server, Opcode.READDIR, 1, struct.pack("<QQIIQII", 0, offset, 40, 0, 0, 0, 0))
        assert error == 0
        if not reply:
            break
        _, offset, length, _ = struct.unpack_from("<QQII", reply)
        names.append(reply[24 : 24 + length].decode())
    assert names == [".", "..", "bus", "class", "devices"]


def shell(tree: Sysfs, script: str, tmp_path) -> tuple[int, str]:
    """A shell for which /sys is the tree: its status and what it wrote."""
    out = tmp_path / "out"
    status = fuse.run(tree, ["sh", "-c", f"exec >{out} 2>&1; {script}"])
    return status, out.read_text()


@pytest.mark.usefixtures("mountable")
def test_programs_list_read_and_write_and_the_exit_status_is_theirs(tree, tmp_path):
    assert shell(tree, "ls /sys /sys/bus; exit 7", tmp_path) == (
        7,
        "/sys:\nbus\nclass\ndevices\n\n/sys/bus:\nlink\n",
    )
    assert shell(tree, "readlink /sys/bus/link; cat /sys/bus/link/value", tmp_path) == (
        0,
        "../devices/a\nstart\n",
    )
    assert shell(tree, "cat /sys/devices/a/big", tmp_path)[1] == BIG
    assert shell(tree, "echo 5 >/sys/devices/a/value && cat /sys/devices/a/value", tmp_path) == (0, "5\n")
    assert tree.read("/sys/devices/a/value") == b"5\n"


@pytest.mark.usefixtures("mountable")
def test_programs_get_the_errno_of_a_store_and_of_modes(tree, tmp_path):
    script = "\n".join(
        [
            "import os",
            "for path, flags in (('refuse', os.O_WRONLY), ('none', os.O_RDONLY)):",
            "    try:",
            "        os.write(os.open('/sys/devices/a/' + path, flags), b'1')",
            "    except OSError as why:",
            "        print(why.errno)",
        ]
    )
    out = tmp_path / "errors"
    status = fuse.run(tree, ["sh", "-c", f'exec >{out}; exec "$0" -c "$1"', sys.executable, script])
    assert (status, out.read_text().split()) == (0, [str(errno.EUSERS), str(errno.ENOENT)])


@pytest.mark.usefixtures("mountable")
def test_a_program_that_there_is_not_is_status_127(tree):
    assert fuse.run(tree, ["/nonexistent/program"]) == 127


@pytest.mark.usefixtures("mountable")
def test_a_running_server_s_sysfs_is_seen_through_its_control_socket(tree, tmp_path, monkeypatch):
    class Platform:
        sysfs = tree

    out = tmp_path / "out"
    script = f"echo far >/sys/devices/a/value; cat /sys/bus/link/value >{out}; exit 3"
    with ControlServer(Platform(), tmp_path / "c"):
        assert main(["sysfs", "--control", str(tmp_path / "c"), "sh", "-c", script]) == 3
    assert out.read_text() == "far\n"


def test_without_a_server_nothing_is_run(tmp_path, capsys):
    assert main(["sysfs", "--control", str(tmp_path / "c"), "touch", str(tmp_path / "ran")]) == 2
    assert "no server listens" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
