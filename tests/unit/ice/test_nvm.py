"""Versions in flash, as Linux's documentation of devlink and ethtool -i show them."""

from siov.drivers.ice.nvm import NvmVersion, ice_get_nvm_version


def test_the_versions_are_those_of_the_image(rig):
    found = ice_get_nvm_version(rig.aq)
    assert str(found) == "0.80 0x80002ec0 1.2581.0"
    assert found.orom == (1, 2581, 0)


def test_without_a_boot_rom_its_version_is_zero(rig):
    flash = rig.machine.function.device.firmware.flash
    for sector in range(0x420, 0x620):
        flash.sectors.pop(sector, None)
    assert str(ice_get_nvm_version(rig.aq)) == "0.80 0x80002ec0 0.0.0"


def test_the_version_is_written_in_hexadecimal_digits_as_ice_does():
    assert str(NvmVersion(4, 0x0A, 0x8001778B, (1, 3346, 0))) == "4.0a 0x8001778b 1.3346.0"
