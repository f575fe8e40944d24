"""The recorded dialogue of a real driver, played again register by register against 8086:1889.

Each read of the recording is judged by a rule with a name; a read under no rule fails. Where our device may
answer differently from the recorded one, the rule says so. The rings' messages are inferred: recorded.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from siov.spec.virtchnl import Op
from siov.vdevs import vdcm_host

from .recorded import MESSAGES, SHUTDOWN, Access, RecordedDriver, recording
from .vdcm import ICR0_ENA1, ICR01, MBX, RSTAT, VdcmServer

ADMINQ, ENABLE = 1 << 30, 1 << 31
MSIX, PCIE = 0x70, 0xA0
"""Where the recorded device had these capabilities; accesses go to where ours has them, as a walk would."""


@dataclass
class Replay:
    """A replay under way: the user of the device, and what was written where."""

    driver: RecordedDriver
    capabilities: dict[int, int]
    written: dict[tuple[int, int], int]

    def move(self, at: int) -> int:
        """A recorded offset of config space as an offset of ours."""
        for start, end, number in ((MSIX, MSIX + 12, 0x11), (PCIE, PCIE + 0x3C, 0x10)):
            if start <= at < end:
                return self.capabilities[number] + at - start
        return at

    def enabled(self, queue: str) -> bool:
        """A RESET_VF of the driver has switched off both queues until they are set up again."""
        return Op.RESET_VF not in self.driver.sent and bool(
            self.written.get((0, MBX[queue + "LEN"]), 0) & ENABLE
        )

    def due(self) -> list[int]:
        """The opcodes that must have been answered by now."""
        return [op for op in self.driver.sent if op not in (Op.RESET_VF, SHUTDOWN)]


Rule = Callable[[Replay, Access, int], bool]


def same(_: Replay, access: Access, got: int) -> bool:
    return got == access.value


def command(replay: Replay, access: Access, got: int) -> bool:
    """COMMAND as written last, of the bits that the driver uses: memory, bus master, SERR, INTx disable."""
    kept = replay.written.get((7, 4), 0) & 0x0507
    status_ok = access.size == 2 or got >> 16 & 0x10 != 0
    return status_ok and got & 0x0507 in (kept, kept & ~1)


def capability_pointer(replay: Replay, _: Access, got: int) -> bool:
    """The list begins where ours does, and has MSI-X and PCIe."""
    return got in replay.capabilities.values() and {0x10, 0x11} <= replay.capabilities.keys()


def msix_control(replay: Replay, _: Access, got: int) -> bool:
    """As many vectors as VFIO says (the recorded device has 5); as written: enable (15), mask (14)."""
    vectors = replay.driver.vfio.irq(2).count
    return got & 0x7FF == vectors - 1 and got & 0xC000 == replay.written.get((7, 0x72), 0) & 0xC000


def device_capabilities(_: Replay, access: Access, got: int) -> bool:
    """FLR and role-based errors as recorded; payload and latencies are the device's own (ours: 256 bytes)."""
    bits = 1 << 28 | 1 << 15
    return got & bits == access.value & bits == bits and got & 7 <= 2


def device_control(_: Replay, access: Access, got: int) -> bool:
    """No FLR seems under way and status shows no pending requests; sizes are what the parent's link has."""
    return got & 0x8000 == 0 and (access.size == 2 or got >> 16 & 0x20 == 0)


def device_control_2(_: Replay, access: Access, got: int) -> bool:
    """Ours may offer timeouts and such; nothing is switched on that the driver did not ask for."""
    return got & 0xFFFF in (0, 0x1F) if access.at == 0xC4 else got & 0xFFFF == 0


def rstat(_: Replay, __: Access, got: int) -> bool:
    """VF active; nothing is under way when the recorded driver reads it."""
    return got & 3 in (1, 2)


def base(replay: Replay, access: Access, got: int) -> bool:
    """Exactly what was written, else iavf gives up."""
    return got == replay.written[0, access.at] == access.value


def atq_head(replay: Replay, _: Access, got: int) -> bool:
    """At the tail, all taken. RESET_VF switches the queue off, and the head follows no more: the recorded
    device clears it, ours leaves it behind RESET_VF, which so counts as done."""
    tail = replay.written.get((0, MBX["ATQT"]), 0)
    return got == (tail if replay.enabled("ATQ") else MESSAGES.index(Op.RESET_VF) + 1)


def queue_length(replay: Replay, access: Access, got: int) -> bool:
    """As written with no error bits; ENABLE is clear after RESET_VF."""
    name = "ATQ" if access.at == MBX["ATQLEN"] else "ARQ"
    if not replay.enabled(name):
        return got & ENABLE == 0
    return got == replay.written[0, access.at]


def arq_head(replay: Replay, access: Access, got: int) -> bool:
    """One further with each message, and a message for each that was sent. Recorded heads may be less: ours
    tells of the link after the resources too."""
    driver = replay.driver
    answered = [op for op, _, _ in driver.replies if op != Op.EVENT]
    return got == len(driver.replies) >= access.value and answered == replay.due()


def cause(replay: Replay, access: Access, got: int) -> bool:
    """The handler of vector 0 finds the mailbox's cause, which the driver of DPDK looks at too."""
    return got & ADMINQ != 0 and access.value & ADMINQ != 0


def cause_enable(replay: Replay, access: Access, got: int) -> bool:
    """As the driver left it."""
    return got == access.value == replay.written[0, access.at]


RULES: dict[str, tuple[Rule, set[tuple[int, int]]]] = {
    "the config header is that of 8086:1889": (
        same, {(7, at) for at in (0, 2, 8, 0xA, 0xC, 0xE, 0x28, 0x2C, 0x2E, 0x38, 0x3C, 0x3D)},
    ),
    "COMMAND is what was written, STATUS has a capability list": (command, {(7, 4)}),
    "STATUS has a capability list": (lambda _, __, got: got & 0x10 != 0, {(7, 6)}),
    "BAR 0 and BAR 3 are 64 bit and prefetchable": (same, {(7, 0x10), (7, 0x1C)}),
    "there is no ROM": (same, {(7, 0x30)}),
    "the capability list is walked from 0x34": (capability_pointer, {(7, 0x34)}),
    "MSI-X control": (msix_control, {(7, MSIX + 2)}),
    "MSI-X table and PBA are in BAR 3": (same, {(7, MSIX + 4), (7, MSIX + 8)}),
    "PCIe header: an endpoint of version 2, the last capability": (same, {(7, PCIE), (7, PCIE + 2)}),
    "PCIe device capabilities: FLR": (device_capabilities, {(7, PCIE + 4)}),
    "PCIe device control": (device_control, {(7, PCIE + 8)}),
    "PCIe device control 2": (device_control_2, {(7, PCIE + 0x24), (7, PCIE + 0x28)}),
    "no extended capabilities": (same, {(7, 0x100)}),
    "RSTAT is 1 or 2": (rstat, {(0, RSTAT)}),
    "BAL reads back": (base, {(0, MBX["ATQBAL"]), (0, MBX["ARQBAL"])}),
    "ATQH reaches the tail": (atq_head, {(0, MBX["ATQH"])}),
    "LEN has ENABLE and no error": (queue_length, {(0, MBX["ATQLEN"]), (0, MBX["ARQLEN"])}),
    "ARQH advances with each reply": (arq_head, {(0, MBX["ARQH"])}),
    "ICR01 has the mailbox's cause": (cause, {(0, ICR01)}),
    "ICR0_ENA1 reads back": (cause_enable, {(0, ICR0_ENA1)}),
}  # fmt: skip


def rule_of(access: Access) -> str:
    [name] = [name for name, (_, where) in RULES.items() if (access.region, access.at) in where]
    return name


def capabilities(config: bytes) -> dict[int, int]:
    found, at = {}, config[0x34]
    while at:
        found[config[at]], at = at, config[at + 1]
    return found


@pytest.fixture
def driver(wire) -> RecordedDriver:
    server = VdcmServer(port=wire.near, host=vdcm_host)
    driver = RecordedDriver(server, server.create("avf-1"), wire)
    yield driver.open()
    driver.close()


def play(driver: RecordedDriver) -> tuple[Replay, Counter[str], list[str]]:
    """Play all, judge each read; gives how many each rule judged, and what was not acceptable."""
    replay = Replay(driver, capabilities(driver.vfio.read(7, 0, 256)), {})
    judged: Counter[str] = Counter()
    wrong = []
    for n, access in enumerate(recording()):
        at = replay.move(access.at) if access.region == 7 else access.at
        if access.kind == "R":
            data = driver.vfio.read(access.region, at, access.size)
            rule = rule_of(access)
            judged[rule] += 1
            got = int.from_bytes(data[: len(access.data)], "little")
            if not RULES[rule][0](replay, access, got):
                wrong.append(f"{n}: {rule}: {access.region}:{access.at:#x}: {got:#x}, not {access.value:#x}")
        elif access.kind == "W":
            driver.before(access)
            driver.vfio.write(access.region, at, access.data)
            replay.written[access.region, access.at] = access.value
            driver.after(access)
        elif access.kind == "I":
            driver.vfio.disable_irqs(2)
            if access.size:
                driver.fds = driver.fds or driver.irqs()
                driver.vfio.set_irqs(2, access.at, driver.fds[: access.size])
        else:
            driver.vfio.reset()
            replay.written.clear()
    return replay, judged, wrong


def test_each_read_of_a_recorded_driver_gets_an_answer_that_its_rule_accepts(driver):
    _, judged, wrong = play(driver)
    print(*(f"{count:5} {name}" for name, count in judged.items()), sep="\n")
    assert not wrong, "\n".join(wrong[:20])
    assert judged.keys() == RULES.keys()
    assert judged.total() == sum(access.kind == "R" for access in recording())


def test_each_message_of_a_recorded_driver_is_answered_with_success_in_order(driver):
    replay, _, _ = play(driver)
    assert tuple(driver.sent) == MESSAGES
    answers = [(op, status) for op, status, _ in driver.replies if op != Op.EVENT]
    assert answers == [(op, 0) for op in replay.due()]
    after = [op for op, _, _ in driver.replies]
    assert after[after.index(Op.ENABLE_QUEUES) + 1] == Op.EVENT, "the link, after the queues"


def test_no_write_of_a_recorded_driver_is_dropped_as_unknown(driver):
    play(driver)
    found = driver.device.inspect()
    assert found["vdev"]["dropped_writes"] == 0
    assert (found["dropped_messages"], found["refused_writes"]) == (0, 0)


def test_each_recorded_move_of_the_transmit_tail_puts_a_frame_on_the_wire_and_the_answer_comes_back(driver):
    play(driver)
    moves = [access.value for access in recording() if (access.kind, access.region, access.at) == ("W", 0, 0)]
    ports = [int.from_bytes(frame[36:38], "big") for frame in driver.on_wire]
    assert ports == moves == list(range(1, 14))
    assert [frame[36:38] for frame in driver.received()] == [frame[36:38] for frame in driver.on_wire]
    assert driver.fired(1) > 0


def test_receive_buffers_that_a_driver_posts_before_it_asks_for_its_queue_are_used(driver):
    play(driver)
    writes = [(access.region, access.at, access.value) for access in recording() if access.kind == "W"]
    posted = writes.index((0, 0x2000, 0x1FF))
    asked = writes.index((0, MBX["ATQT"], MESSAGES.index(Op.CONFIG_VSI_QUEUES) + 1))
    assert posted < asked
    assert driver.received(), "the queue began with the buffers of before"
