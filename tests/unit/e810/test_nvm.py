"""Flash: reading, updating, activating; and the package."""

import pytest

from siov.hw.e810.firmware.flash import SIZE, Module
from siov.spec.e810 import AqOpcode, AqRc
from siov.spec.e810.aq_device import (
    AqDownloadPackage,
    AqNvm,
    AqNvmChecksum,
    AqPackageState,
    AqRequestResource,
    Capability,
    GlobalLockStatus,
    ResourceAccess,
    ResourceId,
)
from siov.spec.e810.package import RSS_GROUPS, HeaderField, PacketGroup, SectionType

from .client import Client, add_vsi
from .test_general import capabilities, release, request


def read(client: Client, at: int, size: int, module: int = 0, expect: AqRc = AqRc.OK, **flags: int) -> bytes:
    params = AqNvm.of(OFFSET=at, LENGTH=size, MODULE_TYPEID=module, **flags)
    return client.send(AqOpcode.NVM_READ, params, room=size or 1, expect=expect).data


def word(client: Client, at: int) -> int:
    return int.from_bytes(read(client, 2 * at, 2), "little")


def pointer(client: Client, at: int) -> int:
    value = word(client, at)
    return (value & 0x7FFF) * 4096 if value >> 15 else value * 2


def nvm_word(client: Client, at: int) -> int:
    base = pointer(client, 0x42)
    return int.from_bytes(read(client, base + 2 * at, 2, FLASH_ONLY=1), "little")


@pytest.fixture
def owner(client: Client) -> Client:
    request(client, ResourceId.NVM, ResourceAccess.WRITE)
    return client


def test_the_shadow_ram_says_that_it_is_valid_and_whole(client: Client):
    assert word(client, 0) >> 6 & 3 == 1
    answer = client.send(AqOpcode.NVM_CHECKSUM, AqNvmChecksum.of(VERIFY=1))
    assert answer.params(AqNvmChecksum).CHECKSUM == 0xBABA


def test_the_bundle_is_in_the_shadow_ram_and_in_the_active_bank(client: Client):
    assert word(client, 0x2E) << 16 | word(client, 0x2D) == 0x80002EC0
    header = (nvm_word(client, 3) << 16 | nvm_word(client, 2)) * 2 + 8
    copy = (header + 31) // 32 * 32
    assert nvm_word(client, copy + 0x2E) << 16 | nvm_word(client, copy + 0x2D) == 0x80002EC0
    assert nvm_word(client, 0x14) == 3  # security revision


def test_the_boards_number_is_a_record_of_the_preserved_area(client: Client):
    at = word(client, 0x40) + 1
    while word(client, at) != 0x16:
        at += 2 + word(client, at + 1)
    length = word(client, at + 2) - 1
    words = [word(client, at + 3 + n) for n in range(length)]
    text = b"".join(w.to_bytes(2, "big") for w in words)
    assert text.rstrip(b"\0") == b"K65390-000"


def test_the_option_rom_has_its_version_behind_a_signature_that_adds_up(client: Client):
    start = pointer(client, 0x44)
    civd = read(client, start + 0x200, 74)
    assert civd[:4] == b"$CIV"
    assert sum(civd) & 0xFF == 0
    assert int.from_bytes(civd[5:9], "little") == 1 << 24 | 2581 << 8


def test_the_netlist_has_an_identity_behind_its_nodes(client: Client):
    data = read(client, pointer(client, 0x46), 108)
    words = [int.from_bytes(data[n : n + 2], "little") for n in range(0, len(data), 2)]
    assert words[0] == 0x011B
    assert words[2] >= 0x30
    block = words[6 + 2 * (words[3] & 0x3FF) :]
    assert (block[2], block[4], block[6], block[8]) == (1, 1, 2000, 6)
    assert block[0x19] << 16 | block[0x18] == 0xEE16CED7


def test_the_flash_ends_after_10_mib(client: Client):
    read(client, SIZE - 4, 4, FLASH_ONLY=1)
    read(client, SIZE, 4, expect=AqRc.EINVAL)


def test_a_read_stays_in_a_sector(client: Client):
    read(client, 4092, 4)
    read(client, 4092, 5, expect=AqRc.EINVAL)


def test_a_record_is_read_by_its_type(client: Client):
    assert int.from_bytes(read(client, 0, 2, module=0x130), "little") == 5
    read(client, 0, 14, module=0x130, expect=AqRc.EINVAL)
    read(client, 0, 2, module=0x999, expect=AqRc.ENOENT)


@pytest.mark.parametrize(
    ("opcode", "data"),
    [(AqOpcode.NVM_ERASE, None), (AqOpcode.NVM_WRITE, b"abcd"), (AqOpcode.NVM_WRITE_ACTIVATE, None)],
)
def test_who_does_not_own_flash_does_not_write(client: Client, opcode: AqOpcode, data: bytes | None):
    params = AqNvm.of(MODULE_TYPEID=Module.NVM, LENGTH=4)
    client.send(opcode, params, data, expect=AqRc.EACCES)
    request(client, ResourceId.NVM, ResourceAccess.READ)
    client.send(opcode, params, data, expect=AqRc.EACCES)


def test_an_update_is_written_activated_and_in_use_after_a_reset_of_firmware(owner: Client):
    before = pointer(owner, 0x42)
    owner.send(AqOpcode.NVM_ERASE, AqNvm.of(MODULE_TYPEID=Module.NETLIST))
    new = owner.firmware.flash.read(owner.firmware.flash.bank(Module.NETLIST, active=True).start, 256)
    new = new[:0x3C] + (0x12345678).to_bytes(4, "little") + new[0x40:]
    owner.send(AqOpcode.NVM_WRITE, AqNvm.of(MODULE_TYPEID=Module.NETLIST, LENGTH=256), new)
    owner.send(AqOpcode.NVM_WRITE_ACTIVATE, AqNvm.of(ACTIV_SEL_NETLIST=1))
    opcodes = [event.descriptor.OPCODE for event in owner.events()]
    assert opcodes == [AqOpcode.NVM_ERASE, AqOpcode.NVM_WRITE, AqOpcode.NVM_WRITE_ACTIVATE]
    found = capabilities(owner, AqOpcode.LIST_DEV_CAPS)
    assert found[Capability.NET_VER].NUMBER == 0xEE16CED7
    assert found[Capability.PENDING_NET_VER].NUMBER == 0x12345678
    owner.send(AqOpcode.NVM_UPDATE_EMPR)
    owner.open()
    found = capabilities(owner, AqOpcode.LIST_DEV_CAPS)
    assert found[Capability.NET_VER].NUMBER == 0x12345678
    assert Capability.PENDING_NET_VER not in found
    assert pointer(owner, 0x42) == before
    answer = owner.send(AqOpcode.NVM_CHECKSUM, AqNvmChecksum.of(VERIFY=1))
    assert answer.params(AqNvmChecksum).CHECKSUM == 0xBABA


def test_without_an_update_there_is_nothing_to_reset_for(client: Client):
    client.send(AqOpcode.NVM_UPDATE_EMPR, expect=AqRc.EPERM)


def test_a_write_stays_in_its_bank(owner: Client):
    params = AqNvm.of(MODULE_TYPEID=Module.NETLIST, OFFSET=0xFFFE, LENGTH=4)
    owner.send(AqOpcode.NVM_WRITE, params, b"abcd", expect=AqRc.EINVAL)
    wrong = AqNvm.of(MODULE_TYPEID=Module.NETLIST, LENGTH=5)
    owner.send(AqOpcode.NVM_WRITE, wrong, b"abcd", expect=AqRc.EINVAL)
    owner.send(AqOpcode.NVM_WRITE, AqNvm.of(LENGTH=4), b"abcd", expect=AqRc.EPERM)


def test_the_least_security_revisions_are_written_and_read_back(owner: Client):
    data = bytes([5, 0, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0])
    owner.send(AqOpcode.NVM_WRITE, AqNvm.of(MODULE_TYPEID=0x130, LENGTH=12, SPECIAL_UPDATE=1), data)
    assert read(owner, 0, 12, module=0x130) == data


def section(kind: SectionType, data: bytes) -> bytes:
    body = (1).to_bytes(2, "little") + (12 + len(data)).to_bytes(2, "little")
    return (
        body
        + int(kind).to_bytes(4, "little")
        + (12).to_bytes(2, "little")
        + len(data).to_bytes(2, "little")
        + data
    )


def profile(number: int, group: int, fields: int) -> bytes:
    return number.to_bytes(2, "little") + bytes([group, 2]) + bytes(4) + fields.to_bytes(8, "little")


FIELDS = 1 << HeaderField.IPV4_SRC | 1 << HeaderField.IPV4_DST


def download(client: Client) -> None:
    request(client, ResourceId.GLBL_LOCK, ResourceAccess.WRITE)
    buffer = section(SectionType.FLOW_PROFILE, profile(1, PacketGroup.IPV4_TCP, FIELDS))
    client.send(AqOpcode.DOWNLOAD_PKG, AqDownloadPackage.of(LAST_BUF=1), buffer)
    release(client, ResourceId.GLBL_LOCK)


def test_a_package_is_downloaded_once_under_the_global_lock(client: Client):
    buffer = section(SectionType.METADATA, bytes(4))
    client.send(AqOpcode.DOWNLOAD_PKG, data=buffer, expect=AqRc.EACCES)
    download(client)
    assert client.engine.last("set_flow_profile") == (1, PacketGroup.IPV4_TCP, 2, FIELDS)
    answer = request(client, ResourceId.GLBL_LOCK, ResourceAccess.WRITE, AqRc.EPERM)
    assert answer.STATUS == GlobalLockStatus.DONE
    listed = client.send(AqOpcode.GET_PKG_INFO_LIST, room=64).data
    assert listed[8:30] == b"ICE OS Default Package"
    assert AqPackageState.from_bytes(listed[36:44]).IS_ACTIVE


def test_the_package_outlives_the_functions_reset_but_not_the_cores(client: Client):
    download(client)
    client.engine.calls.clear()
    client.write("PFGEN_CTRL", 1)
    assert client.engine.last("set_flow_profile")[0] == 1
    client.open()
    client.write("GLGEN_RTRIG", 1)
    client.open()
    assert client.send(AqOpcode.GET_PKG_INFO_LIST, room=64).data == bytes(4)
    download(client)


def test_hash_fields_of_a_vsi_are_set_under_the_change_lock(client: Client):
    vsi = add_vsi(client)
    sets = [0] * RSS_GROUPS
    sets[PacketGroup.IPV4_OTHER] = FIELDS
    data = (
        vsi.to_bytes(2, "little") + bytes([2, 0]) + bytes(4) + b"".join(s.to_bytes(8, "little") for s in sets)
    )
    buffer = section(SectionType.RSS_FIELDS, data)
    client.send(AqOpcode.UPDATE_PKG, data=buffer, expect=AqRc.EACCES)
    request(client, ResourceId.CHNG_LOCK, ResourceAccess.WRITE)
    client.send(AqOpcode.UPDATE_PKG, data=buffer)
    assert client.engine.last("set_rss_fields") == (vsi, 2, sets)


@pytest.mark.parametrize(
    "data",
    [
        profile(128, 0, FIELDS),
        profile(0, RSS_GROUPS, FIELDS),
        profile(0, 0, 1 << len(HeaderField)),
        profile(0, 0, 1)[:-1],
    ],
)
def test_a_profile_that_can_not_be_is_invalid(client: Client, data: bytes):
    request(client, ResourceId.CHNG_LOCK, ResourceAccess.WRITE)
    buffer = section(SectionType.FLOW_PROFILE, data)
    client.send(AqOpcode.UPDATE_PKG, data=buffer, expect=AqRc.EINVAL)


def use(number: int, vsi: int, on: int = 1) -> bytes:
    return number.to_bytes(2, "little") + vsi.to_bytes(2, "little") + bytes([on, 0, 0, 0])


def test_a_vsi_uses_a_profile_until_it_or_the_profile_goes_or_the_function_is_reset(client: Client):
    vsi = add_vsi(client)
    download(client)
    request(client, ResourceId.CHNG_LOCK, ResourceAccess.WRITE)
    client.send(AqOpcode.UPDATE_PKG, data=section(SectionType.FLOW_PROFILE_VSI, use(1, vsi)))
    assert client.engine.last("set_flow_profile_vsi") == (1, vsi, True)
    client.send(AqOpcode.UPDATE_PKG, data=section(SectionType.FLOW_PROFILE_VSI, use(1, vsi, 0)))
    assert client.engine.last("set_flow_profile_vsi") == (1, vsi, False)
    client.send(AqOpcode.UPDATE_PKG, data=section(SectionType.FLOW_PROFILE_VSI, use(1, vsi)))
    client.write("PFGEN_CTRL", 1)
    assert client.engine.last("set_flow_profile_vsi") == (1, vsi, False)
    assert client.firmware.package.profile_vsis == set()


@pytest.mark.parametrize(("number", "ghost"), [(2, 0), (1, 700), (128, 0)])
def test_no_vsi_uses_a_profile_when_either_is_not_there(client: Client, number: int, ghost: int):
    vsi = add_vsi(client)
    download(client)
    request(client, ResourceId.CHNG_LOCK, ResourceAccess.WRITE)
    buffer = section(SectionType.FLOW_PROFILE_VSI, use(number, ghost or vsi))
    client.send(AqOpcode.UPDATE_PKG, data=buffer, expect=AqRc.EINVAL)
    assert client.firmware.package.profile_vsis == set()


@pytest.mark.parametrize(
    "buffer", [b"\1", b"\1\0\4\0", b"\0\0\xff\0", section(SectionType.METADATA, b"1234")[:-1]]
)
def test_a_package_whose_sections_leave_it_is_invalid(client: Client, buffer: bytes):
    request(client, ResourceId.CHNG_LOCK, ResourceAccess.WRITE)
    client.send(AqOpcode.UPDATE_PKG, data=buffer, expect=AqRc.EINVAL)


def test_a_refused_request_names_the_resource(client: Client):
    client.send(AqOpcode.REQ_RES, AqRequestResource.of(RES_ID=77, ACCESS_TYPE=1), expect=AqRc.EINVAL)
