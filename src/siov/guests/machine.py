"""What machine a guest gets, and QEMU's command line for it."""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from siov.errors import RigError
from siov.guests.image import Rig

Accelerator = Literal["tcg", "kvm"]

_SOCKET_PATH_MAX = 107  # bytes of sun_path in struct sockaddr_un, less the closing NUL
_FIRST_PORT_SLOT = 0x10  # root ports start behind the slots that QEMU gives to devices without an address
_PORTS_MAX = 8 * (0x1F - _FIRST_PORT_SLOT)  # 8 functions a slot; slot 0x1f is the chipset's
# Less console noise and no needless slowness under emulation; an oops ends the guest, as a panic does. The
# kernel's check whether its timer ticks counts on a machine that is never late, which a busy host's is.
_APPEND = (
    *("console=ttyS0", "quiet", "mitigations=off", "nokaslr", "no_timer_check"),
    *("oops=panic", "panic=-1"),
)


@dataclass(slots=True, frozen=True)
class GuestSpec:
    """One guest: the vfio-user sockets of its devices, and the machine around them.

    The device on `sockets[i]` is function 00.0 of bus i + 1, behind a root port of its own, so that it stays
    a PCI Express endpoint with its extended configuration space. `memory` is in MiB. `kernel` replaces the
    rig's kernel (and so fits none of its modules); `append` is put behind the kernel's command line. `viommu`
    gives the guest an Intel IOMMU, which vfio-pci in the guest needs. `trace` names QEMU's trace events.
    `devices` are further arguments of QEMU's -device, such as "igb"; `netdevs` are what they may be connected
    to, each the members of a QAPI Netdev (-netdev), with an `id` that the device names. `spare_ports` root
    ports more are empty, for devices that are plugged in later. With `reboot` a guest that resets boots anew;
    without, that ends it. A wrong value is a RigError.
    """

    sockets: tuple[Path, ...] = ()
    memory: int = 512
    smp: int = 1
    kernel: Path | None = None
    append: str = ""
    # Emulation is the default: the same on every machine, and a /dev/kvm that is there need not work.
    accel: Accelerator = "tcg"
    viommu: bool = False
    trace: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    netdevs: tuple[Mapping[str, object], ...] = ()
    spare_ports: int = 0
    reboot: bool = False

    def __post_init__(self) -> None:
        if self.memory < 128:
            raise RigError(f"a guest with {self.memory} MiB of memory does not boot; give it 128 or more")
        if not 1 <= self.smp <= 255:
            raise RigError(f"a guest can't have {self.smp} processors; from 1 to 255 are possible")
        if self.accel not in get_args(Accelerator):
            raise RigError(f"there is no accelerator {self.accel}; have {', '.join(get_args(Accelerator))}")
        if self.spare_ports < 0:
            raise RigError(f"a guest can't have {self.spare_ports} spare ports; 0 or more are possible")
        if (ports := len(self.sockets) + self.spare_ports) > _PORTS_MAX:
            raise RigError(f"a guest has room for {_PORTS_MAX} devices, not {ports}")

    def check(self) -> None:
        """Raise a RigError unless the sockets and the kernel are there for QEMU to open."""
        for path in self.sockets:
            check_socket(path)
        if self.kernel is not None and not self.kernel.is_file():
            raise RigError(f"there is no kernel {self.kernel}; give a bzImage, or nothing for the rig's own")
        if self.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            raise RigError("/dev/kvm is not there or not open to this user; use the accelerator tcg")


def check_socket(path: Path) -> None:
    """Raise a RigError unless a vfio-user socket is there for QEMU to open."""
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        raise RigError(f"socket path {path} is longer than the {_SOCKET_PATH_MAX} bytes possible")
    try:
        there = stat.S_ISSOCK(path.stat().st_mode)
    except OSError as error:
        raise RigError(f"there is no vfio-user socket {path}: {error.strerror}") from error
    if not there:
        raise RigError(f"{path} is not a socket; give the path that a device is served on")


def parse_memory(text: str) -> int:
    """MiB of a memory size such as 512M or 2G; a plain number is MiB; else a RigError."""
    match = re.fullmatch(r"([0-9]+)([MG]?)", text.upper())
    if match is None:
        raise RigError(f"{text!r} is not a memory size; write it as 512M or 2G")
    return int(match[1]) * (1024 if match[2] == "G" else 1)


def command_line(
    rig: Rig, spec: GuestSpec, initrd: str, serials: Iterable[str], append: str = ""
) -> list[str]:
    """QEMU's command line; `serials` are what its serial ports, ttyS0 first, are connected to.

    Guest memory is always shared: without, QEMU starts and the device reads and writes the wrong pages.
    """
    argv = [
        *rig.qemu_argv(),
        *("-no-user-config", "-nodefaults"),
        *(() if spec.reboot else ("-no-reboot",)),
        *("-run-with", "exit-with-parent=on"),
        *("-display", "none"),
        *_accelerator(spec),
        *("-object", f"memory-backend-memfd,id=ram,size={spec.memory}M,share=on"),
        *("-machine", "q35,memory-backend=ram"),
        *("-m", f"{spec.memory}M"),
        *("-smp", str(spec.smp)),
        *("-kernel", str(spec.kernel or rig.vmlinuz)),
        *("-initrd", initrd),
        *("-append", " ".join(filter(None, (*_APPEND, *_spec_append(spec), append, spec.append)))),
    ]
    for serial in serials:
        argv += ["-serial", serial]
    if spec.viommu:  # before the devices that it is to translate for
        argv += ["-device", "intel-iommu,caching-mode=on"]
    for index, path in enumerate(spec.sockets):
        argv += ["-device", _root_port(index), "-device", json.dumps(vfio_user_device(index, path))]
    for index in range(len(spec.sockets), len(spec.sockets) + spec.spare_ports):
        argv += ["-device", _root_port(index)]
    for netdev in spec.netdevs:
        argv += ["-netdev", json.dumps(dict(netdev))]
    for device in spec.devices:
        argv += ["-device", device]
    for pattern in spec.trace:
        argv += ["-trace", pattern]
    return argv


def _accelerator(spec: GuestSpec) -> list[str]:
    if spec.accel == "tcg":
        return ["-accel", "tcg,thread=multi"]
    # An emulated IOMMU remaps interrupts only if QEMU, not the kernel, has the I/O APIC.
    return ["-accel", "kvm,kernel-irqchip=split" if spec.viommu else "kvm", "-cpu", "host"]


def _spec_append(spec: GuestSpec) -> Iterator[str]:
    if spec.viommu:
        yield "intel_iommu=on"
    if spec.reboot:  # a kernel that panics must not look like one that was to boot again
        yield "panic=0"


def _root_port(index: int) -> str:
    slot, function = divmod(index, 8)
    return json.dumps(
        {
            "driver": "pcie-root-port",
            "id": f"port{index}",
            "bus": "pcie.0",
            "addr": f"{_FIRST_PORT_SLOT + slot:#x}.{function}",
            "multifunction": True,
            "chassis": index + 1,
            "io-reserve": 0,  # the 64 KiB of I/O space would be used up by 14 ports
        }
    )


def vfio_user_device(index: int, path: Path) -> dict[str, Any]:
    """The device on a socket, behind root port `index`, as QEMU's -device and device_add take it."""
    return {
        "driver": "vfio-user-pci",
        "id": f"vdev{index}",
        "bus": f"port{index}",
        "socket": {"type": "unix", "path": str(path.absolute())},
    }
