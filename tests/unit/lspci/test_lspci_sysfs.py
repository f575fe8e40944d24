"""What the kernel knows of a function, against lspci on a sysfs tree that says the same."""

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.host.lspci import Address, Names, Options, PciFunctionView, Resource, ResourceFlag, render
from siov.spec.pcie import HeaderLayout

from .oracle import Lspci, once, same
from .spaces import Recipe, detailed, recipes


def resources(rng: random.Random, layout: int) -> list[Resource]:
    """BARs, ROM and windows as a kernel may have given them out, whatever the registers say."""
    kinds = (
        0,
        ResourceFlag.IO | 1,
        ResourceFlag.MEM,
        ResourceFlag.MEM | ResourceFlag.PREFETCH | 8,
        ResourceFlag.MEM | ResourceFlag.MEM_64 | ResourceFlag.PREFETCH | 0xC,
        ResourceFlag.MEM | ResourceFlag.MEM_64 | 4,
        ResourceFlag.MEM | ResourceFlag.FIXED_BY_EA,
    )
    found = []
    for _ in range(11 if layout & 0x7F == HeaderLayout.TYPE1 else 7):
        size = rng.choice((0, 1 << rng.randrange(2, 44), 0x3000, 0x10_0000))
        start = rng.choice((0, rng.randrange(1 << 16) << 12, rng.randrange(1 << 30) << 20))
        found.append(Resource(start, size, int(rng.choice(kinds))))
    return found


def known_to_a_kernel(view: PciFunctionView, seed: int) -> PciFunctionView:
    rng = random.Random(seed)
    return PciFunctionView(
        view.address,
        view.config,
        resources=resources(rng, view.layout),
        irq=rng.choice((0, 11, 255, 4097)),
        driver=rng.choice((None, "vfio-pci")),
        numa_node=rng.choice((None, 0, 3)),
        iommu_group=rng.choice((None, 0, 27)),
        slot=rng.choice((None, "7", "0-1")),
    )


def link(at: Path, target: Path) -> None:
    """A relative link, as all of sysfs's are."""
    at.symlink_to(os.path.relpath(target, at.parent))


def write_sysfs(root: Path, views: Sequence[PciFunctionView]) -> Path:
    for folder in ("devices", "slots", "drivers/vfio-pci", "groups"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for n, view in enumerate(views):
        above = [views_by.address for views_by in views if views_by.address == view.parent]
        home = (root / "devices" / str(above[0])).resolve() if above else root / "real"
        (home / str(view.address)).mkdir(parents=True)
        at = root / "devices" / str(view.address)
        at.symlink_to(home / str(view.address))
        (at / "config").write_bytes(view.config)
        kernel = {
            "vendor": f"{view.vendor:#06x}",
            "device": f"{view.device:#06x}",
            "class": f"{view.class_id << 8 | view.prog_if:#08x}",
            "revision": f"{view.revision:#04x}",
            "irq": view.irq or 0,
            "resource": "\n".join(
                f"{r.start:#018x} {r.start + max(r.size - 1, 0):#018x} {r.flags:#018x}"
                for r in view.resources or [Resource()] * 7
            ),
        }
        if view.subsystem:
            kernel |= {"subsystem_vendor": hex(view.subsystem[0]), "subsystem_device": hex(view.subsystem[1])}
        if view.numa_node is not None:
            kernel["numa_node"] = view.numa_node
        for name, value in kernel.items():
            (at / name).write_text(f"{value}\n")
        if view.driver:
            link(at.resolve() / "driver", root / "drivers" / view.driver)
        if view.iommu_group is not None:
            (root / "groups" / str(view.iommu_group)).mkdir(exist_ok=True)
            link(at.resolve() / "iommu_group", root / "groups" / str(view.iommu_group))
        if view.slot is not None:
            (root / "slots" / f"{view.slot}-{n}").mkdir()
            (root / "slots" / f"{view.slot}-{n}" / "address").write_text(
                f"{str(view.address).rpartition('.')[0]}\n"
            )
    return root


@once
@given(made=recipes, seed=st.integers(0, 2**32))
@pytest.mark.parametrize(("flags", "detail"), [("-v", 1), ("-vvv", 3), ("-bvv", 2)])
def test_what_the_kernel_knows_is_listed_as_lspci_lists_it(
    lspci: Lspci,
    tmp_path_factory: pytest.TempPathFactory,
    flags: str,
    detail: int,
    made: list[Recipe],
    seed: int,
) -> None:
    shown = []
    for n, recipe in enumerate(made[:4]):
        view = recipe.view(detailed)
        address = Address(view.address.domain, view.address.bus, n, 0)  # a slot has all functions of a device
        shown.append(known_to_a_kernel(PciFunctionView(address, view.config), seed + n))
    root = write_sysfs(tmp_path_factory.mktemp("sys"), shown)
    shown = [replace(view, slot=view.slot and f"{view.slot}-{n}") for n, view in enumerate(shown)]
    ours = render(shown, Options(Names(lspci.names), detail=detail, bus_view="b" in flags))
    same(ours, lspci.of_sysfs(root, flags))
