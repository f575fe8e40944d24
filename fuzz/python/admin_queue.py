"""Admin-queue commands of a driver's choice: descriptors, buffers, registers and resets, through the modelled
device, into its firmware.

    python fuzz/python/admin_queue.py --record CORPUS           # the commands of the tests, as a first corpus
    python fuzz/python/admin_queue.py CORPUS -max_total_time=600 # libFuzzer's options

Whatever comes: no handler raises, every command is answered in its own descriptor and within its own buffer,
nothing else in memory changes, what firmware keeps stays within its limits and agrees with the engine, and
the device still works after a reset.
"""

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# The specification's words come first: they are everywhere, and instrumented they would be slow.
from siov._core import Port  # noqa: E402
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, QueueLength  # noqa: E402
from siov.spec.e810.control import Control  # noqa: E402

with atheris.instrument_imports(include=["siov.hw.e810.firmware"]):
    from siov.hw.e810.firmware import Firmware, PortSettings, Settings
    from siov.hw.e810.firmware.adminq import BACKLOG
    from siov.hw.e810.firmware.command import TABLE, Buffer
    from siov.hw.e810.firmware.resources import CAPACITY
    from siov.hw.e810.firmware.tree import NODES, SIBLINGS

from fuzz_input import Input  # noqa: E402
from tests.conformance.e810.machine import PF_MAC, Machine  # noqa: E402

ENTRIES, BUFFER, PAGE = 16, 4096, 4096
CANARY = b"\xc5" * PAGE
# Each ring, and the buffers of each, with a canary page before and behind.
ATQ, ARQ, OUT, IN = 0x10_0000, 0x11_0000, 0x20_0000, 0x30_0000
SPANS = {ATQ: PAGE, ARQ: PAGE, OUT: ENTRIES * BUFFER, IN: ENTRIES * BUFFER}
OPCODES = sorted(TABLE)
REGISTERS = [f"PF_FW_{ring}{name}" for ring in ("ATQ", "ARQ") for name in ("BAL", "BAH", "LEN", "H", "T")]
TRIGGERS = (
    ("GLGEN_RTRIG", Control.GLGEN_RTRIG.of(CORER=1)),
    ("GLGEN_RTRIG", Control.GLGEN_RTRIG.of(GLOBR=1)),
    ("GLGEN_RTRIG", Control.GLGEN_RTRIG.of(EMPFWR=1)),
    ("PFGEN_CTRL", Control.PFGEN_CTRL.of(PFSWR=1)),
)


class Device:
    """The modelled device, with the rings of a driver that writes whatever it is told to."""

    def __init__(self) -> None:
        self.near, self.far = Port.cable()
        self.machine = Machine(port=self.near)
        self.function = self.machine.function
        self.tail = 0
        self.wild = False  # a register or an address was written that may lead anywhere in memory

    def begin(self) -> None:
        """New firmware on a device that was just switched on."""
        engine, device = self.machine.nic, self.function.device
        device.firmware = None
        engine.reset("EMPR")
        engine.take_events()
        device.firmware = Firmware(engine, self.function, self.machine.clock, Settings(PortSettings(PF_MAC)))
        self.machine.enable_function()
        for at, size in SPANS.items():
            self.machine.write(at - PAGE, CANARY + bytes(size) + CANARY)
        self.wild = False
        self.open()

    @property
    def firmware(self) -> Firmware:
        """The firmware of this input."""
        return self.function.firmware

    def open(self) -> None:
        """Both rings, and buffers for events."""
        self.tail = 0
        for name, base in (("ATQ", ATQ), ("ARQ", ARQ)):
            for register in "HT":
                self.machine.wr(f"PF_FW_{name}{register}", 0)
            self.machine.wr(f"PF_FW_{name}LEN", QueueLength.of(LEN=ENTRIES, ENABLE=1))
            self.machine.wr(f"PF_FW_{name}BAL", base)
            self.machine.wr(f"PF_FW_{name}BAH", 0)
        for n in range(ENTRIES):
            self.post(n, BUFFER)
        self.machine.wr("PF_FW_ARQT", ENTRIES - 1)

    def post(self, n: int, size: int) -> None:
        """A buffer for an event, `size` bytes of it."""
        raw = AqDesc.of(FLAGS=AqFlags.of(BUF=1, LB=1).raw, DATALEN=size, ADDR_LOW=IN + n * BUFFER)
        self.machine.write(ARQ + 32 * n, raw.to_bytes())

    def put(self, head: bytes, params: bytes, data: bytes) -> int:
        """A descriptor at the tail, with its buffer's address if it has one; the doorbell is not rung."""
        index, at = self.tail, OUT + self.tail * BUFFER
        if AqFlags(int.from_bytes(head[:2], "little")).BUF:
            params = params[:8] + bytes(4) + at.to_bytes(4, "little")
        self.machine.write(at, data[:BUFFER].ljust(BUFFER, b"\xa5"))
        self.machine.write(ATQ + 32 * index, head + params)
        self.tail = (self.tail + 1) % ENTRIES
        return index

    def ring(self) -> None:
        """Tell the device how far the ring is filled."""
        self.machine.wr("PF_FW_ATQT", self.tail)


def proper(opcode: int, room: int) -> tuple[int, bool]:
    """The flags that a driver would give a command, and whether its buffer holds data."""
    buffer = TABLE[AqOpcode(opcode)].buffer
    has = buffer in (Buffer.IN, Buffer.OUT, Buffer.BOTH) or (buffer is Buffer.MAYBE and room > 0)
    reads = has and buffer is not Buffer.OUT
    return AqFlags.of(SI=1, BUF=has, RD=reads, LB=has and room > 512).raw, reads


def command(device: Device, given: Input, *, hold: bool) -> None:
    """A command as a driver would send it, but for what it says; seeds are of this kind."""
    opcode, room, params = given.number(2), given.number(2) % (BUFFER + 2), given.take(16)
    if opcode not in TABLE:
        opcode = OPCODES[opcode % len(OPCODES)]
    flags, reads = proper(opcode, room)
    data = given.take(min(room, BUFFER)) if reads else b""
    head = AqDesc.of(FLAGS=flags, OPCODE=opcode, DATALEN=room).to_bytes()[:16]
    index = device.put(head, params, data)
    if hold:
        return
    device.ring()
    answered(device, index, opcode, room if AqFlags(flags).BUF else 0)


def answered(device: Device, index: int, opcode: int, room: int) -> None:
    """The command came back: done, with a code there is, and nothing behind its buffer."""
    if device.wild:
        return
    if QueueLength(device.machine.rd("PF_FW_ATQLEN")).CRIT or device.machine.rd("PF_FW_ATQH") != device.tail:
        return  # the ring was broken before, or a reset was asked for
    raw = AqDesc.from_bytes(device.machine.read(ATQ + 32 * index, 32))
    flags = AqFlags(raw.FLAGS)
    assert flags.DD, f"{opcode:#x} is not done"
    assert flags.CMP, f"{opcode:#x} is not completed"
    assert opcode == raw.OPCODE
    assert bool(flags.ERR) == (AqRc(raw.RETVAL) is not AqRc.OK), f"{opcode:#x}: ERR and {raw.RETVAL}"
    behind = device.machine.read(OUT + index * BUFFER + room, max(0, BUFFER - room))
    assert not behind.strip(b"\xa5"), f"{opcode:#x} wrote behind its buffer of {room} bytes"


def step(device: Device, given: Input) -> None:
    """Whatever a driver may do next."""
    kind, machine = given.number(1), device.machine
    match kind & 15:
        case 8:
            device.wild = True
            head, params, size = given.take(16), given.take(16), given.number(1)
            device.put(head, params, given.take(size))
            device.ring()
        case 9:
            device.wild = True
            machine.wr(REGISTERS[given.number(1) % len(REGISTERS)], given.number(4))
        case 10:
            name, word = TRIGGERS[given.number(1) % len(TRIGGERS)]
            machine.wr(name, word)
            device.open()
        case 11:
            machine.advance(given.number(4) << 8)
        case 12:
            device.post(given.number(1) % ENTRIES, given.number(2))
            machine.wr("PF_FW_ARQT", given.number(1) % ENTRIES)
        case 13:
            device.open()
        case 14:
            machine.wr("VSIGEN_RTRIG", given.number(1) & 1, given.number(2) % 768)
        case 15:
            for _ in range(kind >> 4):
                command(device, given, hold=True)
            device.ring()
        case _:
            command(device, given, hold=False)


def memory_is_whole(device: Device) -> None:
    """Nothing but rings and buffers was written."""
    for at, size in SPANS.items():
        for canary in (at - PAGE, at + size):
            assert device.machine.read(canary, PAGE) == CANARY, f"the page at {canary:#x} was written"
    for ring in (ATQ, ARQ):
        rest = device.machine.read(ring + 32 * ENTRIES, PAGE - 32 * ENTRIES)
        assert not rest.strip(b"\0"), f"written behind the ring at {ring:#x}"


def firmware_is_sound(device: Device) -> None:
    """What firmware keeps is within its limits, refers to what there is, and the engine has the same."""
    firmware = device.firmware
    firmware.inspect()
    assert len(firmware.queue.backlog) <= BACKLOG
    for kind in CAPACITY:
        total, free = firmware.resources.capacity(kind)
        assert 0 <= free <= total
    for members in firmware.resources.lists.values():
        assert members <= firmware.vsis.table.keys()
    tree = firmware.tree
    for layer, most in enumerate(NODES):
        assert tree.count(layer) <= most
    for node in tree.nodes.values():
        assert len(node.children) <= SIBLINGS
        for child in node.children:
            assert (tree.nodes[child].parent, tree.nodes[child].layer) == (node.teid, node.layer + 1)
    for queue in firmware.txqueues.table.values():
        assert queue.vsi in firmware.vsis
        assert queue.teid in tree.nodes
    rules = firmware.rules
    assert len(rules.keys) == len(rules.table)
    for rule in rules.table.values():
        if rule.forward[0] == "vsi":
            assert rule.forward[1] in firmware.vsis
    engine = device.machine.nic.inspect()
    assert engine["rules"] == len(rules.table)
    assert len(engine["vsis"]) == len(firmware.vsis)


def still_works(device: Device) -> None:
    """After a reset of the function the driver is as welcome as ever."""
    machine = device.machine
    machine.wr("PFGEN_CTRL", Control.PFGEN_CTRL.of(PFSWR=1))
    assert machine.rd("PFGEN_CTRL") == 0
    device.open()
    head = AqDesc.of(FLAGS=AqFlags.of(SI=1).raw, OPCODE=AqOpcode.GET_VER).to_bytes()[:16]
    index = device.put(head, bytes(16), b"")
    device.ring()
    raw = AqDesc.from_bytes(machine.read(ATQ + 32 * index, 32))
    assert (AqFlags(raw.FLAGS).DD, raw.RETVAL) == (1, AqRc.OK)


DEVICE = Device()


def one_input(data: bytes) -> None:
    """What a driver does, with new firmware; then the claims about what it left."""
    given = Input(data)
    DEVICE.begin()
    while given:
        step(DEVICE, given)
    firmware_is_sound(DEVICE)
    if not DEVICE.wild:
        memory_is_whole(DEVICE)
    still_works(DEVICE)


def record(folder: Path) -> None:
    """The commands of each test, one file for a test."""
    import pytest

    class Recorder:
        """Keeps the admin queue's commands in the form that `command` reads."""

        def __init__(self) -> None:
            self.taken = b""
            from siov.hw.e810.firmware.adminq import AdminQueue

            plain = AdminQueue._answer

            def answer(queue: AdminQueue, descriptor: AqDesc, flags: AqFlags, flush: bool) -> object:
                room = descriptor.DATALEN
                self.taken += b"\0" + descriptor.OPCODE.to_bytes(2, "little") + room.to_bytes(2, "little")
                self.taken += descriptor.to_bytes()[16:]
                if descriptor.OPCODE in TABLE and proper(descriptor.OPCODE, room)[1]:
                    at = descriptor.ADDR_HIGH << 32 | descriptor.ADDR_LOW
                    self.taken += (queue.dma.dma_read(at, min(room, BUFFER)) or b"").ljust(room, b"\0")
                return plain(queue, descriptor, flags, flush)

            AdminQueue._answer = answer

        @pytest.hookimpl
        def pytest_runtest_logfinish(self, nodeid: str) -> None:
            if 0 < len(self.taken) < 1 << 14:
                name = "".join(c if c.isalnum() else "-" for c in nodeid)[-120:]
                (folder / name).write_bytes(self.taken)
            self.taken = b""

    folder.mkdir(parents=True, exist_ok=True)
    tests = [str(ROOT / "tests" / part / "e810") for part in ("unit", "conformance")]
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests], plugins=[Recorder()]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record(Path(sys.argv[2]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
