"""The PF's side of virtchnl: sequences of messages, as a hostile guest sends them.

    python fuzz/python/virtchnl.py --record CORPUS              # a driver's start and more, as a first corpus
    python fuzz/python/virtchnl.py CORPUS -max_total_time=600   # libFuzzer's options

Whatever comes: no exception leaves the handler nor is one caught that is a mistake of ours, a message has at
most one reply, with its opcode, and what the VF has stays within its limits and agrees with its VSI.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# The specification's words come first: they are everywhere, and instrumented they would be slow.
from siov.spec.virtchnl import (  # noqa: E402
    LENGTHS,
    FilterAction,
    Op,
    ProtoHdrField,
    ProtoHdrType,
    VfCaps,
)

with atheris.instrument_imports(include=["siov.drivers.ice.vf", "siov.drivers.ice.virtchnl"]):
    import siov.drivers.ice.vf

from fuzz_input import Input  # noqa: E402
from tests.unit.virtchnl import build  # noqa: E402
from tests.unit.virtchnl.fake import ALL_CAPS, VSI, Driver  # noqa: E402
from tests.unit.virtchnl.test_any_bytes import bounded  # noqa: E402

OPS = sorted(LENGTHS)
MESSAGES = 24  # in one input
PAIRS = (4, 1, 20)
COUNT = 32  # elements of a list, unless its length is left wrong
# Bits of a message's second byte: what is not to be set right for it.
WRONG_VSI, WRONG_LENGTH, ANY_OP = 1, 2, 4
FOLLOWED = (Op.GET_VF_RESOURCES, Op.ENABLE_QUEUES, Op.ENABLE_QUEUES_V2, Op.REQUEST_QUEUES)


class Messages(Input):
    """Messages out of a fuzzer's bytes."""

    def message(self) -> tuple[int, bytes]:
        """One message: operation, what is wrong, size, bytes; what is not to be wrong is set right."""
        op, wrong, size = self.number(1), self.number(1), self.number(2) % 4097
        data = bytearray(self.take(size))
        if wrong & ANY_OP:
            return op * 0x0101_0101 if op & 1 else op, bytes(data)
        op = OPS[op % len(OPS)]
        if not wrong & WRONG_VSI and size >= 2:
            data[:2] = VSI.to_bytes(2, "little")
        return op, bytes(data) if wrong & WRONG_LENGTH else fitting(op, data)


def fitting(op: int, data: bytearray) -> bytes:
    """The message cut or filled up to the length that it says itself."""
    rule = LENGTHS[Op(op)]
    if not rule.element:
        return bytes(data[: rule.base].ljust(rule.base, b"\0"))
    place = slice(rule.count_at, rule.count_at + rule.count_size)
    count = min(max(1, int.from_bytes(data[place], "little")), 600 if rule.element == 1 else COUNT)
    data = data[: rule.of(count)].ljust(rule.of(count), b"\0")
    data[place] = count.to_bytes(rule.count_size, "little")
    return bytes(data)


def one_input(data: bytes) -> None:
    """Send the messages of an input and look at what comes back."""
    given = Messages(data)
    driver = Driver(PAIRS[given.number(1) % len(PAIRS)])
    for _ in range(MESSAGES):
        if not given:
            break
        op, body = given.message()
        found = driver.messages(op, body)
        assert driver.vf.counts["bugs"] == 0, driver.vf.last_bug
        replies = [sent for sent in found if sent[0] == op]
        assert len(replies) <= 1, f"{len(replies)} replies to {op}"
        assert len(found) - len(replies) <= (op in FOLLOWED), f"{op} is followed by {found}"
        assert replies or op in (Op.RESET_VF, Op.REQUEST_QUEUES), f"no reply to {op}"
    bounded(driver)


def seed(pairs: int, messages: Iterable[tuple[Op, bytes]]) -> bytes:
    """An input out of messages that are right."""
    head = bytes([PAIRS.index(pairs)])
    return head + b"".join(
        bytes([OPS.index(op), 0]) + len(data).to_bytes(2, "little") + data for op, data in messages
    )


def seeds() -> dict[str, bytes]:
    """What drivers say, by what it is."""
    start = [(Op.VERSION, bytes([1, 0, 0, 0, 1, 0, 0, 0])), (Op.GET_VF_RESOURCES, ALL_CAPS.to_bytes())]
    first = [start[0], (Op.GET_VF_RESOURCES, VfCaps.of(L2=1, VLAN=1).to_bytes())]
    queues = [
        (Op.CONFIG_VSI_QUEUES, build.pairs(*map(build.pair, range(4)))),
        (Op.CONFIG_IRQ_MAP, build.irq_map((1, 3, 3), (2, 12, 12), (0, 0, 0))),
        (Op.ENABLE_QUEUES, build.select(15, 15)),
    ]
    v4 = build.header(ProtoHdrType.IPV4, ProtoHdrField.IPV4_SRC, ProtoHdrField.IPV4_DST)
    tcp = build.header(ProtoHdrType.TCP, ProtoHdrField.TCP_DST_PORT)
    filters = [
        (Op.ADD_FDIR_FILTER, build.fdir(build.pattern(v4, tcp), FilterAction.of(type=3, queue_index=1))),
        (Op.ADD_RSS_CFG, build.rss_cfg(v4, tcp)),
        (Op.DEL_RSS_CFG, build.rss_cfg(v4, tcp)),
        (Op.DEL_FDIR_FILTER, bytes(12)),
    ]
    macs = [(Op.ADD_ETH_ADDR, build.macs(build.mac(1))), (Op.DEL_ETH_ADDR, build.macs(build.mac(1)))]
    v2 = [(op, build.setting()) for op in range(Op.ENABLE_VLAN_STRIPPING_V2, Op.ENABLE_VLAN_FILTERING_V2)]
    large = [
        (Op.CONFIG_VSI_QUEUES, build.pairs(*map(build.pair, range(20)))),
        (Op.MAP_QUEUE_VECTOR, build.vectors((17, 18, 0, 1), (0, 1, 1, 0))),
        (Op.ENABLE_QUEUES_V2, build.chunks((1, 0, 20), (0, 0, 20))),
        (Op.DISABLE_QUEUES_V2, build.chunks((1, 16, 4))),
    ]
    rss = [
        (Op.CONFIG_RSS_KEY, build.key(bytes(52))),
        (Op.CONFIG_RSS_LUT, build.lut(bytes(64))),
        (Op.CONFIG_RSS_HFUNC, bytes(8)),
        (Op.SET_RSS_HENA, bytes(8)),
    ]
    vlans = [(op, build.vlans_v2(5, 6)) for op in (Op.ADD_VLAN_V2, Op.DEL_VLAN_V2)]
    old_vlans = [
        (Op.ADD_VLAN, build.vlans(5)),
        (Op.DEL_VLAN, build.vlans(5)),
        (Op.ENABLE_VLAN_STRIPPING, b""),
    ]
    again = [(Op.RESET_VF, b""), *start, (Op.REQUEST_QUEUES, b"\x08\0"), *start]
    asks = [(Op.GET_STATS, build.select()), (Op.GET_OFFLOAD_VLAN_V2_CAPS, b""), (Op.GET_RSS_HENA_CAPS, b"")]
    return {
        "start": seed(4, start + rss + asks + macs + queues),
        "again": seed(4, start + queues + again),
        "filters": seed(4, start + filters + again),
        "vlans": seed(4, start + vlans + [(Op(op), data) for op, data in v2]),
        "old_vlans": seed(1, first + old_vlans),
        "large": seed(20, start + large),
    }


def record(folder: Path) -> None:
    """Write the seeds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    assert siov.drivers.ice.vf
    if "--record" in sys.argv:
        record(Path(sys.argv[sys.argv.index("--record") + 1]))
    else:
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
