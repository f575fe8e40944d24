"""virtchnl messages in words: whatever a guest sends is told, and nothing of it can disturb."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.observe.trace import commands
from siov.observe.trace.messages import REPLIES, REQUESTS, decode, op_name, status_name
from siov.spec.e810 import AqDesc, AqOpcode
from siov.spec.virtchnl import (
    LENGTHS,
    Op,
    QueuePairInfo,
    Status,
    VectorMap,
    VfCaps,
    VfResource,
    VsiQueueConfigInfo,
    VsiResource,
)


def test_a_list_is_told_element_by_element_with_its_nested_members():
    pair = QueuePairInfo.of().data
    pair = QueuePairInfo.read(pair)
    pair = pair.replace(txq=pair.txq.replace(queue_id=1, ring_len=512, dma_ring_addr=0x1000))
    data = VsiQueueConfigInfo.of(vsi_id=5, num_queue_pairs=2).data + bytes(64) + pair.data + bytes(64)
    text, fields = decode(Op.CONFIG_VSI_QUEUES, data, reply=False)
    assert text == (
        "vsi_id=5 num_queue_pairs=2; [0] all zero; "
        "[1] txq.queue_id=1 txq.ring_len=0x200 txq.dma_ring_addr=0x1000"
    )
    assert len(fields["rows"]) == 2


def test_a_long_list_is_cut_in_text_only():
    data = (16).to_bytes(2, "little") + VectorMap.of(vector_id=1).data * 17
    text, fields = decode(Op.CONFIG_IRQ_MAP, data, reply=False)
    assert text.endswith("and 12 more")
    assert len(fields["rows"]) == 16


def test_resources_have_their_capabilities_by_name():
    caps = VfCaps.of(L2=1, RSS_PF=1)
    head = VfResource.of(num_vsis=1, num_queue_pairs=4, vf_cap_flags=caps.raw)
    data = head.data + VsiResource.of(vsi_id=9, default_mac_addr=bytes([2, 0, 0, 0, 0, 1])).data
    text, _ = decode(Op.GET_VF_RESOURCES, data, reply=True)
    assert "vf_cap_flags=L2|RSS_PF" in text
    assert "[0] vsi_id=9 default_mac_addr=02:00:00:00:00:01" in text


def test_an_operation_that_there_is_not_is_told_by_its_number():
    assert op_name(4242) == "operation 0x1092"
    assert decode(4242, b"\1\2\3", reply=False)[0] == "3 bytes 010203"


def test_a_status_is_signed():
    assert status_name(Status.ERR_PARAM & 0xFFFF_FFFF) == "ERR_PARAM"
    assert status_name(0) == "SUCCESS"
    assert status_name(0xFFFF_FF00) == "-256"


@given(st.sampled_from([*Op, 4242]), st.binary(max_size=4096), st.booleans())
def test_no_message_can_break_its_telling(op, data, reply):
    text, _ = decode(op, data, reply=reply)
    assert isinstance(text, str)
    assert len(text) < 20_000


@pytest.mark.parametrize("op", [op for op, length in LENGTHS.items() if length.base and op in REQUESTS])
def test_a_request_of_right_length_is_told_by_its_members(op):
    shape = REQUESTS[op]
    length = LENGTHS[op]
    count = length.count_at if length.element else 0
    data = bytearray(length.of(1 if length.element else 0))
    if length.element:
        data[count : count + length.count_size] = (1).to_bytes(length.count_size, "little")
    _, fields = decode(op, bytes(data), reply=False)
    assert "data" not in fields, "it was told as bytes"
    if shape.row is not None:
        assert shape.count in shape.head.members
        assert len(fields["rows"]) == 1


def test_every_request_that_has_data_has_a_structure():
    with_data = {op for op, length in LENGTHS.items() if length.base}
    assert with_data - set(REQUESTS) == {Op.GET_VF_RESOURCES}, "which is a number"


@pytest.mark.parametrize("op", list(REPLIES))
def test_a_reply_has_the_number_of_rows_that_it_says(op):
    shape = REPLIES[op]
    if shape.row is None:
        return
    data = shape.head.of(**{shape.count: 2}).data + bytes(2 * shape.row.size)
    assert len(decode(op, data, reply=True)[1]["rows"]) == 2


@given(st.sampled_from([*AqOpcode, 0xABCD]), st.binary(max_size=600), st.integers(0, (1 << 128) - 1))
def test_no_command_can_break_its_telling(opcode, data, tail):
    desc = AqDesc(tail << 128 | AqDesc.of(OPCODE=opcode).raw)
    for answer in (False, True):
        assert isinstance(commands.params(desc, answer=answer), dict)
    assert isinstance(commands.opcode_of(desc), str)
    assert all(isinstance(element, str) for element in commands.buffer(opcode, data))
