"""Flow director filters of all VSIs, programmed through the function's control VSI (ice_fdir.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOENT, ENOSPC, ETIMEDOUT

from siov.drivers.ice.access import Buffer, Commands, Poll, Registers
from siov.drivers.ice.fdir_counters import FdirCounters
from siov.drivers.ice.fdir_packet import training_packet
from siov.drivers.ice.fdir_profiles import ProfileConflictError, Profiles
from siov.drivers.ice.fdir_ring import ControlVsi, ProgramRing
from siov.drivers.ice.flow import Pattern, PatternKey
from siov.drivers.ice.pkg import Package
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    DTYPE,
    PCMD,
    AqClearFdTable,
    AqOpcode,
    CompReport,
    FdSpace,
    FltrProgQw0,
    FltrProgQw1,
    StatEna,
    VsiProperties,
)
from siov.spec.e810.flow import FilterCount, VsiFilterCount
from siov.spec.virtchnl import FdirStatus

MAX_FILTERS = 16384  # ICE_FDIR_MAX_FLTRS
CLEAR_VSI = 1  # of CLEAR_FD_TABLE
FDID_MDID = 5  # the metadata that descriptors show as flow id (ICE_FXD_FLTR_QW1_FDID_MDID_FD)
PRIORITY_QUEUE, PRIORITY_FDID = 1, 3
ERRNO = {
    FdirStatus.RULE_NORESOURCE: ENOSPC,
    FdirStatus.RULE_EXIST: EEXIST,
    FdirStatus.RULE_CONFLICT: EINVAL,
    FdirStatus.RULE_NONEXIST: ENOENT,
    FdirStatus.RULE_INVALID: EINVAL,
    FdirStatus.RULE_TIMEOUT: ETIMEDOUT,
    FdirStatus.QUERY_INVALID: EINVAL,
}


class FdirError(LinuxError):
    """A filter could not be added or removed; `status` is virtchnl's word for why."""

    def __init__(self, status: FdirStatus, message: str) -> None:
        super().__init__(ERRNO[status], message)
        self.status = status


@dataclass(slots=True, frozen=True)
class FdirFilter:
    """Which packets of a VSI, and what becomes of them.

    They go to `queue` of the VSI, or to 2^`region` queues from it on, spread by their hash; without a queue,
    where RSS sends them. `drop`: nowhere. `mark` is shown in their descriptors; `count` counts them.
    """

    pattern: Pattern
    queue: int | None = None
    region: int = 0
    drop: bool = False
    mark: int | None = None
    count: bool = False


@dataclass(slots=True, frozen=True)
class FilterSpace:
    """Filters in use and the most there may be: out of guaranteed space, and out of what all share."""

    guaranteed: int
    guaranteed_size: int
    best_effort: int
    best_effort_size: int

    def __str__(self) -> str:
        return (
            f"{self.guaranteed} of {self.guaranteed_size} guaranteed and "
            f"{self.best_effort} of {self.best_effort_size} shared ones"
        )


@dataclass(slots=True)
class Installed:
    """A filter in hardware, and its counter if it has one."""

    filter: FdirFilter
    counter: int | None = None


@dataclass(slots=True)
class Member:
    """A VSI that may have filters: how many queues it has, and its filters by number."""

    props: VsiProps
    queues: int
    filters: dict[int, Installed] = field(default_factory=dict)
    numbers: dict[PatternKey, int] = field(default_factory=dict)  # of the filter about these packets
    lowest: int = 0  # no number below it is free
    lost: dict[int, FdirFilter] = field(default_factory=dict)  # by a reset; `replay` brings them back

    def free_number(self) -> int:
        """The lowest number that no filter has."""
        while self.lowest in self.filters:
            self.lowest += 1
        return self.lowest

    def put(self, number: int, filter_: FdirFilter, counter: int | None) -> None:
        """Hardware has a filter."""
        self.filters[number] = Installed(filter_, counter)
        self.numbers[filter_.pattern.key()] = number

    def take(self, number: int) -> Installed:
        """It has it no more."""
        gone = self.filters.pop(number)
        del self.numbers[gone.filter.pattern.key()]
        self.lowest = min(self.lowest, number)
        return gone

    def take_all(self) -> dict[int, Installed]:
        """It has none of them any more."""
        gone, self.filters, self.numbers, self.lowest = self.filters, {}, {}, 0
        return gone


@contextmanager
def _profile_errors() -> Iterator[None]:
    try:
        yield
    except ProfileConflictError as error:
        raise FdirError(FdirStatus.RULE_CONFLICT, str(error)) from error
    except LinuxError as error:
        status = FdirStatus.RULE_INVALID if error.errno == EINVAL else FdirStatus.RULE_NORESOURCE
        raise FdirError(status, str(error)) from error


class Fdir:
    """The flow director of the function. The caller holds the function's lock."""

    def __init__(
        self, aq: Commands, hw: Registers, control: ControlVsi, poll: Poll, alloc: Callable[[int], Buffer]
    ) -> None:
        self.aq, self.hw = aq, hw
        self.ring = ProgramRing(hw, control, poll, alloc)
        self.profiles = Profiles(Package(aq))
        self.counters = FdirCounters(aq, hw)
        self.members: dict[int, Member] = {}

    # The function.

    def start(self) -> None:
        """Switch the flow director on, and the control VSI's queues (ice_init_fdir)."""
        self.ring.start()
        self.hw.wr("PFQF_FD_ENA", 1)

    def stop(self) -> None:
        """Switch it off, and give everything back (ice_deinit_fdir)."""
        for vsi in list(self.members):
            self.remove_vsi(vsi)
        self.hw.wr("PFQF_FD_ENA", 0)
        self.ring.stop()
        self.counters.free()

    def space(self) -> FilterSpace:
        """Filters of the function, by its registers."""
        return self._space(FilterCount, "PFQF_FD_CNT", "GLQF_FD_SIZE", 0)

    def vsi_space(self, vsi: int) -> FilterSpace:
        """Filters of a VSI, by its registers."""
        return self._space(VsiFilterCount, "VSIQF_FD_CNT", "VSIQF_FD_SIZE", vsi)

    # VSIs.

    def add_vsi(
        self, props: VsiProps, queues: int, *, guaranteed: int = 0, best_effort: int | None = None
    ) -> None:
        """Let a VSI have filters: some that are its own, and a share of the others' (ice_set_fd_vsi_ctx).

        A VF has none of its own, and as many of the others' as there are.
        """
        shared = FilterCount(self.hw.rd("GLQF_FD_SIZE")).BEST_EFFORT if best_effort is None else best_effort
        props.update(
            VsiProperties.FD_OPTIONS.of(FD_ENABLE=1),
            VsiProperties.MAX_FD_FLTR_DEDICATED.of(NUM=guaranteed),
            VsiProperties.MAX_FD_FLTR_SHARED.of(NUM=shared),
        )
        self.members[props.num] = Member(props, queues)

    def remove_vsi(self, vsi: int) -> None:
        """A VSI goes, with its filters, in one command; nothing is left to `replay`."""
        member = self.members.pop(vsi, None)
        if member is not None:
            self._clear(vsi, member)
            self.profiles.forget(vsi)

    def clear(self, vsi: int) -> None:
        """Remove all filters of a VSI, in one command."""
        self._clear(vsi, self._member(vsi))

    # Filters.

    def add(self, vsi: int, wanted: FdirFilter, number: int | None = None) -> int:
        """Add a filter for a VSI; gives its number, the lowest that is free unless one is asked for.

        `FdirError`: RULE_INVALID, RULE_EXIST (the same packets, or the number), RULE_CONFLICT (others of
        the VSI compare other fields of such packets), RULE_NORESOURCE, RULE_TIMEOUT.
        """
        member = self._member(vsi)
        packet = self.check(vsi, wanted)
        if number is None:
            number = member.free_number()
            if number >= MAX_FILTERS:
                raise FdirError(FdirStatus.RULE_NORESOURCE, f"VSI {vsi} has all {MAX_FILTERS} filters")
        elif number in member.filters:
            raise FdirError(FdirStatus.RULE_EXIST, f"VSI {vsi} has a filter {number} already")
        with _profile_errors():
            self.profiles.acquire(vsi, wanted.pattern)
        counter = self.counters.take() if wanted.count else None
        try:
            self._program(vsi, wanted, packet, PCMD.ADD, counter)
        except LinuxError:
            self.counters.give(counter)
            self.profiles.release(vsi, wanted.pattern)
            raise
        member.put(number, wanted, counter)
        return number

    def remove(self, vsi: int, number: int) -> None:
        """Remove a filter of a VSI; `FdirError` RULE_NONEXIST or RULE_TIMEOUT."""
        member = self._member(vsi)
        installed = member.filters.get(number)
        if installed is None:
            raise FdirError(FdirStatus.RULE_NONEXIST, f"VSI {vsi} has no filter {number}")
        wanted = installed.filter
        packet = self._packet(wanted.pattern)
        try:
            self._program(vsi, wanted, packet, PCMD.REMOVE, installed.counter)
        except FdirError as error:
            if error.status is not FdirStatus.RULE_NONEXIST:
                raise
        member.take(number)
        self.counters.give(installed.counter)
        self.profiles.release(vsi, wanted.pattern)

    def check(self, vsi: int, wanted: FdirFilter) -> bytes:
        """Whether a filter could be added as far as one can know: its training packet, else `FdirError`."""
        member = self._member(vsi)
        if wanted.queue is not None and (
            not 0 <= wanted.region < 8
            or wanted.queue < 0
            or wanted.queue + (1 << wanted.region) > member.queues
        ):
            raise FdirError(
                FdirStatus.RULE_INVALID,
                f"VSI {vsi} has queues 0 to {member.queues - 1}: not {1 << max(0, wanted.region)} from "
                f"{wanted.queue} on",
            )
        if wanted.mark is not None and not 0 <= wanted.mark < 1 << 32:
            raise FdirError(FdirStatus.RULE_INVALID, f"a mark has 32 bits: not {wanted.mark:#x}")
        packet = self._packet(wanted.pattern)
        same = member.numbers.get(wanted.pattern.key())
        if same is not None:
            raise FdirError(FdirStatus.RULE_EXIST, f"filter {same} of VSI {vsi} is about the same packets")
        with _profile_errors():
            self.profiles.check(vsi, wanted.pattern)
        return packet

    def packets(self, vsi: int, number: int) -> int | None:
        """Packets that a filter has matched; None when it has no counter."""
        installed = self._member(vsi).filters.get(number)
        if installed is None:
            raise FdirError(FdirStatus.RULE_NONEXIST, f"VSI {vsi} has no filter {number}")
        return None if installed.counter is None else self.counters.read(installed.counter)

    def of(self, vsi: int) -> dict[int, FdirFilter]:
        """The filters of a VSI by number."""
        return {number: one.filter for number, one in sorted(self._member(vsi).filters.items())}

    # Resets.

    def reset(self) -> None:
        """A reset took all filters from hardware; what VSIs had is kept for `replay`."""
        for member in self.members.values():
            member.lost |= {number: one.filter for number, one in member.take_all().items()}
        self.profiles.reset()
        self.counters.reset()
        self.ring.running = False

    def replay(self, vsi: int | None = None) -> None:
        """Program the filters of a VSI that exists again, or of all (ice_fdir_replay_fltrs).

        The first error is raised when all have been tried.
        """
        first: LinuxError | None = None
        for one in [vsi] if vsi is not None else list(self.members):
            member = self._member(one)
            lost, member.lost = member.lost, {}
            for number, wanted in lost.items():
                try:
                    self.add(one, wanted, number)
                except LinuxError as error:
                    first = first or error
        if first is not None:
            raise first

    def inspect(self) -> dict[str, object]:
        """Space, profiles, and how many filters each VSI has."""
        return {
            "space": {name: getattr(self.space(), name) for name in FilterSpace.__slots__},
            "profiles": self.profiles.inspect(),
            "filters": {vsi: len(member.filters) for vsi, member in self.members.items()},
        }

    def _member(self, vsi: int) -> Member:
        if vsi not in self.members:
            raise FdirError(FdirStatus.RULE_INVALID, f"VSI {vsi} may have no filters")
        return self.members[vsi]

    @staticmethod
    def _packet(pattern: Pattern) -> bytes:
        try:
            return training_packet(pattern.group, pattern.level, pattern.values)
        except LinuxError as error:
            raise FdirError(FdirStatus.RULE_INVALID, str(error)) from error

    def _program(self, vsi: int, wanted: FdirFilter, packet: bytes, what: PCMD, counter: int | None) -> None:
        q0 = FltrProgQw0.of(
            QINDEX=wanted.queue or 0,
            TO_Q=wanted.region,
            TO_Q_PRI=PRIORITY_QUEUE if wanted.queue is not None else 0,
            DROP=int(wanted.drop),
            COMP_REPORT=CompReport.SW,
            FD_SPACE=FdSpace.GUAR_BEST,
            STAT_CNT=counter or 0,
            STAT_ENA=StatEna.PKTS if counter is not None else StatEna.NONE,
        )
        q1 = FltrProgQw1.of(
            DTYPE=DTYPE.FLTR_PROG,
            PCMD=what,
            FD_VSI=vsi,
            SWAP=1,
            FDID=wanted.mark or 0,
            FDID_PRI=PRIORITY_FDID if wanted.mark is not None else 0,
            FDID_MDID=FDID_MDID,
        )
        try:
            result = self.ring.program(q0, q1, packet)
        except LinuxError as error:
            raise FdirError(FdirStatus.RULE_TIMEOUT, str(error)) from error
        if result.FAIL_PROF:
            raise FdirError(FdirStatus.RULE_INVALID, f"hardware has no profile for the filter of VSI {vsi}")
        if result.FAIL and what is PCMD.REMOVE:
            raise FdirError(FdirStatus.RULE_NONEXIST, f"hardware has no such filter of VSI {vsi}")
        if result.FAIL:
            raise FdirError(FdirStatus.RULE_NORESOURCE, self._why_full(vsi))

    def _why_full(self, vsi: int) -> str:
        own, device = str(self.vsi_space(vsi)), str(self.space())
        return f"no room for another filter of VSI {vsi}: it has {own}; all together have {device}"

    def _clear(self, vsi: int, member: Member) -> None:
        member.lost.clear()
        if not member.filters:
            return
        self.aq.send(AqOpcode.CLEAR_FD_TABLE, AqClearFdTable.of(CLEAR_TYPE=CLEAR_VSI, VSI_INDEX=vsi))
        for one in member.take_all().values():
            self.counters.give(one.counter)
            self.profiles.release(vsi, one.filter.pattern)

    def _space(
        self, word: type[FilterCount] | type[VsiFilterCount], count: str, size: str, index: int
    ) -> FilterSpace:
        used, most = word(self.hw.rd(count, index)), word(self.hw.rd(size, index))
        return FilterSpace(used.GUARANTEED, most.GUARANTEED, used.BEST_EFFORT, most.BEST_EFFORT)
