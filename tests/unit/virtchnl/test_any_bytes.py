"""Whatever a guest sends: at most one reply, with its opcode; no exception; nothing grows without bound."""

from hypothesis import given, settings
from hypothesis import strategies as st

from siov.spec.virtchnl import LENGTHS, Op, Status, VfCaps

from .fake import VSI, Driver

LINK_AFTER = (Op.GET_VF_RESOURCES, Op.ENABLE_QUEUES, Op.ENABLE_QUEUES_V2)


@st.composite
def messages(draw: st.DrawFn) -> tuple[int, bytes]:
    """Mostly of the right length, mostly for the right VSI; the rest is anything."""
    op = draw(st.sampled_from(sorted(LENGTHS)) | st.integers(0, 0xFFFF_FFFF))
    rule = LENGTHS.get(op)  # type: ignore[call-overload]
    if rule is None or draw(st.integers(0, 9)) == 0:
        return op, draw(st.binary(max_size=200))
    count = draw(st.integers(1, 20)) if rule.element else 0
    filling = draw(st.binary(max_size=300))
    data = bytearray(filling.ljust(rule.of(count), draw(st.sampled_from([b"\0", b"\1", b"\xff"]))))
    del data[rule.of(count) :]
    if len(data) >= 2 and draw(st.integers(0, 9)):
        data[:2] = VSI.to_bytes(2, "little")
    if rule.element:
        data[rule.count_at : rule.count_at + rule.count_size] = count.to_bytes(rule.count_size, "little")
    return op, bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 4, 20]), st.booleans(), st.lists(messages(), max_size=30))
def test_any_bytes_get_at_most_one_reply_and_raise_nothing(pairs, begin, requests):
    driver = Driver(pairs)
    if begin:
        driver.begin()
    for op, data in requests:
        found = driver.messages(op, data)
        replies = [one for one in found if one[0] != Op.EVENT or op == Op.EVENT]
        events = [one for one in found if one not in replies]
        assert driver.vf.counts["bugs"] == 0, driver.vf.last_bug
        assert len(replies) <= 1
        assert all(reply[0] == op for reply in replies)
        assert len(events) <= (op in LINK_AFTER or op == Op.REQUEST_QUEUES)
        if not replies:
            assert op in (Op.RESET_VF, Op.REQUEST_QUEUES)
        for _, status, reply in replies:
            assert status in set(Status)
            assert status == Status.SUCCESS or reply == b""
    bounded(driver)


def bounded(driver: Driver) -> None:
    vf, vsi = driver.vf, driver.vsi
    assert len(vf.macs) <= vf.limits.macs
    assert len(vf.vlans) <= vf.limits.vlans
    assert len(vf.fdir) <= vf.limits.fdir_filters
    assert len(vf.rss_flows) <= vf.limits.rss_flows
    for queues in (vf.rx_on, vf.tx_on, vf.rx_ready, vf.tx_ready, vf.crc_kept):
        assert queues <= set(range(vf.usable_pairs))
    assert vf.vlans == vsi.vlans
    assert vf.macs == vsi.macs
    assert vf.rx_on == vsi.rx_on
    assert vf.tx_on == vsi.tx_on
    assert VfCaps(vf.caps.raw)


def test_a_flood_of_new_things_ends_at_the_limits():
    driver = Driver()
    driver.begin()
    for n in range(3000):
        head = VSI.to_bytes(2, "little") + b"\1\0"
        driver.messages(Op.ADD_ETH_ADDR, head + b"\x02" + n.to_bytes(5, "big") + bytes(2 + 8))
        vlan = (n % 4096).to_bytes(2, "little") + bytes(2) + b"\x00\x81" + bytes(2)
        driver.messages(Op.ADD_VLAN_V2, head + bytes(4) + vlan + bytes(24))
    bounded(driver)
    assert len(driver.vsi.macs) == 18
    assert len(driver.vsi.vlans) == 8
