"""The modelled adapter, and what the parts of the driver under test reach it by."""

from dataclasses import dataclass
from errno import EIO

from conformance.e810.adminq import AdminQueue, Answer
from conformance.e810.driver import E810Driver, Vsi
from conformance.e810.machine import Machine
from conformance.e810.space import Space
from siov._core import Port
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, AqRc, VsiProperties
from siov.spec.word import Word


class RefusedError(LinuxError):
    """What the driver's own admin queue raises."""

    def __init__(self, opcode: AqOpcode, rc: AqRc) -> None:
        super().__init__(EIO, f"firmware refuses {opcode.name} with {rc.name}")
        self.rc = rc


@dataclass
class Commands:
    """The admin queue with the driver's interface; `refuse` makes commands fail, each once, by its count."""

    queue: AdminQueue

    def __post_init__(self) -> None:
        self.sent: list[AqOpcode] = []
        self.refuse: dict[AqOpcode, int] = {}
        self.refuse_after: int | None = None  # so many commands of any kind

    def send(
        self, opcode: AqOpcode, params: Word | None = None, data: bytes = b"", *, room: int = 0
    ) -> Answer:
        self.sent.append(opcode)
        if opcode in self.refuse:
            self.refuse[opcode] -= 1
            if self.refuse[opcode] < 0:
                del self.refuse[opcode]
                raise RefusedError(opcode, AqRc.ENOSPC)
        if self.refuse_after is not None:
            self.refuse_after -= 1
            if self.refuse_after < 0:
                self.refuse_after = None
                raise RefusedError(opcode, AqRc.EIO)
        queue = self.queue
        old, queue.answer = queue.answer, lambda index: self._checked(opcode, old(index))
        try:
            return queue.send(opcode, params, data or None, room)
        finally:
            queue.answer = old

    @staticmethod
    def _checked(opcode: AqOpcode, answer: Answer) -> Answer:
        code = answer.descriptor.RETVAL & 0xFF
        if code:
            raise RefusedError(opcode, AqRc(code))
        return answer


@dataclass
class DmaBuffer:
    space: Space
    address: int

    def read(self, at: int, size: int) -> bytes:
        return self.space.read(self.address + at, size)

    def write(self, at: int, data: bytes) -> None:
        self.space.write(self.address + at, data)


class Rig:
    """An adapter whose port's cable ends in `far`, with a driver that has made no VSIs yet."""

    def __init__(self, port: Port | None = None, far: Port | None = None, **machine: object) -> None:
        if port is None:
            port, far = Port.cable()
        self.far = far
        self.machine = Machine(port=port, **machine)
        self.nic = E810Driver(self.machine)
        self.aq = Commands(self.nic.aq)
        self.hw = self.machine
        self.props: dict[int, VsiProps] = {}

    def vsi(self, last: int, *, rule: bool = False, **options: object) -> Vsi:
        """A VSI with queues and, unless asked for, no rule; its properties are in `props`."""
        vsi = self.nic.vsi(last, rule=rule, **options)
        props = self.props[vsi.number] = VsiProps(self.aq, vsi.number)
        props.data[:] = E810Driver.defaults(vsi.first, vsi.count).data
        return vsi

    def poll(self, condition: object, seconds: float) -> bool:
        """Let the adapter work until there is nothing to do, and look."""
        self.machine.pump()
        return condition()

    def dma(self, size: int) -> DmaBuffer:
        return DmaBuffer(self.nic.space, self.nic.space.alloc(size))

    def send(self, *frames: bytes) -> None:
        """Frames from the far end of the cable."""
        for frame in frames:
            assert self.far.send(frame)
        self.machine.pump()

    def sent(self) -> list[bytes]:
        """What has come out of the port."""
        return self.far.receive(1024)

    def after_reset(self, *vsis: Vsi) -> None:
        """A reset of the function, and the same VSIs, queues and all, as the driver rebuilds them."""
        self.nic.function_reset()
        free_tx = self.nic.free_tx
        self.nic.reopen()
        self.nic.free_tx = free_tx
        for vsi in vsis:
            self.rebuild(vsi)

    def rebuild(self, vsi: Vsi) -> None:
        from siov.spec.e810 import AqVsi, AqVsiResponse, VsiType

        params = AqVsi.of(VSI_NUM=vsi.number, IS_VALID=1, TYPE=VsiType.VMDQ2)
        answer = self.nic.aq.send(AqOpcode.ADD_VSI, params, bytes(self.props[vsi.number].data))
        assert vsi.number == answer.params(AqVsiResponse).VSI_NUM
        for n in range(len(vsi.rx)):
            vsi.rx[n] = self.nic.rx_queue(vsi, vsi.first + n)
            vsi.rx[n].enable()
            vsi.rx[n].post_all()
            vsi.tx[n] = self.nic.tx_queue(vsi)


def flags(rig: Rig, vsi: Vsi) -> tuple[int, int]:
    """(ALLOW_LB, LOCAL_LB) of a VSI as firmware has them."""
    word = properties(rig, vsi, VsiProperties.SW_FLAGS)
    return word.ALLOW_LB, word.LOCAL_LB


def properties(rig: Rig, vsi: Vsi, word: type[Word]) -> Word:
    """A word of a VSI's properties as firmware has it."""
    from siov.spec.e810 import AqVsi

    params = AqVsi.of(VSI_NUM=vsi.number, IS_VALID=1)
    answer = rig.nic.aq.send(AqOpcode.GET_VSI_PARAMS, params, room=VsiProperties.size)
    return word.from_bytes(answer.data[word.at : word.at + word.width // 8])
