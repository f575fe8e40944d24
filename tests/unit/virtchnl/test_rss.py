"""CONFIG_RSS_KEY, CONFIG_RSS_LUT, CONFIG_RSS_HFUNC, and packet types."""

import pytest

from siov.spec.virtchnl import Hena, Op, RssHfunc, Status

from . import build
from .fake import VSI, ready

# What iavf writes as default, of which L2_PAYLOAD (bit 63) has no fields to hash.
IAVF_DEFAULT = [31, 33, 34, 35, 36, 41, 43, 44, 45, 46, 29, 30, 32, 39, 40, 42]


def test_the_key_has_52_bytes():
    driver = ready()
    driver.ok(Op.CONFIG_RSS_KEY, build.key(bytes(range(52))))
    assert driver.vsi.key == bytes(range(52))
    for length in (1, 40, 51, 53, 4000):
        assert driver.status(Op.CONFIG_RSS_KEY, build.key(bytes(length))) == Status.ERR_PARAM


def test_the_table_has_64_entries_and_no_queue_that_the_vf_has_not():
    driver = ready()
    driver.ok(Op.CONFIG_RSS_LUT, build.lut(bytes(n % 4 for n in range(64))))
    assert driver.vsi.lut == bytes(n % 4 for n in range(64))
    assert driver.status(Op.CONFIG_RSS_LUT, build.lut(bytes(63) + b"\x04")) == Status.ERR_PARAM
    for length in (1, 63, 65, 512, 2048):
        assert driver.status(Op.CONFIG_RSS_LUT, build.lut(bytes(length))) == Status.ERR_PARAM


@pytest.mark.parametrize("algorithm", [0, 1, 2, 3])
def test_there_are_four_hash_functions(algorithm: int):
    driver = ready()
    driver.ok(Op.CONFIG_RSS_HFUNC, RssHfunc.of(vsi_id=VSI, rss_algorithm=algorithm).data)
    assert driver.vsi.hash.name == ("TPLZ", "JHASH", "SYM_TPLZ", "XOR")[algorithm]
    assert (
        driver.status(Op.CONFIG_RSS_HFUNC, RssHfunc.of(vsi_id=VSI, rss_algorithm=4).data) == Status.ERR_PARAM
    )


def test_the_vsi_of_another_is_refused():
    driver = ready()
    assert driver.status(Op.CONFIG_RSS_KEY, build.key(bytes(52), vsi=1)) == Status.ERR_PARAM
    assert driver.status(Op.CONFIG_RSS_LUT, build.lut(bytes(64), vsi=1)) == Status.ERR_PARAM
    assert driver.status(Op.CONFIG_RSS_HFUNC, RssHfunc.of(vsi_id=1).data) == Status.ERR_PARAM


def test_the_packet_types_that_can_be_hashed_are_those_that_drivers_default_to():
    caps = Hena(int.from_bytes(ready().ok(Op.GET_RSS_HENA_CAPS), "little"))
    assert caps.raw == sum(1 << n for n in IAVF_DEFAULT)


def test_packet_types_are_set_and_all_may_be_off():
    driver = ready()
    for hena in (sum(1 << n for n in IAVF_DEFAULT), 1 << 33, 0):
        driver.ok(Op.SET_RSS_HENA, hena.to_bytes(8, "little"))
        assert driver.vsi.hena == hena


@pytest.mark.parametrize("n", [0, 28, 37, 47, 62, 63])
def test_a_packet_type_that_cannot_be_hashed_is_refused(n: int):
    driver = ready()
    assert driver.status(Op.SET_RSS_HENA, (1 << n | 1 << 33).to_bytes(8, "little")) == Status.ERR_PARAM
    assert driver.vsi.hena == -1
