"""The host hears of what its remapping unit refuses."""

from .attack import Scene


def test_a_refused_access_interrupts_the_host_which_reads_and_clears_the_record():
    scene = Scene(ats=False)
    iommu = scene.server.iommu
    counts = dict(scene.server.platform.irqs.interrupts())
    scene.bad.tx.data(bytes(60), address=scene.hpa)
    scene.bad.tx.kick()
    after = dict(scene.server.platform.irqs.interrupts())
    assert after[f"{iommu.name}-fault"] == counts[f"{iommu.name}-fault"] + 1
    [fault] = iommu.faults.last
    assert (fault.pasid, fault.addr) == (scene.bad.vdev.device.pasid, scene.hpa)
    assert iommu.faults.drain() == [], "the record is free for the next one"
    scene.server.close()
