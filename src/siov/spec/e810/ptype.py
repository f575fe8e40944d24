"""Packet types: the numbers in a receive descriptor that tell how a packet is built.

A name lists the headers from the outside in: the outer IP header, what it tunnels (IP: an IP header comes
next; GRENAT: GRE, or UDP to a tunnel's port; MAC and VLAN: with an Ethernet header inside), the inner IP
header, then FRAG for a fragment or the protocol. Without either, it is another protocol.
"""

from enum import IntEnum
from typing import Annotated

PTYPES: Annotated[int, "Packet types, with those not in use"] = 154


class Ptype(IntEnum):
    """Packet type of a receive descriptor (libie); numbers that are missing are not in use."""

    L2 = 1
    L2_TIMESYNC = 2
    L2_FIP = 3
    L2_LLDP = 6
    L2_ECP = 7
    L2_EAPOL = 10
    L2_ARP = 11
    L3_12 = 12
    L3_13 = 13
    L3_14 = 14
    L3_15 = 15
    L3_16 = 16
    L3_17 = 17
    L3_18 = 18
    L3_19 = 19
    L3_20 = 20
    L3_21 = 21
    IPV4_FRAG = 22
    IPV4 = 23
    IPV4_UDP = 24
    IPV4_TCP = 26
    IPV4_SCTP = 27
    IPV4_ICMP = 28
    IPV4_IP_IPV4_FRAG = 29
    IPV4_IP_IPV4 = 30
    IPV4_IP_IPV4_UDP = 31
    IPV4_IP_IPV4_TCP = 33
    IPV4_IP_IPV4_SCTP = 34
    IPV4_IP_IPV4_ICMP = 35
    IPV4_IP_IPV6_FRAG = 36
    IPV4_IP_IPV6 = 37
    IPV4_IP_IPV6_UDP = 38
    IPV4_IP_IPV6_TCP = 40
    IPV4_IP_IPV6_SCTP = 41
    IPV4_IP_IPV6_ICMP = 42
    IPV4_GRENAT = 43
    IPV4_GRENAT_IPV4_FRAG = 44
    IPV4_GRENAT_IPV4 = 45
    IPV4_GRENAT_IPV4_UDP = 46
    IPV4_GRENAT_IPV4_TCP = 48
    IPV4_GRENAT_IPV4_SCTP = 49
    IPV4_GRENAT_IPV4_ICMP = 50
    IPV4_GRENAT_IPV6_FRAG = 51
    IPV4_GRENAT_IPV6 = 52
    IPV4_GRENAT_IPV6_UDP = 53
    IPV4_GRENAT_IPV6_TCP = 55
    IPV4_GRENAT_IPV6_SCTP = 56
    IPV4_GRENAT_IPV6_ICMP = 57
    IPV4_GRENAT_MAC = 58
    IPV4_GRENAT_MAC_IPV4_FRAG = 59
    IPV4_GRENAT_MAC_IPV4 = 60
    IPV4_GRENAT_MAC_IPV4_UDP = 61
    IPV4_GRENAT_MAC_IPV4_TCP = 63
    IPV4_GRENAT_MAC_IPV4_SCTP = 64
    IPV4_GRENAT_MAC_IPV4_ICMP = 65
    IPV4_GRENAT_MAC_IPV6_FRAG = 66
    IPV4_GRENAT_MAC_IPV6 = 67
    IPV4_GRENAT_MAC_IPV6_UDP = 68
    IPV4_GRENAT_MAC_IPV6_TCP = 70
    IPV4_GRENAT_MAC_IPV6_SCTP = 71
    IPV4_GRENAT_MAC_IPV6_ICMP = 72
    IPV4_GRENAT_MAC_VLAN = 73
    IPV4_GRENAT_MAC_VLAN_IPV4_FRAG = 74
    IPV4_GRENAT_MAC_VLAN_IPV4 = 75
    IPV4_GRENAT_MAC_VLAN_IPV4_UDP = 76
    IPV4_GRENAT_MAC_VLAN_IPV4_TCP = 78
    IPV4_GRENAT_MAC_VLAN_IPV4_SCTP = 79
    IPV4_GRENAT_MAC_VLAN_IPV4_ICMP = 80
    IPV4_GRENAT_MAC_VLAN_IPV6_FRAG = 81
    IPV4_GRENAT_MAC_VLAN_IPV6 = 82
    IPV4_GRENAT_MAC_VLAN_IPV6_UDP = 83
    IPV4_GRENAT_MAC_VLAN_IPV6_TCP = 85
    IPV4_GRENAT_MAC_VLAN_IPV6_SCTP = 86
    IPV4_GRENAT_MAC_VLAN_IPV6_ICMP = 87
    IPV6_FRAG = 88
    IPV6 = 89
    IPV6_UDP = 90
    IPV6_TCP = 92
    IPV6_SCTP = 93
    IPV6_ICMP = 94
    IPV6_IP_IPV4_FRAG = 95
    IPV6_IP_IPV4 = 96
    IPV6_IP_IPV4_UDP = 97
    IPV6_IP_IPV4_TCP = 99
    IPV6_IP_IPV4_SCTP = 100
    IPV6_IP_IPV4_ICMP = 101
    IPV6_IP_IPV6_FRAG = 102
    IPV6_IP_IPV6 = 103
    IPV6_IP_IPV6_UDP = 104
    IPV6_IP_IPV6_TCP = 106
    IPV6_IP_IPV6_SCTP = 107
    IPV6_IP_IPV6_ICMP = 108
    IPV6_GRENAT = 109
    IPV6_GRENAT_IPV4_FRAG = 110
    IPV6_GRENAT_IPV4 = 111
    IPV6_GRENAT_IPV4_UDP = 112
    IPV6_GRENAT_IPV4_TCP = 114
    IPV6_GRENAT_IPV4_SCTP = 115
    IPV6_GRENAT_IPV4_ICMP = 116
    IPV6_GRENAT_IPV6_FRAG = 117
    IPV6_GRENAT_IPV6 = 118
    IPV6_GRENAT_IPV6_UDP = 119
    IPV6_GRENAT_IPV6_TCP = 121
    IPV6_GRENAT_IPV6_SCTP = 122
    IPV6_GRENAT_IPV6_ICMP = 123
    IPV6_GRENAT_MAC = 124
    IPV6_GRENAT_MAC_IPV4_FRAG = 125
    IPV6_GRENAT_MAC_IPV4 = 126
    IPV6_GRENAT_MAC_IPV4_UDP = 127
    IPV6_GRENAT_MAC_IPV4_TCP = 129
    IPV6_GRENAT_MAC_IPV4_SCTP = 130
    IPV6_GRENAT_MAC_IPV4_ICMP = 131
    IPV6_GRENAT_MAC_IPV6_FRAG = 132
    IPV6_GRENAT_MAC_IPV6 = 133
    IPV6_GRENAT_MAC_IPV6_UDP = 134
    IPV6_GRENAT_MAC_IPV6_TCP = 136
    IPV6_GRENAT_MAC_IPV6_SCTP = 137
    IPV6_GRENAT_MAC_IPV6_ICMP = 138
    IPV6_GRENAT_MAC_VLAN = 139
    IPV6_GRENAT_MAC_VLAN_IPV4_FRAG = 140
    IPV6_GRENAT_MAC_VLAN_IPV4 = 141
    IPV6_GRENAT_MAC_VLAN_IPV4_UDP = 142
    IPV6_GRENAT_MAC_VLAN_IPV4_TCP = 144
    IPV6_GRENAT_MAC_VLAN_IPV4_SCTP = 145
    IPV6_GRENAT_MAC_VLAN_IPV4_ICMP = 146
    IPV6_GRENAT_MAC_VLAN_IPV6_FRAG = 147
    IPV6_GRENAT_MAC_VLAN_IPV6 = 148
    IPV6_GRENAT_MAC_VLAN_IPV6_UDP = 149
    IPV6_GRENAT_MAC_VLAN_IPV6_TCP = 151
    IPV6_GRENAT_MAC_VLAN_IPV6_SCTP = 152
    IPV6_GRENAT_MAC_VLAN_IPV6_ICMP = 153

    @property
    def is_ipv4(self) -> bool:
        """Whether the outer network header is IPv4."""
        return self.name.startswith("IPV4")

    @property
    def is_ipv6(self) -> bool:
        """Whether the outer network header is IPv6."""
        return self.name.startswith("IPV6")

    @property
    def is_tunnel(self) -> bool:
        """Whether there is a tunnel."""
        return "_IP_" in self.name or "GRENAT" in self.name

    @property
    def is_fragment(self) -> bool:
        """Whether the inmost network header's packet is a fragment."""
        return self.name.endswith("_FRAG")

    @property
    def is_udp(self) -> bool:
        """Whether the inmost transport header is UDP."""
        return self.name.endswith("_UDP")

    @property
    def is_tcp(self) -> bool:
        """Whether the inmost transport header is TCP."""
        return self.name.endswith("_TCP")

    @property
    def is_sctp(self) -> bool:
        """Whether the inmost transport header is SCTP."""
        return self.name.endswith("_SCTP")

    @property
    def is_icmp(self) -> bool:
        """Whether what the inmost network header carries is ICMP."""
        return self.name.endswith("_ICMP")
