"""ADD_RSS_CFG, DEL_RSS_CFG: hash by chosen fields."""

import pytest

from siov.drivers.ice.flow import Header
from siov.drivers.ice.virtchnl import VfLimits
from siov.spec.virtchnl import Op, ProtoHdrType, Status
from siov.spec.virtchnl import ProtoHdrField as Field
from siov.spec.virtchnl import ProtoHdrType as Type

from . import build
from .fake import ready

ETH = build.header(Type.ETH)
V4 = build.header(Type.IPV4, Field.IPV4_SRC, Field.IPV4_DST)
TCP = build.header(Type.TCP, Field.TCP_SRC_PORT, Field.TCP_DST_PORT)


def test_headers_and_fields_reach_the_vsi_without_their_bytes():
    driver = ready()
    noisy = build.header(Type.TCP, Field.TCP_DST_PORT, buffer=bytes(range(64)))
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4, noisy, algorithm=2))
    assert driver.vsi.rss == {(Header(Type.ETH), Header(Type.IPV4, 3), Header(Type.TCP, 2)): 2}
    driver.ok(Op.DEL_RSS_CFG, build.rss_cfg(ETH, V4, build.header(Type.TCP, Field.TCP_DST_PORT)))
    assert driver.vsi.rss == {}


def test_the_same_twice_is_no_error_nor_is_removing_what_is_not_there():
    driver = ready()
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4))
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4))
    driver.ok(Op.DEL_RSS_CFG, build.rss_cfg(ETH, V4))
    driver.ok(Op.DEL_RSS_CFG, build.rss_cfg(ETH, V4))


BAD = [
    build.rss_cfg(),  # raw form
    build.rss_cfg(ETH, count=33),
    build.rss_cfg(ETH, count=-1),
    build.rss_cfg(ETH, V4, tunnel_level=1),
    build.rss_cfg(ETH, V4, algorithm=4),
    build.rss_cfg(ETH, V4, algorithm=-1),
    build.rss_cfg(build.header(ProtoHdrType(17)), ETH.replace(type=18)),
    build.rss_cfg(ETH.replace(type=-2)),
]


@pytest.mark.parametrize("data", BAD)
def test_a_pattern_that_means_nothing_is_refused(data: bytes):
    driver = ready()
    for op in (Op.ADD_RSS_CFG, Op.DEL_RSS_CFG):
        assert driver.status(op, data) == Status.ERR_PARAM
    assert driver.vsi.rss == {}


def test_a_vf_keeps_a_limited_number_of_choices():
    driver = ready(limits=VfLimits(rss_flows=3))
    for selector in (1, 2, 3):
        driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4.replace(field_selector=selector)))
    more = build.rss_cfg(ETH, V4, TCP)
    assert driver.status(Op.ADD_RSS_CFG, more) == Status.ERR_NO_MEMORY
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4))  # it is there already
    driver.ok(Op.DEL_RSS_CFG, build.rss_cfg(ETH, V4))
    driver.ok(Op.ADD_RSS_CFG, more)


def test_packet_types_replace_all_choices_of_fields():
    driver = ready(limits=VfLimits(rss_flows=1))
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4))
    driver.ok(Op.SET_RSS_HENA, bytes(8))
    driver.ok(Op.ADD_RSS_CFG, build.rss_cfg(ETH, V4, TCP))
