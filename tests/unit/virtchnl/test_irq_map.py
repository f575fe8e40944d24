"""CONFIG_IRQ_MAP and MAP_QUEUE_VECTOR."""

import pytest

from siov.spec.virtchnl import Op, Status

from . import build
from .fake import ready


def test_linux_lists_queue_vectors_first_and_that_of_the_mailbox_last():
    driver = ready()
    driver.ok(Op.CONFIG_IRQ_MAP, build.irq_map((1, 1, 1), (2, 2, 2), (3, 4, 4), (4, 8, 8), (0, 0, 0)))
    rx = {("rx", q): (q + 1, 0) for q in range(4)}
    assert driver.vsi.causes == rx | {("tx", q): (q + 1, 1) for q in range(4)}


def test_one_vector_may_serve_all_queues():
    driver = ready()
    driver.ok(Op.CONFIG_IRQ_MAP, build.irq_map((1, 0xF, 0, 0, 0)))
    assert driver.vsi.causes == {("rx", q): (1, 0) for q in range(4)}


@pytest.mark.parametrize("timer", [0, 1, 2, 3])
def test_there_are_three_timers_and_none(timer: int):
    driver = ready()
    driver.ok(Op.CONFIG_IRQ_MAP, build.irq_map((1, 1, 1, timer, timer)))
    assert driver.vsi.causes == {("rx", 0): (1, timer), ("tx", 0): (1, timer)}


BAD = [
    [(0, 1, 0)], [(0, 0, 1)], [(5, 0, 0)], [(0xFFFF, 1, 1)], [(1, 0x10, 0)], [(1, 0, 0x8000)],
    [(1, 1, 1, 4, 0)], [(1, 1, 1, 0, 0xFFFF)], [(1, 1, 1)] * 6, [(1, 1, 1), (0, 1, 0)],
]  # fmt: skip


@pytest.mark.parametrize("rows", BAD, ids=str)
def test_a_map_of_what_the_vf_has_not_changes_nothing(rows: list[tuple[int, ...]]):
    driver = ready()
    assert driver.status(Op.CONFIG_IRQ_MAP, build.irq_map(*rows)) == Status.ERR_PARAM
    assert driver.vsi.causes == {}


def test_the_vsi_of_another_is_refused():
    driver = ready()
    assert driver.status(Op.CONFIG_IRQ_MAP, build.irq_map((1, 1, 1), vsi=1)) == Status.ERR_PARAM


def test_the_second_form_maps_each_queue_by_itself():
    driver = ready(pairs=17)
    driver.ok(Op.MAP_QUEUE_VECTOR, build.vectors((16, 17, 0, 1), (16, 17, 1, 0), (0, 1, 3, 1)))
    assert driver.vsi.causes == {("rx", 16): (17, 0), ("tx", 16): (17, 1), ("rx", 0): (1, 3)}


@pytest.mark.parametrize(
    "row",
    [(17, 1, 0, 1), (0, 18, 0, 1), (0, 0, 0, 1), (0, 1, 4, 1), (0, 1, -1, 1), (0, 1, 0, 2), (0, 1, 0, -1)],
)
def test_the_second_form_refuses_what_the_vf_has_not(row: tuple[int, int, int, int]):
    driver = ready(pairs=17)
    assert driver.status(Op.MAP_QUEUE_VECTOR, build.vectors((0, 1, 0, 1), row)) == Status.ERR_PARAM
    assert driver.vsi.causes == {}
