"""Receive descriptors: what software posts, and what hardware writes back in each profile."""

from siov.spec.e810.descriptors import FLTSTAT, UMBCAST
from siov.spec.word import Word, bit, bits

REF = "E810 ice_lan_tx_rx.h"


class RxReadQw0(Word, width=64, ref=REF):
    """Receive descriptor as posted, qword 0."""

    PKT_ADDR = bits(63, 0, "address of the packet buffer")


class RxReadQw1(Word, width=64, ref=REF):
    """Receive descriptor as posted, qword 1; it must read zero until the write-back sets DD."""

    DD = bit(0, "zero")
    HDR_ADDR = bits(63, 1, "address of the header buffer, bits 63:1")


class RxLegacyQw0(Word, width=64, ref=REF):
    """Legacy write-back, qword 0."""

    MIRROR = bits(15, 0, "mirroring status")
    L2TAG1 = bits(31, 16, "tag taken out of the packet")
    RSS = bits(63, 32, "RSS hash, or filter id, as FLTSTAT says")


class RxLegacyQw1(Word, width=64, ref=REF):
    """Legacy write-back, qword 1: status, errors and lengths."""

    DD = bit(0, "Descriptor Done")
    EOF = bit(1, "End Of Frame: the packet's last buffer")
    L2TAG1P = bit(2, "L2TAG1 is present")
    L3L4P = bit(3, "L3 and L4 were processed: their error bits count")
    CRCP = bit(4, "the CRC is present in the buffer")
    TSYNINDX = bits(6, 5, "index of the timestamp")
    TSYNVALID = bit(7, "there is a timestamp")
    EXT_UDP_0 = bit(8, "the outer UDP checksum is zero")
    UMBCAST = bits(10, 9, "kind of destination address", enum=UMBCAST)
    FLM = bit(11, "a flow director filter matched")
    FLTSTAT = bits(13, 12, "what RSS holds", enum=FLTSTAT)
    LPBK = bit(14, "the packet came from a VSI of this device")
    IPV6EXADD = bit(15, "an IPv6 extension header changes the address: checksums weren't looked at")
    INT_UDP_0 = bit(18, "the inner UDP checksum is zero")
    RXE = bit(19, "error of the MAC: the packet is bad")
    RECIPE = bit(20, "error of the data path's recipe")
    HBO = bit(21, "Header Buffer Overflow")
    IPE = bit(22, "IP checksum error")
    L4E = bit(23, "L4 checksum error")
    EIPE = bit(24, "outer IP checksum error")
    OVERSIZE = bit(25, "the packet is longer than allowed")
    PPRS = bit(26, "the parser gave up")
    PTYPE = bits(37, 30, "packet type (see Ptype)")
    LEN_PBUF = bits(51, 38, "bytes in the packet buffer")
    LEN_HBUF = bits(62, 52, "bytes in the header buffer")
    SPH = bit(63, "the header was split off")


class RxLegacyQw2(Word, width=64, ref=REF):
    """Legacy write-back, qword 2: extended status and second tag."""

    L2TAG2P = bit(0, "L2TAG2 is present")
    L2TAG3P = bit(1, "L2TAG3 is present")
    FLEXBL = bits(3, 2, "what qword 3's low half holds")
    FLEXBH = bits(5, 4, "what qword 3's high half holds; 1 is the filter id")
    FDLONGB = bit(9, "the bucket of the flow director was long")
    PELONGB = bit(11, "the bucket of the protocol engine was long")
    L2TAG2_1 = bits(47, 32, "first half of the second tag")
    L2TAG2_2 = bits(63, 48, "second tag taken out of the packet")


class RxLegacyQw3(Word, width=64, ref=REF):
    """Legacy write-back, qword 3."""

    FLEX_LO = bits(31, 0, "flexible bytes")
    FD_ID = bits(63, 32, "filter id, with FLEXBH 1")


class RxFlexQw0(Word, width=64, ref=REF):
    """Flexible write-back, qword 0."""

    RXDID = bits(7, 0, "profile of this descriptor")
    MIR_ID = bits(13, 8, "mirror rule")
    UMBCAST = bits(15, 14, "kind of destination address", enum=UMBCAST)
    PTYPE = bits(25, 16, "packet type (see Ptype)")
    FLEXI_FLAGS0 = bits(31, 26, "flags of the profile")
    PKT_LEN = bits(45, 32, "bytes in the packet buffer")
    HDR_LEN = bits(58, 48, "bytes in the header buffer")
    SPH = bit(59, "the header was split off")
    EXT_UDP = bit(60, "the outer UDP checksum is zero")
    INT_UDP = bit(61, "the inner UDP checksum is zero")
    RECIPE = bit(62, "error of the data path's recipe")
    OVERSIZE = bit(63, "the packet is longer than allowed")


class RxFlexStatus0(Word, width=64, ref=REF):
    """Flexible write-back, qword 1: status and first tag; what follows is the profile's."""

    DD = bit(0, "Descriptor Done")
    EOF = bit(1, "End Of Frame: the packet's last buffer")
    HBO = bit(2, "Header Buffer Overflow")
    L3L4P = bit(3, "L3 and L4 were processed: their error bits count")
    IPE = bit(4, "IP checksum error")
    L4E = bit(5, "L4 checksum error")
    EIPE = bit(6, "outer IP checksum error")
    EUDPE = bit(7, "outer UDP checksum error")
    LPBK = bit(8, "the packet came from a VSI of this device")
    IPV6EXADD = bit(9, "an IPv6 extension header changes the address: checksums weren't looked at")
    RXE = bit(10, "error of the MAC: the packet is bad")
    CRCP = bit(11, "the CRC is present in the buffer")
    RSS_VALID = bit(12, "the RSS hash counts")
    L2TAG1P = bit(13, "L2TAG1 is present")
    XTRMD0_VALID = bit(14, "metadata 0 counts")
    XTRMD1_VALID = bit(15, "metadata 1 counts")
    L2TAG1 = bits(31, 16, "tag taken out of the packet")


class RxFlexNicQw1(RxFlexStatus0, width=64, ref=REF):
    """Flexible write-back of profile 2 (and 6, and 16 to 21), qword 1."""

    RSS_HASH = bits(63, 32, "RSS hash")


class RxFlexOvsQw1(RxFlexStatus0, width=64, ref=REF):
    """Flexible write-back of profiles 22 and 23, qword 1."""

    FLOW_ID = bits(63, 32, "flow director's filter id")


class RxFlexQw2(Word, width=64, ref=REF):
    """Flexible write-back, qword 2: second status, timestamp and second tag."""

    CPM = bits(3, 0, "status of the crypto processor")
    NAT = bit(4, "the packet was tunnelled")
    CRYPTO = bit(5, "the packet was decrypted")
    L2TAG2P = bit(11, "L2TAG2 is present")
    XTRMD2_VALID = bit(12, "metadata 2 counts")
    XTRMD3_VALID = bit(13, "metadata 3 counts")
    XTRMD4_VALID = bit(14, "metadata 4 counts")
    XTRMD5_VALID = bit(15, "metadata 5 counts")
    FLEXI_FLAGS2 = bits(23, 16, "flags of the profile")
    TS_L_VALID = bit(24, "the timestamp counts")
    TS_L = bits(31, 25, "timestamp, low bits")
    L2TAG2_1ST = bits(47, 32, "first half of the second tag; in profile 2 the raw checksum")
    L2TAG2_2ND = bits(63, 48, "second tag taken out of the packet")


class RxFlexNicQw3(Word, width=64, ref=REF):
    """Flexible write-back of profile 2 (and 16 to 21), qword 3."""

    FLOW_ID = bits(31, 0, "flow director's filter id")
    TS_HIGH = bits(63, 32, "timestamp, high bits, or metadata")


class RxFlexOvsQw3(Word, width=64, ref=REF):
    """Flexible write-back of profiles 22 and 23, qword 3."""

    RSS_HASH = bits(31, 0, "RSS hash")
    TS_HIGH = bits(63, 32, "timestamp, high bits, or metadata")
