"""The embedded guests of a scenario: machines, their virtual devices and drivers, and their traffic."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from siov._core import Bus, Clock, EventFd, GuestLoop, check_capture
from siov.drivers.iavf import Iavf, IavfConfig, QueuePair
from siov.errors import ScenarioError
from siov.guests.embedded import DIRECT_MAP, EmbeddedVm, GuestVdev
from siov.host.iommu import Ids, IntelIommu
from siov.host.mdev import Mdevctl
from siov.host.physmem import PhysMem
from siov.hw.cpu import Core
from siov.hw.memory import HostDram
from siov.scenario_guest import GuestSpec, TrafficSpec, VdevSpec
from siov.threads import Threads
from siov.virtual_time import VirtualTime

log = logging.getLogger("siov")

SLICE = 0.1  # seconds of the guests' loop after which the control side is looked at
SEED = 0x510F  # of what all guests send: the receivers make the same bytes out of it
SIZES = (64, 1518)
FIRST_VPID = 0x4000  # those below are the machines' that a scenario has under [[vm]]


@dataclass(slots=True)
class Waiting:
    """How guests wait: on the clock while threads work, in virtual time, else by working themselves."""

    threads: Threads
    virtual_time: VirtualTime | None = None

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        if self.virtual_time is not None:
            self.virtual_time.wait(lambda: False, seconds)
        elif self.threads.running:
            time.sleep(seconds)
        else:
            self.threads.pump()

    def wait(self, eventfd: EventFd, seconds: float) -> bool:
        """Until an eventfd was signalled, at most so long; whether it was."""
        if self.virtual_time is not None:
            return self.virtual_time.wait(eventfd.take, seconds)
        if self.threads.running:
            poll = select.poll()
            poll.register(eventfd, select.POLLIN)
            poll.poll(seconds * 1000)
        else:
            self.threads.pump()
        return eventfd.take()


def check_captures(traffic: Iterable[TrafficSpec]) -> None:
    """Whether all captures that are to be sent can be; `ScenarioError` names the first that can't."""
    for spec in traffic:
        if spec.file is not None:
            try:
                check_capture(spec.file, replay=True)
            except (OSError, ValueError) as why:
                raise ScenarioError(f"the replay from {spec.src} to {spec.dst}: {why}") from None


def _number(exit_: dict[str, object]) -> int:
    number = exit_["guest"]
    assert isinstance(number, int)
    return number


@dataclass(eq=False, repr=False)
class Tenant:
    """A virtual device in use: the guest's, its driver, and its seat in the loop that moves frames."""

    spec: VdevSpec
    name: str
    uuid: str
    vdev: GuestVdev
    loop: GuestLoop
    seed: int = SEED
    driver: Iavf = field(init=False)
    seats: dict[int, Tenant] = field(default_factory=dict)  # of all tenants, by their seats
    seat: int | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        """Bring the driver up, as insmod and ip link set up do; `IavfError` when it can't be."""
        with self.lock:
            self.probe()
            self.up()

    def probe(self) -> None:
        """Have the driver find the device and agree with the PF: it has its vectors, and no queues yet."""
        spec = self.spec
        config = IavfConfig(
            queue_pairs=spec.queues,
            tx_entries=spec.entries,
            rx_entries=spec.entries,
            itr=spec.itr,
            vlan_strip=spec.vlan is not None,
            vlan_insert=spec.vlan is not None,
        )
        with self.lock:
            self.driver = Iavf(self.vdev, self, config)
            self.driver.probe()

    def up(self) -> None:
        """Have the driver set its queues up, and frames move."""
        spec = self.spec
        with self.lock:
            core = self.vdev.guest.core.engine
            self.seat = self.loop.add(
                core,
                self.driver.mac,
                direct_map=DIRECT_MAP,
                seed=self.seed,
                echo=True,
                vlan=spec.vlan,
                tag=spec.vlan,
            )
            self.seats[self.seat] = self
            if spec.vlan is not None:
                self.driver.add_vlan(spec.vlan)
            self.driver.up()
            self.driver.service()  # the link's state comes behind the last reply

    def stop(self) -> None:
        """Let the device go."""
        with self.lock:
            if self.seat is not None:
                self.driver.remove()
                self.loop.remove(self.seat)
                del self.seats[self.seat]
                self.seat = None

    def service(self) -> None:
        """Have the driver take what the PF told it."""
        with self.lock:
            if self.seat is not None:
                self.driver.service()

    # The `RingSide` of the driver.

    def add_pair(self, pair: QueuePair) -> None:
        """Queues are enabled."""
        assert self.seat is not None
        self.loop.add_pair(
            self.seat,
            tx_ring=pair.tx_ring,
            tx_entries=pair.tx_entries,
            tx_buffers=pair.tx_buffers,
            tx_tail=pair.tx_tail,
            rx_ring=pair.rx_ring,
            rx_entries=pair.rx_entries,
            rx_buffers=pair.rx_buffers,
            rx_tail=pair.rx_tail,
            dyn_ctl=pair.dyn_ctl,
            eventfd=self.vdev.eventfds[pair.vector].fileno(),
            buffer=pair.buffer,
            rxdid=pair.rxdid,
            itr=pair.itr,
        )

    def clear_pairs(self) -> None:
        """Queues go away."""
        if self.seat is not None:
            self.loop.clear_pairs(self.seat)


@dataclass(eq=False, repr=False)
class Tenants:
    """All embedded guests of a server, and the loop that all of them run on."""

    mem: PhysMem
    dram: HostDram
    iommu: IntelIommu
    pasids: Ids
    mdev: Mdevctl
    threads: Threads
    bus: Bus
    clock: Clock
    parents: dict[str, str]  # the PCI name of each adapter, by its name in the scenario
    seed: int = SEED  # of what they send
    virtual_time: VirtualTime | None = None  # without it they need `start`, or `step` again and again
    vms: dict[str, EmbeddedVm] = field(default_factory=dict)
    all: dict[tuple[str, int], Tenant] = field(default_factory=dict)
    loop: GuestLoop = field(init=False)
    failures: list[Exception] = field(default_factory=list)
    _vpids: dict[str, int] = field(default_factory=dict)
    _seats: dict[int, Tenant] = field(default_factory=dict)
    _mail: select.epoll = field(default_factory=select.epoll)  # eventfds of mailboxes
    _mail_of: dict[int, Tenant] = field(default_factory=dict)  # by the number of that file
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.loop = GuestLoop(self.bus, self.clock)

    def add(self, spec: GuestSpec, *, start: bool = True) -> EmbeddedVm:
        """Make a machine with its virtual devices, created and opened; the errors of all that.

        Their drivers are up, unless they are not to `start`: each tenant does that by itself then.
        """
        taken = self._vpids.values()
        vpid = self._vpids[spec.name] = next(number for number in count(FIRST_VPID) if number not in taken)
        core = Core(f"{spec.name}-cpu0", self.dram.core, vpid=vpid)
        rest = Waiting(self.threads, self.virtual_time)
        vm = EmbeddedVm(
            spec.name,
            self.mem,
            spec.memory,
            core,
            self.iommu,
            self.pasids,
            rest,
            largest=1 if spec.page == "4K" else 2,
        )
        self.vms[spec.name] = vm
        for number, vdev in enumerate(spec.vdevs):
            if vdev.parent not in self.parents:
                raise ScenarioError(f"{spec.name} has a device on {vdev.parent}, which ice could not probe")
            info = self.mdev.create(f"ice-{vdev.type}", vdev.uuid, self.parents[vdev.parent])
            device = vm.attach(self.mdev.core.find(info.uuid))
            tenant = Tenant(
                vdev, f"{spec.name}.{number}", info.uuid, device, self.loop, self.seed, seats=self._seats
            )
            device.mail = partial(self._watch, tenant)
            self.all[spec.name, number] = tenant
            if start:
                tenant.start()
        return vm

    def send(self, spec: TrafficSpec) -> int:
        """Start traffic; the load's number at its sender.

        Frames of a capture go from the sender's address to the receiver's, whatever the file says; a receiver
        compares what comes with the last capture that it was to get. Without `count`, the file is sent once.
        """
        sender, receiver = self._tenant(spec.src), self._tenant(spec.dst)
        assert sender.seat is not None
        assert receiver.seat is not None
        sizes = list(spec.sizes or SIZES)
        count, addresses = spec.count, None
        if spec.file is not None:
            addresses = sender.driver.mac, receiver.driver.mac
            self.loop.expect(receiver.seat, spec.file, addresses)
            count = count or check_capture(spec.file, replay=True)
        return self.loop.send(
            sender.seat,
            spec.kind,
            receiver.driver.mac,
            flows=spec.flows,
            sizes=sizes if spec.kind in ("generate", "request") else None,
            count=count,
            rate=spec.rate,
            depth=spec.depth,
            seed=spec.seed or self.seed,
            tag=sender.spec.vlan,
            path=spec.file,
            addresses=addresses,
        )

    def start(self) -> None:
        """Have the guests run, on a thread of their own."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._drive, name="guests", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have them stand still."""
        if self._thread is not None:
            self._stopping.set()
            self.loop.stop()
            self._thread.join()
            self._thread = None

    def step(self) -> bool:
        """One turn of all guests on this thread; whether any had work."""
        worked, exits = self.loop.step()
        self._see_to(exits)
        self._service()
        return worked or bool(exits)

    # The `Guests` of virtual time.

    def bells(self) -> list[list[EventFd]]:
        """The eventfds of each device; the first one is its mailbox's."""
        return [tenant.vdev.eventfds for tenant in self.all.values()]

    def see_to(self, exits: Sequence[dict[str, object]]) -> None:
        """Handle VM exits and what the PF told drivers; a guest at which that fails stands still."""
        for exit_ in exits:
            with self._noted():
                try:
                    self._see_to([exit_])
                except Exception:
                    self.loop.clear_pairs(_number(exit_))
                    raise
        with self._noted():
            self._service()

    def remove(self, name: str) -> None:
        """Shut a guest down and remove its virtual devices; nothing of it is left, and the others go on."""
        if name not in self.vms:
            raise ScenarioError(f"there is no guest {name}; there are {', '.join(self.vms) or 'none'}")
        tenants = [tenant for (guest, _), tenant in self.all.items() if guest == name]
        for tenant in tenants:
            tenant.stop()
        self.vms[name].close()
        for tenant in tenants:
            if UUID(tenant.uuid) in self.mdev.core.devices:  # it went with its adapter, else
                self.mdev.remove(tenant.uuid)
        self.all = {key: tenant for key, tenant in self.all.items() if key[0] != name}
        self._mail_of = {file: one for file, one in self._mail_of.items() if one not in tenants}
        del self.vms[name], self._vpids[name]

    def close(self) -> None:
        """Shut every guest down and remove its virtual devices; nothing of them is left."""
        self.stop()
        for name in list(self.vms):
            self.remove(name)

    def results(self) -> dict[str, dict[str, Any]]:
        """What each virtual device's guest has done and found, by GUEST.N."""
        return {
            tenant.name: self.loop.results(tenant.seat)
            for tenant in self.all.values()
            if tenant.seat is not None
        }

    @property
    def done(self) -> bool:
        """Whether everything that was to be sent is, and has been answered where that is due."""
        return all(
            sender["done"] for result in self.results().values() for sender in result["senders"]
        ) and not any(result["under_way"] for result in self.results().values())

    @property
    def wrong(self) -> int:
        """Frames that arrived changed, twice, out of order, or with a wrong tag or status."""
        kinds = ("duplicated", "reordered", "corrupt", "wrong_tag", "wrong_status")
        return sum(result["checked"][kind] for result in self.results().values() for kind in kinds)

    def inspect(self) -> dict[str, object]:
        """The machines."""
        return {name: vm.inspect() for name, vm in self.vms.items()}

    def _drive(self) -> None:
        while not self._stopping.is_set():
            with self._noted():
                self._see_to(self.loop.run(SLICE))
                self._service()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """One guest's driver must not end the others': what it raises is kept and logged."""
        try:
            yield
        except Exception as why:
            self.failures.append(why)
            log.exception("a guest's driver failed")

    def _see_to(self, exits: Sequence[dict[str, object]]) -> None:
        for exit_ in exits:
            number = _number(exit_)
            tenant = self._seats.get(number)
            if tenant is not None:
                self.loop.resume(number, tenant.vdev.guest.handle_exit(exit_))

    def _service(self) -> None:
        for file, _ in self._mail.poll(0):
            tenant = self._mail_of.get(file)
            # A driver that is at work for somebody takes messages itself; its eventfds are not ours then.
            if tenant is None or not tenant.lock.acquire(blocking=False):
                continue
            try:
                if tenant.vdev.eventfds and tenant.vdev.eventfds[0].take():
                    tenant.service()
            finally:
                tenant.lock.release()

    def _watch(self, tenant: Tenant, eventfd: EventFd) -> None:
        """The mailbox of a tenant has another eventfd; the one before leaves with its file."""
        self._mail_of[eventfd.fileno()] = tenant
        self._mail.register(eventfd.fileno(), select.EPOLLIN)

    def find(self, text: str) -> Tenant | None:
        """A device of a guest, by GUEST or GUEST.N."""
        guest, _, number = text.partition(".")
        return self.all.get((guest, int(number or 0))) if number.isdecimal() or not number else None

    def _tenant(self, text: str) -> Tenant:
        tenant = self.find(text)
        if tenant is None:
            have = ", ".join(self._names()) or "none"
            raise ScenarioError(f"there is no device {text} of a guest; there are {have}")
        return tenant

    def _names(self) -> Iterator[str]:
        return (tenant.name for tenant in self.all.values())
