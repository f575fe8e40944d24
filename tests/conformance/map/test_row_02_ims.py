"""Row 2: interrupt message storage takes over where MSI-X ends, at 2,048 vectors."""

import pytest

from siov.host.linux import LinuxError

from .house import House

FULL = 119  # devices of 17 vectors: 2,023 of the table; the function itself has 2


def fill(house: House, count: int) -> None:
    for _ in range(count):
        house.platform.mdev.create("ice-avf-16")


def test_one_adapter_serves_more_than_2048_vectors_and_those_of_slots_work_as_the_others():
    house = House.build("ims", more='\n[[guest]]\nname = "vm1"\nmemory = "16M"\n')
    house.platform.enumerate()
    house.platform.load()
    fill(house, FULL)
    for _ in range(5):
        house.platform.mdev.create("ice-vdcm")
    used = house.pf.irqs.inspect()
    assert used["msix"]["left"] == 0
    assert used["ims"]["used"] > 0
    assert used["msix"]["used"] + used["ims"]["used"] > 2048
    late = [house.platform.mdev.create("ice-vdcm-1").uuid for _ in range(2)]
    for uuid in late:
        vsi = house.platform.mdev.core.find(uuid).ops.adi.vsi
        assert all(vector.ims for vector in vsi.vectors)


def test_guests_whose_vectors_are_all_slots_talk_as_those_of_msix():
    for kind in ("ims", "msix"):
        more = f'\n[ice]\nvectors = "{kind}"\n'
        house = House.build(kind, more=more, vm1="queues = 4", vm2='type = "avf"').boot()
        vectors = house.vsi("vm1").vectors + house.vsi("vm2").vectors
        assert {vector.ims for vector in vectors} == {kind == "ims"}
        house.send("vm1", "vm2", "request", count=200, flows=16)
        assert house.received("vm1") == house.received("vm2") == 200
        assert house.platform.tenants.results()["vm2.0"]["rings"]["interrupts"] > 0


def test_the_2049th_vector_of_msix_is_refused_with_the_number_left():
    house = House.build("msix", more='\n[ice]\nvectors = "msix"\n').boot()
    fill(house, FULL)
    for _ in range(4):
        house.platform.mdev.create("ice-vdcm")
    left = house.pf.irqs.msix_free
    assert left < 5
    refused = f"no ice-vdcm is left on {house.pf.dev.name}: {left} interrupt vectors are free"
    with pytest.raises(LinuxError, match=refused) as caught:
        house.platform.mdev.create("ice-vdcm")
    assert caught.value.errno_name == "ENOSPC"
    house.pf.irqs.alloc_several([(f"x{n}", None) for n in range(left)], "msix")
    with pytest.raises(LinuxError, match="of 2048 MSI-X vectors 0 are left, of 64 IMS slots 64"):
        house.pf.irqs.alloc("the 2,049th", prefer="msix")
