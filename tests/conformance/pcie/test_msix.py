"""MSI-X: a vector is sent, or waits as a pending bit while it is masked (PCIe 6.1.4, 7.7.2)."""

import pytest

CONTROL = 0x48 + 2  # behind power management
EN, FUNCTION_MASK = 0x8000, 0x4000
TABLE, PBA = 0x8000, 0x9000
ADDRESS, SIZE = 0xFEE0_1000, 4


def entry(rig, vector, address=ADDRESS, data=0x41, mask=0):
    base = rig.NIC + TABLE + 16 * vector
    rig.rc.write(base, address.to_bytes(8, "little"))
    rig.rc.write(base + 8, data.to_bytes(4, "little"))
    rig.rc.write(base + 12, mask.to_bytes(4, "little"))


def mask(rig, vector, masked):
    rig.rc.write(rig.NIC + TABLE + 16 * vector + 12, int(masked).to_bytes(4, "little"))


def control(rig, value):
    rig.cfg(1, 0).write(CONTROL, 2, value)


def pending(rig):
    return (
        int.from_bytes(rig.rc.read(rig.NIC + PBA, 8), "little")
        | int.from_bytes(rig.rc.read(rig.NIC + PBA + 8, 8), "little") << 64
    )


def sent(rig):
    return [(str(i.source), i.address, i.data) for i in rig.interrupts]


@pytest.fixture
def armed(rig):
    """MSI-X is on and vector n sends 40h + n."""
    for vector in range(70):
        entry(rig, vector, data=0x40 + vector)
    control(rig, EN)
    return rig


def test_the_table_starts_with_every_vector_masked_and_all_else_zero(rig):
    for vector in (0, 1, 69):
        assert rig.rc.read(rig.NIC + TABLE + 16 * vector, 8) == bytes(8)
        assert rig.rc.read(rig.NIC + TABLE + 16 * vector + 8, 8) == b"\0\0\0\0\1\0\0\0"


def test_the_table_has_as_many_entries_as_the_control_register_says(rig):
    assert rig.cfg(1, 0).read(CONTROL, 2) & 0x7FF == 69
    rig.rc.write(rig.NIC + TABLE + 16 * 69, b"\xfc\xff\xff\xff")
    rig.rc.write(rig.NIC + TABLE + 16 * 70, b"\xfc\xff\xff\xff")
    assert rig.nic.device.bar_read(0, TABLE + 16 * 70, 4) == b"\xfc\xff\xff\xff", (
        "behind it is the device's own"
    )
    assert rig.nic.device.bar_read(0, TABLE + 16 * 69, 4) == bytes(4)


def test_of_an_entry_the_address_is_4_byte_aligned_and_of_the_control_only_the_mask_is_kept(rig):
    rig.rc.write(rig.NIC + TABLE, b"\xff" * 16)
    assert rig.rc.read(rig.NIC + TABLE, 8) == b"\xfc" + b"\xff" * 7
    assert rig.rc.read(rig.NIC + TABLE + 8, 8) == b"\xff\xff\xff\xff\1\0\0\0"


def test_a_vector_that_is_on_and_unmasked_is_written_to_its_address(armed):
    armed.nic.msix.trigger(5)
    assert sent(armed) == [("01:00.0", ADDRESS, 0x45)]
    assert pending(armed) == 0


def test_a_message_may_go_to_plain_memory(armed):
    entry(armed, 2, address=0x4000, data=0xDEAD_BEEF)
    armed.nic.msix.trigger(2)
    assert armed.rc.memory.read(0x4000, 4) == bytes.fromhex("efbeadde")
    assert sent(armed) == []


def test_with_msix_off_a_vector_is_neither_sent_nor_kept(armed):
    control(armed, 0)
    armed.nic.msix.trigger(5)
    control(armed, EN)
    assert (sent(armed), pending(armed)) == ([], 0)


@pytest.mark.parametrize("vector", [0, 5, 63, 64, 69])
def test_a_masked_vector_is_pending_and_sent_once_when_the_mask_goes(armed, vector):
    mask(armed, vector, True)
    armed.nic.msix.trigger(vector)
    armed.nic.msix.trigger(vector)
    assert (sent(armed), pending(armed)) == ([], 1 << vector)
    mask(armed, vector, False)
    assert (sent(armed), pending(armed)) == ([("01:00.0", ADDRESS, 0x40 + vector)], 0)
    mask(armed, vector, True)
    mask(armed, vector, False)
    assert len(sent(armed)) == 1


def test_the_function_mask_holds_back_every_vector_and_then_all_are_sent_in_order(armed):
    control(armed, EN | FUNCTION_MASK)
    for vector in (69, 3, 64):
        armed.nic.msix.trigger(vector)
    assert (sent(armed), pending(armed)) == ([], 1 << 3 | 1 << 64 | 1 << 69)
    control(armed, EN)
    assert [data for _, _, data in sent(armed)] == [0x43, 0x40 + 64, 0x40 + 69]
    assert pending(armed) == 0


def test_when_the_function_mask_goes_a_vector_of_its_own_mask_stays_pending(armed):
    control(armed, EN | FUNCTION_MASK)
    mask(armed, 4, True)
    armed.nic.msix.trigger(3)
    armed.nic.msix.trigger(4)
    control(armed, EN)
    assert [data for _, _, data in sent(armed)] == [0x43]
    assert pending(armed) == 1 << 4


def test_without_bus_master_enable_a_vector_stays_pending_until_it_is_set(armed):
    armed.command(armed.nic, 2)
    armed.nic.msix.trigger(7)
    assert (sent(armed), pending(armed)) == ([], 1 << 7)
    armed.command(armed.nic, 6)
    assert (len(sent(armed)), pending(armed)) == (1, 0)


def test_pending_bits_are_read_only(armed):
    mask(armed, 1, True)
    armed.nic.msix.trigger(1)
    armed.rc.write(armed.NIC + PBA, b"\xff" * 8)
    assert pending(armed) == 2
    armed.rc.write(armed.NIC + PBA, bytes(8))
    assert pending(armed) == 2


def test_pending_bits_are_read_by_any_size(armed):
    for vector in (9, 63, 64):
        mask(armed, vector, True)
        armed.nic.msix.trigger(vector)
    base = armed.NIC + PBA
    assert armed.rc.read(base + 1, 1) == b"\x02"
    assert armed.rc.read(base + 4, 4) == b"\0\0\0\x80"
    assert armed.rc.read(base + 7, 2) == b"\x80\x01"


def test_a_vector_that_is_not_there_raises_nothing(armed):
    armed.nic.msix.trigger(70)
    armed.nic.msix.trigger(10_000)
    assert (sent(armed), pending(armed)) == ([], 0)


def test_a_function_level_reset_masks_the_table_and_switches_msix_off(armed):
    armed.devctl(armed.nic, 0x8000)
    assert armed.cfg(1, 0).read(CONTROL, 2) == 69
    assert armed.nic.bar_read(0, TABLE + 12, 4) == b"\1\0\0\0"


def test_a_handler_that_touches_the_function_hears_of_each_vector_once(armed):
    def handler(interrupt):
        armed.interrupts.append(interrupt)
        vector = interrupt.data - 0x40
        mask(armed, vector, True)
        armed.command(armed.nic, 6)
        mask(armed, vector, False)

    armed.rc.on_interrupt = handler
    control(armed, EN | FUNCTION_MASK)
    for vector in (1, 2, 3):
        armed.nic.msix.trigger(vector)
    control(armed, EN)
    assert sorted(data for _, _, data in sent(armed)) == [0x41, 0x42, 0x43]
    assert pending(armed) == 0


def test_a_vector_raised_again_in_its_own_handler_is_not_lost(armed):
    def handler(interrupt):
        armed.interrupts.append(interrupt)
        if len(armed.interrupts) == 1:
            armed.nic.msix.trigger(interrupt.data - 0x40)

    armed.rc.on_interrupt = handler
    armed.nic.msix.trigger(1)
    assert [data for _, _, data in sent(armed)] == [0x41, 0x41]


def test_a_handler_that_masks_a_later_vector_keeps_it_from_being_sent(armed):
    def handler(interrupt):
        armed.interrupts.append(interrupt)
        mask(armed, 2, True)

    armed.rc.on_interrupt = handler
    control(armed, EN | FUNCTION_MASK)
    armed.nic.msix.trigger(1)
    armed.nic.msix.trigger(2)
    control(armed, EN)
    assert [data for _, _, data in sent(armed)] == [0x41]
    assert pending(armed) == 1 << 2


# What reaches the interrupt range.


def test_a_write_to_the_interrupt_range_is_an_interrupt_and_no_memory(rig):
    rig.left.dma_write(0xFEE0_0000, b"\x31\0\0\0")
    rig.left.dma_write(0xFEEF_FFFC, b"\x32\0\0\0")
    assert sent(rig) == [("04:00.0", 0xFEE0_0000, 0x31), ("04:00.0", 0xFEEF_FFFC, 0x32)]


@pytest.mark.parametrize("data", [b"\x31", b"\x31\0", bytes(8), bytes(4096)])
def test_a_write_of_any_other_size_there_is_no_interrupt(rig, data):
    rig.left.dma_write(0xFEE0_0000, data)
    assert sent(rig) == []


def test_a_write_beside_the_interrupt_range_is_none(rig):
    rig.left.dma_write(0xFEDF_FFFC, bytes(4))
    rig.left.dma_write(0xFEF0_0000, bytes(4))
    assert sent(rig) == []


def test_a_read_of_the_interrupt_range_is_refused(rig):
    assert rig.left.dma_read(0xFEE0_0000, 4) is None
