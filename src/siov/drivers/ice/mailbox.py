"""The function's side of the mailboxes of VSIs (PF_MBX)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from errno import EINVAL

from siov.drivers.ice.ctrlq import ControlQueue, Report, guarded
from siov.drivers.ice.service_lock import ServiceLock
from siov.host.linux import LinuxError
from siov.spec.e810 import AQ_LG_BUF, AQ_MAX_BUF, AqDesc, AqFlags, AqOpcode, AqRc

SEND_ENTRIES = 64  # ICE_MBXSQ_LEN
# Not ICE_MBXRQ_LEN's 512: what a VSI sends waits in its own ring while this one is full, and hardware takes
# VSIs in turns. A VSI that floods its mailbox fills these few entries instead of 512 ahead of the others.
RECEIVE_ENTRIES = 8
BUDGET = 4  # messages that one interrupt takes; the rest is left to the next

# VSI that sent it, descriptor (COOKIE_HIGH is the virtchnl opcode, COOKIE_LOW its status), data.
Receive = Callable[[int, AqDesc, bytes], None]


@dataclass(slots=True)
class PfMailbox:
    """Messages from VSIs, and answers to them; the lock is the function's.

    A guest's wrongdoing is a count or a return code here.
    """

    queue: ControlQueue
    lock: ServiceLock
    report: Report | None = None
    handler: Receive | None = None
    received: int = 0
    sent: int = 0
    refused: int = 0
    unclaimed: int = 0

    def receive(self, handler: Receive | None) -> None:
        """Who is called for each message: with the number of the VSI that sent it, descriptor and data."""
        self.handler = handler

    def send(self, vsi: int, opcode: int, status: int, data: bytes = b"") -> AqRc:
        """Send a virtchnl message to a VSI (ice_aq_send_msg_to_vf); OK when it lies in the VSI's ring.

        EBUSY when that is full, another code when it is shut or broken. EINVAL (raised) for more than 4,096
        bytes, EIO while the function's mailbox is shut.
        """
        if len(data) > AQ_MAX_BUF:
            raise LinuxError(
                EINVAL, f"a message of {len(data)} bytes to VSI {vsi}; there are at most {AQ_MAX_BUF}"
            )
        flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > AQ_LG_BUF)
        desc = AqDesc.of(
            FLAGS=flags.raw,
            OPCODE=AqOpcode.SEND_MSG_TO_VF,
            DATALEN=len(data),
            COOKIE_HIGH=opcode,
            COOKIE_LOW=status & 0xFFFF_FFFF,
            PARAM0=vsi,
        )
        with self.lock:
            code = self.queue.transact(desc, data).return_code
            self.sent += 1
            self.refused += code != 0
        return code

    def clean(self) -> bool:
        """Hand out messages, a bounded number of them; whether more wait."""
        with self.lock:
            self.queue.check_errors()
            found = self.queue.take(BUDGET)
        for message in found:
            self.received += 1
            if message.desc.OPCODE == AqOpcode.SEND_MSG_TO_PF and self.handler is not None:
                guarded(self.report, self.handler, message.desc.RETVAL, message.desc, message.data)
            else:
                self.unclaimed += 1
        return len(found) == BUDGET and self.queue.pending

    def inspect(self) -> dict[str, object]:
        """The rings, and messages each way."""
        counts = {name: getattr(self, name) for name in ("received", "sent", "refused", "unclaimed")}
        return self.queue.inspect() | counts
