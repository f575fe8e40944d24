"""Statistics of VSIs, ports and flow director filters.

A counter goes round when it is full, and only a reset of the device clears it: drivers take differences.
"""

from siov.spec.e810.counts import BAR0_SIZE, FD_COUNTERS, PORTS, VSIS
from siov.spec.word import ROS, RegisterBlock, Word, bits

REF = "E810 ice_hw_autogen.h"


class Counter32(Word, width=32, ref=REF):
    """A counter of 32 bits."""

    CNT = bits(31, 0, "count", ROS)


class Counter40(Word, width=64, ref=REF):
    """A counter of 40 bits in two registers: the low half (…L) and behind it the high half (…H)."""

    CNT = bits(39, 0, "count", ROS)


class Statistics(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """Statistics of VSIs, ports and flow director filters."""

    class PRTRPB_RDPC(Counter32, width=32, at=0x000AC260, ref=REF):
        """Of the port: packets dropped because the receive buffer was full."""

    class GLV_RDPC(Counter32, width=32, at=0x00294C04, count=VSIS, ref=REF):
        """Of a VSI: packets dropped on receipt, for want of a descriptor."""

    class GLV_REPC(Word, width=32, at=0x00295804, count=VSIS, ref=REF):
        """Of a VSI: why packets were dropped on receipt."""

        NO_DESC_CNT = bits(15, 0, "no descriptor was free", ROS)
        ERROR_CNT = bits(31, 16, "an error", ROS)

    class GLV_GOTC(Counter40, width=64, at=0x00300000, count=VSIS, ref=REF):
        """Of a VSI: bytes sent (GLV_GOTCL and GLV_GOTCH)."""

    class GLV_UPTC(Counter40, width=64, at=0x0030A000, count=VSIS, ref=REF):
        """Of a VSI: unicast packets sent (GLV_UPTCL and GLV_UPTCH)."""

    class GLV_MPTC(Counter40, width=64, at=0x0030C000, count=VSIS, ref=REF):
        """Of a VSI: multicast packets sent (GLV_MPTCL and GLV_MPTCH)."""

    class GLV_BPTC(Counter40, width=64, at=0x0030E000, count=VSIS, ref=REF):
        """Of a VSI: broadcast packets sent (GLV_BPTCL and GLV_BPTCH)."""

    class GLV_TEPC(Counter32, width=32, at=0x00312000, count=VSIS, ref=REF):
        """Of a VSI: packets that could not be sent."""

    class GLPRT_GORC(Counter40, width=64, at=0x00380000, count=PORTS, ref=REF):
        """Of a port: bytes received (GLPRT_GORCL and GLPRT_GORCH)."""

    class GLPRT_MLFC(Counter32, width=32, at=0x00380040, count=PORTS, stride=8, ref=REF):
        """Of a port: faults of the local MAC."""

    class GLPRT_MRFC(Counter32, width=32, at=0x00380080, count=PORTS, stride=8, ref=REF):
        """Of a port: faults that the other side reports."""

    class GLPRT_CRCERRS(Counter32, width=32, at=0x00380100, count=PORTS, stride=8, ref=REF):
        """Of a port: packets with a wrong CRC."""

    class GLPRT_RLEC(Counter32, width=32, at=0x00380140, count=PORTS, stride=8, ref=REF):
        """Of a port: packets whose length field is wrong."""

    class GLPRT_ILLERRC(Counter32, width=32, at=0x003801C0, count=PORTS, stride=8, ref=REF):
        """Of a port: packets with an illegal byte."""

    class GLPRT_RUC(Counter32, width=32, at=0x00380200, count=PORTS, stride=8, ref=REF):
        """Of a port: packets under 64 bytes."""

    class GLPRT_ROC(Counter32, width=32, at=0x00380240, count=PORTS, stride=8, ref=REF):
        """Of a port: packets over the greatest size."""

    class GLPRT_LXONRXC(Counter32, width=32, at=0x00380280, count=PORTS, stride=8, ref=REF):
        """Of a port: XON frames received."""

    class GLPRT_LXOFFRXC(Counter32, width=32, at=0x003802C0, count=PORTS, stride=8, ref=REF):
        """Of a port: XOFF frames received."""

    class GLPRT_PXONRXC(Counter32, width=32, at=0x00380300, count=8 * PORTS, stride=8, ref=REF):
        """Of a port, by priority: XON received; priority j of port i is element j * 8 + i."""

    class GLPRT_PXOFFRXC(Counter32, width=32, at=0x00380500, count=8 * PORTS, stride=8, ref=REF):
        """Of a port, by priority: XOFF received; priority j of port i is element j * 8 + i."""

    class GLPRT_RXON2OFFCNT(Counter32, width=32, at=0x00380700, count=8 * PORTS, stride=8, ref=REF):
        """Of a port, by priority: changes from XON to XOFF; priority j of port i is element j * 8 + i."""

    class GLPRT_PRC64(Counter40, width=64, at=0x00380900, count=PORTS, ref=REF):
        """Of a port: packets of 64 bytes received (GLPRT_PRC64L and GLPRT_PRC64H)."""

    class GLPRT_PRC127(Counter40, width=64, at=0x00380940, count=PORTS, ref=REF):
        """Of a port: packets of 65 to 127 bytes received (GLPRT_PRC127L and GLPRT_PRC127H)."""

    class GLPRT_PRC255(Counter40, width=64, at=0x00380980, count=PORTS, ref=REF):
        """Of a port: packets of 128 to 255 bytes received (GLPRT_PRC255L and GLPRT_PRC255H)."""

    class GLPRT_PRC511(Counter40, width=64, at=0x003809C0, count=PORTS, ref=REF):
        """Of a port: packets of 256 to 511 bytes received (GLPRT_PRC511L and GLPRT_PRC511H)."""

    class GLPRT_PRC1023(Counter40, width=64, at=0x00380A00, count=PORTS, ref=REF):
        """Of a port: packets of 512 to 1,023 bytes received (GLPRT_PRC1023L and GLPRT_PRC1023H)."""

    class GLPRT_PRC1522(Counter40, width=64, at=0x00380A40, count=PORTS, ref=REF):
        """Of a port: packets of 1,024 to 1,522 bytes received (GLPRT_PRC1522L and GLPRT_PRC1522H)."""

    class GLPRT_PRC9522(Counter40, width=64, at=0x00380A80, count=PORTS, ref=REF):
        """Of a port: packets of 1,523 to 9,522 bytes received (GLPRT_PRC9522L and GLPRT_PRC9522H)."""

    class GLPRT_RFC(Counter32, width=32, at=0x00380AC0, count=PORTS, stride=8, ref=REF):
        """Of a port: packets under 64 bytes with a wrong CRC."""

    class GLPRT_RJC(Counter32, width=32, at=0x00380B00, count=PORTS, stride=8, ref=REF):
        """Of a port: packets over the greatest size with a wrong CRC."""

    class GLPRT_GOTC(Counter40, width=64, at=0x00380B40, count=PORTS, ref=REF):
        """Of a port: bytes sent (GLPRT_GOTCL and GLPRT_GOTCH)."""

    class GLPRT_PTC64(Counter40, width=64, at=0x00380B80, count=PORTS, ref=REF):
        """Of a port: packets of 64 bytes sent (GLPRT_PTC64L and GLPRT_PTC64H)."""

    class GLPRT_PTC127(Counter40, width=64, at=0x00380BC0, count=PORTS, ref=REF):
        """Of a port: packets of 65 to 127 bytes sent (GLPRT_PTC127L and GLPRT_PTC127H)."""

    class GLPRT_PTC255(Counter40, width=64, at=0x00380C00, count=PORTS, ref=REF):
        """Of a port: packets of 128 to 255 bytes sent (GLPRT_PTC255L and GLPRT_PTC255H)."""

    class GLPRT_PTC511(Counter40, width=64, at=0x00380C40, count=PORTS, ref=REF):
        """Of a port: packets of 256 to 511 bytes sent (GLPRT_PTC511L and GLPRT_PTC511H)."""

    class GLPRT_PTC1023(Counter40, width=64, at=0x00380C80, count=PORTS, ref=REF):
        """Of a port: packets of 512 to 1,023 bytes sent (GLPRT_PTC1023L and GLPRT_PTC1023H)."""

    class GLPRT_PTC1522(Counter40, width=64, at=0x00380CC0, count=PORTS, ref=REF):
        """Of a port: packets of 1,024 to 1,522 bytes sent (GLPRT_PTC1522L and GLPRT_PTC1522H)."""

    class GLPRT_PTC9522(Counter40, width=64, at=0x00380D00, count=PORTS, ref=REF):
        """Of a port: packets of 1,523 to 9,522 bytes sent (GLPRT_PTC9522L and GLPRT_PTC9522H)."""

    class GLPRT_PXONTXC(Counter32, width=32, at=0x00380D40, count=8 * PORTS, stride=8, ref=REF):
        """Of a port, by priority: XON sent; priority j of port i is element j * 8 + i."""

    class GLPRT_PXOFFTXC(Counter32, width=32, at=0x00380F40, count=8 * PORTS, stride=8, ref=REF):
        """Of a port, by priority: XOFF sent; priority j of port i is element j * 8 + i."""

    class GLPRT_LXONTXC(Counter32, width=32, at=0x00381140, count=PORTS, stride=8, ref=REF):
        """Of a port: XON frames sent."""

    class GLPRT_LXOFFTXC(Counter32, width=32, at=0x00381180, count=PORTS, stride=8, ref=REF):
        """Of a port: XOFF frames sent."""

    class GLPRT_UPTC(Counter40, width=64, at=0x003811C0, count=PORTS, ref=REF):
        """Of a port: unicast packets sent (GLPRT_UPTCL and GLPRT_UPTCH)."""

    class GLPRT_MPTC(Counter40, width=64, at=0x00381200, count=PORTS, ref=REF):
        """Of a port: multicast packets sent (GLPRT_MPTCL and GLPRT_MPTCH)."""

    class GLPRT_BPTC(Counter40, width=64, at=0x00381240, count=PORTS, ref=REF):
        """Of a port: broadcast packets sent (GLPRT_BPTCL and GLPRT_BPTCH)."""

    class GLPRT_TDOLD(Counter32, width=32, at=0x00381280, count=PORTS, stride=8, ref=REF):
        """Of a port: packets dropped because the link was down."""

    class GLPRT_UPRC(Counter40, width=64, at=0x00381300, count=PORTS, ref=REF):
        """Of a port: unicast packets received (GLPRT_UPRCL and GLPRT_UPRCH)."""

    class GLPRT_MPRC(Counter40, width=64, at=0x00381340, count=PORTS, ref=REF):
        """Of a port: multicast packets received (GLPRT_MPRCL and GLPRT_MPRCH)."""

    class GLPRT_BPRC(Counter40, width=64, at=0x00381380, count=PORTS, ref=REF):
        """Of a port: broadcast packets received (GLPRT_BPRCL and GLPRT_BPRCH)."""

    class GLSTAT_FD_CNT0(Counter40, width=64, at=0x003A0000, count=FD_COUNTERS, ref=REF):
        """Of a flow director counter: packets or bytes (GLSTAT_FD_CNT0L and GLSTAT_FD_CNT0H)."""

    class GLV_GORC(Counter40, width=64, at=0x003B0000, count=VSIS, ref=REF):
        """Of a VSI: bytes received (GLV_GORCL and GLV_GORCH)."""

    class GLV_UPRC(Counter40, width=64, at=0x003B2000, count=VSIS, ref=REF):
        """Of a VSI: unicast packets received (GLV_UPRCL and GLV_UPRCH)."""

    class GLV_MPRC(Counter40, width=64, at=0x003B4000, count=VSIS, ref=REF):
        """Of a VSI: multicast packets received (GLV_MPRCL and GLV_MPRCH)."""

    class GLV_BPRC(Counter40, width=64, at=0x003B6000, count=VSIS, ref=REF):
        """Of a VSI: broadcast packets received (GLV_BPRCL and GLV_BPRCH)."""
