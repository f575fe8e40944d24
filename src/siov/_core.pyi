"""The Rust side of siov: what is done per access or per packet."""

from collections.abc import Mapping, Sequence, Set
from os import PathLike
from pathlib import Path
from typing import Any

class RegFile:
    """Registers at byte offsets, with widths, partial accesses, masks and write-1-to-clear done.

    Bytes that belong to no register read as zero and can't be written. Each register is given as
    (name, offset, size in bytes 1 to 8, reset value, RW mask, RW1C mask, sticky mask). Raises `ValueError`
    when registers overlap or leave the `size` bytes.
    """

    def __init__(self, size: int, registers: list[tuple[str, int, int, int, int, int, int]]) -> None: ...
    @property
    def size(self) -> int:
        """Size in bytes."""
    @property
    def names(self) -> list[str]:
        """The registers, by offset."""
    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from offset `at`, as software reads them."""
    def write(self, at: int, data: bytes) -> list[tuple[str, int, int, int, int]]:
        """Write as software does; gives (name, element, value before, value now, what was written)."""
    def get(self, name: str, index: int = 0) -> int:
        """A register's value, as hardware sees it; `KeyError` if there is no such register."""
    def set(self, name: str, value: int, index: int = 0) -> None:
        """Set a register as hardware does: no mask holds it back. Bits past its width are dropped."""
    def reset(self, *, keep_sticky: bool = False) -> None:
        """Every register takes its reset value; a function-level reset keeps the sticky bits."""

class TestFunction:
    """The test function of `siov.spec.testfn`, with a configuration space that the caller composed.

    `ValueError` when the configuration space lacks COMMAND, Express.DEVCTL or Msix.CONTROL.
    """

    def __init__(self, config: RegFile) -> None: ...
    def bar_read(self, offset: int, size: int) -> bytes:
        """`size` bytes from an offset of BAR 0; zeros past its end."""
    def bar_write(self, offset: int, data: bytes) -> None:
        """Bytes to an offset of BAR 0, with their side effects."""
    def take_raised(self) -> int:
        """The vectors raised since the last call while no client was attached, one bit each."""
    def reset(self) -> None:
        """BAR 0 as after power-on; no DMA of before is under way afterwards."""

class Vdev:
    """A composed virtual device: what any access of a guest to it does.

    `config` is its configuration space. A trap is one of
    ("forward", at, count, stride, read, write, step): the double words at `at`, `at + stride` … of BAR 0 go
    to the parent's registers at physical address `read` or `write` (None: that direction finds nothing),
    `step` bytes apart;
    ("rstat", at, address): VFGEN_RSTAT, out of VSIGEN_RSTAT at that physical address and the state;
    ("shadow", at, count, stride, reset, rw, read_clears, notify): registers that are kept.
    All else in BAR 0 reads as 0xdeadbeef. `msix` is the size of BAR 3 and the vectors of its table; without
    it that BAR is the VMM's to emulate. `function_reset` has Express.DEVCTL ask for function-level resets.
    `bell` is the (cpu, vector) that is raised when there are notices. `ValueError` names a trap that can't
    be.
    """

    def __init__(
        self,
        config: RegFile,
        bus: Bus,
        *,
        bar0_size: int,
        traps: Sequence[tuple[Any, ...]],
        msix: tuple[int, int] | None = None,
        function_reset: bool = False,
        bell: tuple[int, int] | None = None,
    ) -> None: ...
    def region_size(self, region: int) -> int:
        """Bytes of a region (0 BAR 0, 3 MSI-X, 7 configuration space); 0 for one that can't be accessed."""
    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """As the guest reads; `OSError` with EINVAL outside of a region."""
    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """As the guest writes; `OSError` with EINVAL outside of a region."""
    @property
    def state(self) -> str:
        """`active`, `resetting` or `disabled`."""
    def set_state(self, state: str) -> None:
        """Change the state; when this returns, no access by the old one is under way."""
    def shadow(self, at: int) -> int:
        """A kept register, as the host sees it; `ValueError` where none is."""
    def set_shadow(self, at: int, value: int) -> None:
        """Set a kept register, as the host does."""
    def or_shadow(self, at: int, bits: int) -> None:
        """Set bits of a kept register."""
    def take_notices(self) -> tuple[bool, list[tuple[int, int]]]:
        """Whether a function-level reset was asked for, and the (offset, value) of registers written, since
        the last call. After such a reset the device is disabled until the host makes it active."""
    def reset(self) -> None:
        """Kept registers and the MSI-X table as they were made; notices are forgotten."""
    def reset_config(self, *, keep_sticky: bool = False) -> None:
        """The configuration space after power-on, or after a function-level reset."""
    def inspect(self) -> dict[str, Any]:
        """State, what the guest enabled, number of traps, and accesses that found nothing."""

class ServedVdev:
    """A virtual device as an endpoint serves it: registers and interrupts without Python.

    `user` acts in the host for the client; its methods are called from the endpoint's thread, and an errno
    of what they raise is the client's answer: attached() -> pages, detached(), reset(), disable_irqs(),
    set_irqs(start, eventfds or None each), dma_map(iova, physical address, size, 1 read | 2 write),
    dma_unmap(iova, size). `regions` are (size, VFIO_REGION_INFO_FLAG_*), `irqs` (count, VFIO_IRQ_INFO_*).
    `pages` are physical addresses of BAR 0's pages that are the adapter's own, by offset. A client's files
    are placed in `memory` from `guests_from` on, each from its first map to its last. The pages that
    `attached` gives, offsets in BAR 0, are memory that the client maps, a new file for each; their registers
    are words of it, unless the parent's do not answer.
    """

    def __init__(
        self,
        vdev: Vdev,
        bus: Bus,
        memory: HostMemory,
        user: object,
        *,
        regions: Sequence[tuple[int, int]],
        irqs: Sequence[tuple[int, int]],
        pages: Mapping[int, int],
        guests_from: int,
    ) -> None: ...
    def zap(self) -> None:
        """Clear the pages that the client maps."""
    def inspect(self) -> dict[str, Any]:
        """`doorbells` ("direct" while a client may map some), `files` (physical address, bytes, maps),
        `unshared_maps` and `lost_files` of the client.
        """

class Endpoint:
    """A device on a UNIX socket that speaks vfio-user, for one client at a time.

    The socket is made at once. `ValueError` when its path is too long or taken, `OSError` when the
    system refuses it.
    """

    def __init__(self, path: str | PathLike[str], device: TestFunction | ServedVdev) -> None: ...
    def run(self) -> None:
        """Serve clients on this thread until `stop`, with the interpreter let go; the socket is gone then."""
    def stop(self) -> None:
        """Disconnect the client and have `run` end, for good; from any thread."""
    def inspect(self) -> dict[str, Any]:
        """Path, client, DMA maps, vectors and counters."""

def bench_endpoint(
    path: str | PathLike[str], rounds: int, exchanges: int, one_cpu: bool
) -> tuple[list[int], list[int], list[int]]:
    """Nanoseconds of 4-byte register reads, of posted writes, and of raw exchanges of the read's sizes.

    Each kind `exchanges` times in each of `rounds` rounds, on an endpoint at `path` and a client of its own;
    with `one_cpu` all threads share a processor.
    """

def bench_datapath(
    vsis: int,
    frame: int,
    translation: str,
    frames: int,
    *,
    entries: int = 256,
    superpages: bool = True,
    thread: bool = True,
) -> tuple[float, float, float]:
    """Send at least `frames` frames of `frame` bytes from every other of `vsis` VSIs to the next one.

    `translation` is "none" (no remapping unit), "unit" (ATS off) or "atc"; rings have `entries` descriptors.
    With `superpages` second stages have pages of 2 MiB, else of 4 KiB.
    The engine's worker has a thread of its own, or is pumped on this one. Gives frames a second by the clock
    on the wall, nanoseconds of the engine's processor time for each, and interrupts a second.
    `ValueError` for a load that can't be, `RuntimeError` when a frame is lost or not what was sent.
    """

def bench_translate(count: int) -> tuple[float, float, float, float]:
    """Make `count` translations of each kind on one core.

    Gives, a second of processor time: IOTLB hits, cold nested 4x4 walks (then memory reads of each), and
    legacy 4-level walks. `MemoryError` when there is no room for the tables.
    """

class EventFd:
    """An eventfd that does not block, closed when nobody holds it; `OSError` when there are no files left.

    Who is told its number, as `Bus.connect` and `GuestLoop.add_pair` are, holds this file and no other.
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int:
        """Its number."""
    def take(self) -> bool:
        """Whether it was signalled; it is zero again then."""

class HostMemory:
    """Host physical memory: `size` bytes of address space, empty until something is placed in it."""

    def __init__(self, size: int) -> None: ...
    def place(self, at: int, size: int) -> None:
        """Zeroed memory at a multiple of 2 MiB; `ValueError` where something is or the space ends."""
    def remove(self, at: int) -> bool:
        """Take out the memory that was placed at an address; False when none was."""
    def read(self, at: int, size: int) -> bytes:
        """`size` bytes; `IndexError` where nothing is."""
    def write(self, at: int, data: bytes) -> None:
        """Put bytes; `IndexError` where nothing is."""

class RemappingUnit:
    """A VT-d remapping unit, driven by its registers, that walks tables in host memory.

    `haw` is the width of host addresses, `levels` those of second stages. `caches` gives a geometry by name
    (context, pasid, iotlb, first, second, interrupt): "off", "infinite", or (sets, ways, replacement,
    partitions, "domain" or "pasid"), with the replacements lru, plru, lfu, fifo, random.
    """

    def __init__(
        self,
        memory: HostMemory,
        *,
        haw: int = 46,
        levels: list[int] = ...,
        five_level: bool = True,
        scalable: bool = True,
        nested: bool = True,
        device_tlb: bool = True,
        caching_mode: bool = False,
        caches: dict[str, Any] | None = None,
    ) -> None: ...
    def mmio_read(self, at: int, size: int) -> bytes:
        """Registers, as software reads them."""
    def mmio_write(self, at: int, data: bytes) -> None:
        """Registers, as software writes them; the invalidation queue is worked through."""
    def translate(self, rid: int, pasid: int | None, addr: int, access: str = "r") -> dict[str, Any]:
        """Translate a request: `hpa`, `page` (bytes) and `rights`, or `fault` (its code) and `recorded`.

        `access` is made of r, w, x (execute) and p (privileged).
        """
    def explain(
        self, rid: int, pasid: int | None, addr: int, access: str = "r"
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Translate, and tell each step: an entry read (table, level, index, at, raw) or a cache asked."""
    def interrupt(self, rid: int, address: int, data: int) -> dict[str, Any]:
        """Take an interrupt request: where it goes, or `fault` and `recorded`."""
    def take_outbound(self) -> list[tuple[Any, ...]]:
        """What was sent out since the last call.

        ("message", address, data), ("invalidate", rid, pasid, global, addr, size, itag) and
        ("page-response", rid, pasid, prgi, code).
        """
    def invalidation_done(self, rid: int, itag: int) -> None:
        """A device has answered an Invalidate Request."""
    def invalidation_timeout(self) -> None:
        """Devices took too long to answer."""
    @property
    def counters(self) -> list[tuple[str, int]]:
        """Every event's name in Linux, and its count."""
    def add_filter(
        self, *, rid: int | None = None, domain: int | None = None, pasid: int | None = None
    ) -> int:
        """Count what a filter admits from now on; gives the number to ask with."""
    def filtered(self, number: int) -> list[tuple[str, int]]:
        """The counts of a filter."""
    @property
    def cached(self) -> list[tuple[str, int]]:
        """How many entries the context-cache, the PASID-cache and the IOTLB hold."""

class Bus:
    """The bus of the core's functions: host memory, the remapping units before it, and the CPUs.

    Interrupts end at a vector's eventfd, or are kept for the host's handlers: a vector once, however many
    messages come for it.
    """

    def __init__(self, memory: HostMemory) -> None: ...
    def add_unit(self, unit: RemappingUnit, scope: Set[int] | None = None) -> int:
        """Put a unit before the requester ids of a scope (None: all); gives its number, in order from 0.

        The first that serves a requester takes its requests. `ValueError` when there are too many.
        """
    def set_scope(self, unit: int, scope: Set[int] | None) -> None:
        """Change a unit's scope; `IndexError` when there is no such unit."""
    def map_mmio(self, claims: list[tuple[int, int, Nic, int]]) -> None:
        """Which BARs answer to the CPU: (physical address, bytes, adapter, BAR) of each, in place of before.

        `ValueError` when two overlap.
        """
    def mmio_read(self, at: int, size: int) -> bytes | None:
        """The CPU reads 1 to 8 bytes at a physical address; None where none of these BARs answers."""
    def mmio_write(self, at: int, data: bytes) -> bool | None:
        """The CPU writes 1 to 8 bytes; whether firmware has something to do then, None as in `mmio_read`."""
    def message(self, rid: int, address: int, data: int) -> None:
        """Take an interrupt message of a function, by the unit in whose scope it is."""
    @property
    def busy(self) -> bool:
        """Whether something waits to be settled or taken."""
    def settle(self) -> list[tuple[int, int, int]]:
        """Deliver what units have sent.

        Gives (unit, requester id, ITag) of each Invalidate Request to none of the core's functions; it waits
        for `answer` or `time_out`.
        """
    def answer(self, unit: int, rid: int, itag: int) -> None:
        """Answer an Invalidate Request."""
    def time_out(self, unit: int) -> None:
        """Tell a unit that Invalidate Requests were not answered in time."""
    def connect(self, destination: int, vector: int, fd: int) -> None:
        """Have a vector's interrupts signal an eventfd, of which a duplicate is kept.

        `OSError` when there is no such file, `ValueError` when it is no eventfd.
        """
    def disconnect(self, destination: int, vector: int) -> bool:
        """Keep a vector's interrupts for the host's handlers again; whether it was connected."""
    def take(self, limit: int = 4096) -> list[tuple[int, int, int]]:
        """(destination, vector, messages) of pending vectors, which are pending no longer."""
    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until a vector is pending; whether one is."""
    def inspect(self) -> dict[str, int]:
        """How many vectors are `connected` and `pending`, and messages `lost` because too many were."""

class Nic:
    """An E810-like adapter, as `siov.spec.e810` has its registers; driven by its BARs and its firmware.

    `config` is its configuration space (`ValueError` when it lacks COMMAND, Ats.CTL, Pasid.CTL or
    Msix.CONTROL). `ims` slots of interrupt message storage (0 to 16,384), 1 to 64 `workers`, each with a
    device TLB of geometry `atc` (as in `RemappingUnit`; infinite without), room for (guaranteed, best effort)
    `flows`. Without `start`, `pump` does the work. A value out of its range raises `ValueError`.
    """

    def __init__(
        self,
        config: RegFile,
        bus: Bus,
        clock: Clock,
        *,
        ims: int = 0,
        workers: int = 1,
        atc: Any | None = None,
        flows: tuple[int, int] = (2048, 14336),
        seed: int = 0,
    ) -> None: ...
    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        """`size` bytes of BAR 0 or 3, as software reads them."""
    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        """Bytes to BAR 0 or 3, as software writes them; what only firmware can do becomes an event."""
    def config_changed(self, rid: int) -> None:
        """The configuration space was written: requester id, BME, ATS, PASID and MSI-X control count now."""
    def get(self, name: str, index: int = 0) -> int:
        """A register of `siov.spec.e810`, without the effect of a read; `KeyError` if there is none."""
    def set(self, name: str, value: int, index: int = 0) -> None:
        """Set a register as hardware does: no mask holds it back and nothing comes of it."""
    def take_events(self) -> list[tuple[Any, ...]]:
        """What firmware has to see, in order.

        ("admin-queue",), ("reset", kind), ("vsi-reset", vsi), ("malicious", vsi, queue or None, reason) and
        ("link", port, up).
        """
    def wait_events(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for an event; whether there is one."""
    def raise_fw(self) -> None:
        """The admin queue's interrupt (PFINT_FW_CTL)."""
    def raise_oicr(self, causes: int) -> None:
        """Set bits of PFINT_OICR, with their interrupt."""
    def reset(self, kind: str) -> None:
        """PFR, CORER, GLOBR, EMPR or FLR; no DMA of before is under way afterwards."""
    def reset_vsi(self, vsi: int) -> None:
        """Stop a VSI's queues, mailbox and interrupts."""
    def set_vsi(self, vsi: int, kind: int, properties: bytes) -> None:
        """Make a VSI or change it: its 128 bytes of properties, whole."""
    def free_vsi(self, vsi: int) -> None:
        """A VSI is gone, with its queues and filters."""
    def tx_enable(self, queue: int, context: bytes) -> None:
        """Enable a Tx queue with its context of 22 bytes."""
    def tx_disable(self, queue: int) -> None:
        """Disable a Tx queue; none of its DMA is under way afterwards."""
    def add_rule(
        self,
        *,
        tx: bool,
        lookup: int,
        source: int,
        mac: bytes | None,
        vlan: int | None,
        ethertype: int | None,
        forward: tuple[Any, ...],
        lan: bool,
        loopback: bool,
    ) -> int:
        """Add a switch rule and give its number; `OverflowError` when there is no room.

        `forward` is ("vsi", number), ("list", number), ("queue", number, log2), ("drop",), ("prune", list).
        """
    def update_rule(self, rule: int, *, forward: tuple[Any, ...], lan: bool, loopback: bool) -> None:
        """Change where a rule sends."""
    def remove_rule(self, rule: int) -> None:
        """Remove a rule."""
    def set_vsi_list(self, number: int, vsis: list[int]) -> None:
        """What VSIs a list holds."""
    def set_rss_key(self, vsi: int, key: bytes) -> None:
        """A VSI's hash key of 52 bytes."""
    def set_rss_lut(self, vsi: int, table: bytes) -> None:
        """A VSI's look-up table: a power of two of queues; none switches spreading off."""
    def set_rss_fields(self, vsi: int, level: int, groups: list[int]) -> None:
        """What a VSI's frames are hashed by: a set of fields for each group of packets."""
    def set_flow_profile(self, profile: int, group: int, level: int, fields: int) -> None:
        """Which packets a flow-director profile is for, and the fields its filters match; 0 removes it."""
    def set_flow_profile_vsi(self, profile: int, vsi: int, on: bool) -> None:
        """Whether a VSI uses a flow-director profile; `ValueError` when there is no such profile."""
    def clear_filters(self, vsi: int | None = None) -> None:
        """Remove the filters of a VSI, or all."""
    def set_vlan_mode(self, double: bool) -> None:
        """Whether two tags count, or one."""
    def set_link(self, port: int, up: bool, speed: int) -> None:
        """Whether a port carries frames, and its speed in Mbit/s."""
    def set_loopback(self, port: int, on: bool) -> None:
        """Whether what goes out at a port comes in again."""
    def link_present(self, port: int) -> bool:
        """Whether what a port is plugged into has a link."""
    def set_mac(self, port: int, mac: bytes) -> None:
        """A port's own address."""
    def set_max_frame(self, port: int, size: int) -> None:
        """The longest frame a port takes, in bytes without CRC."""
    def attach_port(self, number: int, port: Port | None) -> None:
        """Plug a port in, or out; `ValueError` when another NIC has it."""
    def capture(
        self,
        target: tuple[str, int],
        writer: Capture,
        *,
        name: str | None = None,
        description: str | None = None,
        comment: str | None = None,
        drops: bool = False,
    ) -> None:
        """Record into a file what ("vsi", number) or ("port", number) sends and receives, from now on.

        A VSI sends after its offloads and receives with its tags; there need not be one of that number yet.
        The file gets an interface of this `name` (vsi5, port0), and each frame the `comment`. As many frames
        are recorded as the counters count; with `drops` also those that did not pass, and why.
        """
    def capture_stop(self, target: tuple[str, int], writer: Capture | None = None) -> int:
        """Record there no more, into this file or any: how many recordings ended. No frame comes later."""
    def start(self) -> None:
        """Give each worker a thread; `OSError` when the system has none left."""
    def stop(self) -> None:
        """End the workers' threads."""
    def pump(self) -> bool:
        """A batch of each worker and what timers let go, on this thread; whether anything was done."""
    def next_deadline(self) -> int | None:
        """When a timer runs out next, in nanoseconds of the clock."""
    def inspect(self) -> dict[str, Any]:
        """VSIs with their counters, rules, filters, what the switch dropped, the device TLB's counters.

        `interrupts` has the `events` of all vectors, the `interrupts` that took them along, how many of these
        were `delayed` by ITR or INTRL, and the events that found their vector `disabled`. `ports` has the
        `counters` of `port0`, the wire (GLPRT).
        """

class GuestLoop:
    """The rings of embedded guests and their traffic, on the thread that calls `run` (the crate siov-iavf).

    A guest reaches memory and registers through its core and EPT, so a VM exit may stop it: it is told as a
    dict of `guest`, `fault` ("not-running", or as in `CpuCore.access`), `exit_reason`, and for a write to a
    register `value`. The guest stands still until `resume`. `KeyError` for a guest that isn't there.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None: ...
    def add(
        self,
        cpu: CpuCore,
        mac: bytes,
        *,
        direct_map: int = 0,
        seed: int = 0,
        echo: bool = False,
        vlan: int | None = None,
        tag: int | None = None,
        tag_in_context: bool = False,
    ) -> int:
        """Take a guest in; its number. Its kernel sees guest-physical address 0 at `direct_map`.

        What it receives is checked with the `seed` that the senders have, and against the tag (TCI) `vlan`;
        with `echo` it sends datagrams to the echo port back. Its answers get `tag`.
        """
    def remove(self, guest: int) -> dict[str, Any]:
        """Take a guest out, with its last results; nothing touches its memory after that."""
    def add_pair(
        self,
        guest: int,
        *,
        tx_ring: int,
        tx_entries: int,
        tx_buffers: int,
        tx_tail: int,
        rx_ring: int,
        rx_entries: int,
        rx_buffers: int,
        rx_tail: int,
        dyn_ctl: int,
        eventfd: int,
        buffer: int = 2048,
        rxdid: int = 1,
        itr: int | None = None,
    ) -> int:
        """Give a guest a pair of queues whose vector signals `eventfd`; the pair's number.

        Rings and buffers (one of `buffer` bytes for each descriptor) are guest-physical addresses, tails and
        `dyn_ctl` guest-virtual ones. `itr` is in microseconds. Buffers are posted in the next turn.
        `ValueError` for what can't be.
        """
    def clear_pairs(self, guest: int) -> None:
        """Take a guest's queues away; nothing touches them after that."""
    def send(
        self,
        guest: int,
        kind: str,
        to: bytes,
        *,
        flows: int = 1,
        sizes: Sequence[int] | None = None,
        count: int | None = None,
        rate: int | None = None,
        burst: int = 32,
        v6: bool = False,
        offload: bool = True,
        ip_checksum: bool = False,
        tag: int | None = None,
        tag_in_context: bool = False,
        seed: int = 0,
        depth: int = 1,
        timeout: float = 1.0,
        window: int = 262144,
        chunk: int = 1448,
        mss: int | None = None,
        path: str | PathLike[str] | None = None,
        addresses: tuple[bytes, bytes] | None = None,
    ) -> int:
        """Have a guest send to a MAC address; the load's number.

        "generate" sends datagrams and "request" such that come back (`depth` at a time, lost after `timeout`
        seconds), of `sizes` bytes in `flows` flows drawn by `seed`; "stream" sends bytes that are
        acknowledged, `window` at most before that, in frames of `chunk` bytes of payload, which the device
        cuts up with `mss`; "replay" sends the frames of a capture, with `addresses` (source, destination)
        put in. `count` is the end, in frames, or bytes of each stream; `rate` is in frames a second, `burst`
        in frames a turn. The device makes checksums with `offload` and `ip_checksum`, and inserts `tag`, told
        in a context descriptor with `tag_in_context`. `ValueError` for what can't be.
        """
    def expect(
        self, guest: int, path: str | PathLike[str], addresses: tuple[bytes, bytes] | None = None
    ) -> None:
        """Have a guest compare what it receives, and is none of our traffic, with the frames of a capture."""
    def clear_loads(self, guest: int) -> None:
        """Take away everything that a guest was to send."""
    def step(self) -> tuple[bool, list[dict[str, Any]]]:
        """One turn of every guest, without waiting: whether any had work, and the guests that stand still."""
    def run(self, time: float) -> list[dict[str, Any]]:
        """Turn and sleep for `time` seconds, until `stop` or a VM exit; the guests that stand still.

        The interpreter is let go.
        """
    def stop(self) -> None:
        """End a run, from another thread."""
    def resume(self, guest: int, done: bool = False) -> None:
        """Have a guest go on; `done` when the write to a register that stopped it was done for it."""
    def results(self, guest: int) -> dict[str, Any]:
        """What a guest has done and found.

        `checked` frames by what they are, counters of the `rings`, `senders` (with `latency` in ns), `exits`.
        """
    def totals(self) -> dict[int, dict[str, int]]:
        """What every guest has done, in sums, for who looks often.

        `tx_frames` and `tx_bytes` of its loads, `answered` (requests, bytes of streams), `rx_frames` and
        `rx_bytes` that are right, `wrong` frames, `interrupts` and `polls` of queues, and how often a queue
        had no room (`tx_full`).
        """
    def flows(self, guest: int) -> list[dict[str, Any]]:
        """What a guest receives: `src`, `dst`, `flow`, `kind`, `next` number or position, and `missing`."""

class Stepper:
    """Guests and adapters in turns on the thread that calls `run`, by a virtual clock (the crate siov-vtime).

    `nics` are adapters with the speeds of their ports in Mbit/s. `ValueError` for a real clock.
    """

    def __init__(self, bus: Bus, clock: Clock, nics: list[tuple[Nic, int]]) -> None: ...
    def set_guests(self, guests: GuestLoop | None = None) -> None:
        """The guests; none without."""
    def set_bells(self, eventfds: list[int]) -> None:
        """Eventfds that are the host's to read; they are duplicated. `OSError` for what is no open file."""
    def run(self, until: int, *, guests: bool = True, once: bool = False) -> tuple[str, list[dict[str, Any]]]:
        """Have time pass until `until` (in nanoseconds), with all that is due at that moment too.

        Gives why it stopped: "time"; "host" when firmware, the host or a guest's driver has something to do;
        "parked" with the guests that stand still (see `GuestLoop`); with `once` "moment", when time has moved
        on to the next moment at which something is due. Without `guests` they stand still.
        """

class CpuCore:
    """A logical processor in 64-bit mode, as far as translation goes (the crate siov-mmu).

    Control registers and fields of the VMCS are raw values of the words in `siov.spec.ept`. Without `caches`
    every access walks from the root; `maxphyaddr` is 36 to 52. Outside of a guest no paging is set up.
    """

    def __init__(
        self, memory: HostMemory, *, maxphyaddr: int = 46, execute_only: bool = True, caches: bool = True
    ) -> None: ...
    def set_guest(
        self,
        *,
        cr0: int | None = None,
        cr3: int | None = None,
        cr4: int | None = None,
        efer: int | None = None,
    ) -> None:
        """Set the guest-state area, what is given of it; `ValueError` while the guest runs."""
    def mov_to_cr3(self, value: int) -> None:
        """MOV to CR3 by whoever runs; bit 63 keeps what is cached. `ValueError` for a `#GP(0)`."""
    def vm_entry(
        self,
        *,
        eptp: int | None = None,
        vpid: int | None = None,
        pml: int | None = None,
        pml_index: int = 511,
    ) -> None:
        """Enter the guest, with EPT, a VPID and a page-modification log; `ValueError` when that fails."""
    def vm_exit(self) -> dict[str, Any] | None:
        """Leave the guest: `cr3`, `pml_index` (None without PML), `logged` entries; None if none ran."""
    def access(self, gva: int, access: str = "r", user: bool = False) -> dict[str, Any]:
        """Do a read (r), a write (w) or a fetch (x): `hpa`, `page` (bytes) and `reads` of entries.

        Or `fault`: "not-canonical", "page-fault" (`error_code`), "ept-violation" (`qualification`, `gpa`),
        "ept-misconfiguration" (`gpa`) or "pml-full", with `exit_reason`, which is None for exceptions. The
        exit itself is the caller's to make, with `vm_exit`.
        """
    def access_many(
        self, gvas: list[int], access: str = "r", user: bool = False
    ) -> tuple[int, dict[str, Any] | None]:
        """Accesses in order, up to the first that faults: how many were done, and the fault."""
    def explain(
        self, gva: int, access: str = "r", user: bool = False
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Do an access, and tell each `step`, with the words of the crate's `Step` as keys.

        tlb-hit, psc-hit, gpa, gpa-tlb-hit, hpa, entry, set, pml or restart.
        """
    def invlpg(self, gva: int) -> None:
        """INVLPG."""
    def invept(self, eptp: int | None = None) -> None:
        """INVEPT: single-context, or global without an EPT pointer; `ValueError` for a VMfail."""
    def invvpid(self, vpid: int | None = None, gva: int | None = None) -> None:
        """INVVPID: an address, a context, or without a VPID all contexts; `ValueError` for a VMfail."""
    @property
    def counters(self) -> list[tuple[str, int]]:
        """Every event's name and its count; those that begin with `flush_` are the causes of flushes."""
    def inspect(self) -> dict[str, Any]:
        """Whether a `guest` runs, the control registers of who runs, and lines `cached` by cache."""

class Clock:
    """A clock in nanoseconds, shared by the devices of a machine.

    The real one is the time of day when it was made, and goes on at the monotonic clock's pace. The virtual
    one begins at 0 and stands still until it is advanced.
    """

    def __init__(self, *, virtual: bool = False) -> None: ...
    @property
    def virtual(self) -> bool:
        """Whether it stands still until it is advanced."""
    def now(self) -> int:
        """Nanoseconds."""
    def advance(self, by: int) -> int:
        """Move a virtual clock on by nanoseconds; gives its new time. `ValueError` for a real one."""

class Capture:
    """A pcapng file that VSIs and ports of NICs are recorded into (see `Nic.capture`), by the clock's time.

    It grows to at most `limit` bytes; then frames are dropped and counted. `comment` is said about the whole
    file. `OSError` when the system refuses it, `ValueError` when the path is no regular file.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        clock: Clock,
        *,
        limit: int = 1_073_741_824,
        comment: str | None = None,
    ) -> None: ...
    @property
    def path(self) -> Path:
        """The file."""
    def flush(self) -> None:
        """Put into the file what was recorded; a NIC's worker does so after each batch."""
    def inspect(self) -> dict[str, Any]:
        """`path`, `size` and `limit` in bytes, frames `lost` on the disk, `trouble` (what went wrong last).

        `interfaces` by number: `name`, frames `inbound`, `outbound`, and `dropped` for want of room.
        """

def check_capture(path: str | PathLike[str], *, replay: bool = False) -> int:
    """Read a capture to its end: how many frames it has, or with `replay`, how many can be sent.

    `OSError` or `ValueError` for what is none, is damaged, holds no Ethernet, or can't be replayed.
    """

class Port:
    """What a port of a NIC can be plugged into; one NIC at a time.

    Frames are Ethernet frames without their FCS, 14 to 65,550 bytes long. Nothing ever waits: what can't be
    taken at once is dropped and counted. `speed` is what is reported, in Mbit/s; nothing is slowed to it.
    `OSError` when the system refuses something.
    """

    @staticmethod
    def sink(*, speed: int = 100_000) -> Port:
        """Takes everything, gives nothing."""
    @staticmethod
    def loopback(frames: int = 1024, *, speed: int = 100_000) -> Port:
        """Gives back what it takes; holds at most so many frames."""
    @staticmethod
    def cable(*, frames: int = 1024, size: int = 2_097_152, speed: int = 100_000) -> tuple[Port, Port]:
        """Make two ends; each direction holds at most so many frames and bytes."""
    @staticmethod
    def pcap(
        clock: Clock,
        *,
        write: str | PathLike[str] | None = None,
        read: str | PathLike[str] | None = None,
        name: str = "port",
        paced: bool = False,
        repeat: bool = False,
        limit: int = 1_073_741_824,
        speed: int = 100_000,
    ) -> Port:
        """Write what the port sends to a pcapng file, and have it receive what a file holds, or either.

        `name` is the interface's in the file, of at most `limit` bytes. Reads pcapng and pcap: at once, or
        `paced` by their timestamps against the clock; again and again with `repeat`. `ValueError` for a file
        that is none or holds no Ethernet; damage further in ends the frames, with an event.
        """
    @staticmethod
    def tap(fd: int, name: str, *, speed: int = 100_000) -> Port:
        """A TAP that `siov.hw.tap.open_tap` opened; the port duplicates the descriptor."""
    @staticmethod
    def stream(
        path: str | PathLike[str], *, listen: bool = False, size: int = 262_144, speed: int = 100_000
    ) -> Port:
        """QEMU's `-netdev stream` over a UNIX socket, as the side that listens or connects.

        At most `size` bytes wait for a peer that reads slowly. A listening side takes the next peer when one
        is gone; a connecting one tries again each second.
        """
    @staticmethod
    def dgram(path: str | PathLike[str], peer: str | PathLike[str], *, speed: int = 100_000) -> Port:
        """QEMU's `-netdev dgram`: a UNIX socket at `path` that sends to `peer`, a datagram a frame."""
    @staticmethod
    def bridge(
        ports: int,
        clock: Clock,
        *,
        reflective_relay: bool = False,
        stations: int = 4096,
        aging: int = 300_000_000_000,
        frames: int = 1024,
        speed: int = 100_000,
    ) -> list[Port]:
        """Make the ports of one bridge (IEEE 802.1Q; `reflective_relay` as 802.1Qbg has it, on every port).

        It knows at most so many stations, and forgets one of which nothing came for `aging` nanoseconds.
        """
    @property
    def kind(self) -> str:
        """sink, loopback, cable, pcap, tap, stream, dgram or bridge."""
    @property
    def link(self) -> bool:
        """Whether both sides are there and neither has taken the link down."""
    def set_link(self, up: bool) -> None:
        """Take this side's part of the link up or down."""
    @property
    def speed(self) -> int:
        """Mbit/s, as reported."""
    def send(self, frame: bytes) -> bool:
        """Send a frame as a NIC would; False if it was dropped. `RuntimeError` while a NIC has the port."""
    def receive(self, limit: int = 64) -> list[bytes]:
        """At most `limit` frames that are there, in order; `RuntimeError` while a NIC has the port."""
    def set_reflective_relay(self, on: bool) -> None:
        """Of a bridge's port; `ValueError` for another kind."""
    def take_event(self) -> str | None:
        """What went wrong outside since the last call, in one sentence."""
    @property
    def counters(self) -> dict[str, int]:
        """`sent`, `sent_bytes`, `received`, `received_bytes`, and `dropped_` with each reason."""
    def inspect(self) -> dict[str, Any]:
        """`kind`, `link`, `speed`, `plugged`, `state` (a line of text) and `counters`."""
