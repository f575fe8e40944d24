"""How many the adapter has of each, and where its pages lie.

The last half of BAR 0 is ours: interrupt message storage (IMS) has no public specification.
"""

from typing import Annotated

BAR0_SIZE: Annotated[int, "Bytes of BAR 0 with interrupt message storage"] = 0x10000000
BAR0_PLAIN: Annotated[int, "Bytes of BAR 0 without interrupt message storage"] = 0x08000000
BAR3_SIZE: Annotated[int, "Bytes of BAR 3: the MSI-X table and its pending bits"] = 0x10000
PAGE: Annotated[int, "Bytes from one page to the next: what can be given to a guest by itself"] = 0x1000

VSIS: Annotated[int, "Virtual station interfaces"] = 768
RX_QUEUES: Annotated[int, "Receive queues"] = 2048
TX_QUEUES: Annotated[int, "Transmit queues"] = 16384
VECTORS: Annotated[int, "MSI-X vectors"] = 2048
ITRS: Annotated[int, "Interrupt throttling timers of a vector"] = 3
PORTS: Annotated[int, "Ports"] = 8
VFS: Annotated[int, "Virtual functions"] = 256
IMS_SLOTS: Annotated[int, "Slots of interrupt message storage (siov, no public specification)"] = 16384
FD_COUNTERS: Annotated[int, "Counters of flow director filters"] = 4096
