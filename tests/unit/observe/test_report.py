"""The report: it parses, asks nothing of a network, and its numbers are those of the JSON."""

import json
import re
from html.parser import HTMLParser

import pytest
from lxml import etree
from lxml import html as lxml_html

from siov.observe.limits import Load
from siov.observe.plot import Plot
from siov.observe.report import html, plots
from siov.observe.series import Series
from siov.observe.summary import SHOWN, Summary

EVIL = "</script><script>alert(1)</script>&\"'"


def result(frames: int) -> dict:
    kinds = ("duplicated", "reordered", "corrupt", "wrong_tag", "wrong_status")
    return {
        "checked": {"frames": frames, "bytes": 100 * frames, **dict.fromkeys(kinds, 0)},
        "rings": {"interrupts": 7},
        "senders": [],
        "exits": 1,
    }


def summary(vsis: int = 3, scenario: str = "test") -> Summary:
    series = Series()
    for time in range(11):
        counts = {
            "nic0/rx_frames": 900 * time,
            "nic0/rx_bytes": 90_000 * time,
            "nic0/atc/lookups": 50 * time,
            "nic0/atc/hits": 40 * time,
            "nic0/interrupts": 10 * time,
            "nic0/events": 25 * time,
            "nic0/delayed": 4 * time,
            "vtd0/iotlb_lookup": 10 * time,
            "vtd0/iotlb_hit": 5 * time,
            "vtd0/iommu_requests": 10 * time,
            "cpu/guests": 500_000_000 * time,
            "idle": 3,
        }
        for n in range(vsis):
            counts[f"nic0/vsi{n}/rx_bytes"] = 1000 * (n + 1) * time
            counts[f"nic0/vsi{n}/rx_frames"] = 10 * (n + 1) * time
            counts[f"vm{n}.0/rx_bytes"] = 900 * (n + 1) * time
        series.add(100.0 + time, counts)
    return Summary(
        scenario,
        10.0,
        series,
        {f"vm{n}.0": result(100 + n) for n in range(vsis)},
        {"hw/nic0/engine/vsis/1/rx_frames": 200, "hw/nic0/engine/vsis/1/rx_no_desc": 3},
        [Load("vm1.0 to vm2.0", "stream", None, 1000, True)],
        {f"nic0/vsi{n}": f"vm{n}.0" for n in range(vsis)},
        ["nic0"],
        ["vtd0"],
        [
            {"kind": "reset", "target": "vm1", "state": "done", "outcome": "", "began": 2.5, "ended": 2.6},
            {"kind": "reset", "target": "vm2", "state": "due", "outcome": "", "began": None, "ended": None},
        ],
        {"devices": [1, 2]},
    )


class Reader(HTMLParser):
    """Tags that open and close, and all that a browser would fetch or run."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.fetched += [
            v or "" for k, v in found.items() if k in ("src", "href", "data", "action", "xlink:href")
        ]
        if tag == "script":
            self.scripts.append(found.get("type") or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def data_of(page: str) -> dict:
    [text] = lxml_html.fromstring(page).xpath('//script[@id="data"]/text()')
    return json.loads(text)


@pytest.mark.parametrize("scenario", ["test", EVIL])
def test_the_page_parses_and_asks_nothing_of_a_network(scenario):
    page, reader = html(summary(scenario=scenario)), Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert reader.fetched == []
    assert reader.scripts == ["application/json"], "data, and nothing that runs"
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", page)
    assert data_of(page)["scenario"] == scenario


def test_the_data_in_the_page_is_that_of_the_json_file():
    one = summary()
    assert data_of(html(one)) == json.loads(json.dumps(one.to_json()))


def test_the_tables_numbers_are_those_of_the_json():
    page = lxml_html.fromstring(html(summary()))
    data = summary().to_json()

    def rows(title: str) -> list[list[str]]:
        [table] = page.xpath(f'//h2[text()="{title}"]/following-sibling::div[1]/table')
        return [[cell.text or "" for cell in row.findall("td")] for row in table.findall("tr")[1:]]

    vsis = {row[0]: row for row in rows("VSIs")}
    assert vsis.keys() == data["vsis"].keys()
    for vsi, row in vsis.items():
        told = data["vsis"][vsi]
        assert row[1] == told["guest"]
        assert [int(cell.replace(",", "")) for cell in row[2:7]] == [
            told[key] for key in ("rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "dropped")
        ]
    assert ["nic0", "atc", "500", "400", "80.00%"] in rows("Caches")
    assert data["hit_rates"] == {"nic0": {"atc": 0.8}, "vtd0": {"iotlb": 0.5}}
    assert rows("Interrupts") == [["nic0", "250", "100", "40", "0"]]
    assert data["interrupts"]["nic0"] == {"events": 250, "interrupts": 100, "delayed": 40, "disabled": 0}
    assert ["vm2.0", "102", "10,200", "0", "7", "1"] in rows("What guests received")
    assert rows("Events") == [["2.50 s", "reset", "vm1", "done", ""], ["", "reset", "vm2", "due", ""]]
    assert data["devices"] == [1, 2]
    told = [item.text_content() for item in page.xpath("//ol/li")]
    assert told == [f"{one['what']}: {one['why']}" for one in data["limits"]]


def test_means_are_the_counts_by_the_seconds():
    told = summary().to_json()
    assert told["nics"]["nic0"]["rx_bits_per_second"] == 90_000 * 8
    assert told["nics"]["nic0"]["rx_bytes"] == 900_000


def test_the_series_of_the_json_starts_at_zero_and_has_no_counter_that_stood_still():
    series = summary().to_json()["series"]
    assert series["seconds"] == [float(n) for n in range(11)]
    assert series["counters"]["nic0/rx_bytes"] == [90_000 * n for n in range(11)]
    assert "idle" not in series["counters"]


def test_of_very_many_vsis_the_busiest_have_series_and_all_have_sums():
    told = summary(vsis=3 * SHOWN).to_json()
    assert len(told["vsis"]) == 3 * SHOWN
    shown = {name.rpartition("/")[0] for name in told["series"]["counters"] if "/vsi" in name}
    assert shown == {f"nic0/vsi{n}" for n in range(2 * SHOWN, 3 * SHOWN)}
    assert "nic0/rx_bytes" in told["series"]["counters"]


def test_every_plot_is_a_picture_by_itself_whose_points_lie_within():
    for plot in plots(summary()):
        picture = etree.fromstring(plot.svg())
        _, _, width, height = map(float, picture.get("viewBox").split())
        for line in picture.iter("{*}polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            assert len(points) == len(plot.times)
            assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_a_line_is_as_high_as_its_values_are():
    picture = etree.fromstring(Plot("t", "bit/s", [0, 1, 2], {"a": [0, 50, 100]}).svg())
    [line] = picture.iter("{*}polyline")
    heights = [float(point.split(",")[1]) for point in line.get("points").split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert heights[0] > heights[2]


def test_a_plot_of_nothing_and_names_with_markup_are_pictures_too():
    etree.fromstring(Plot(EVIL, EVIL, [], {EVIL: []}, [(1.0, EVIL)]).svg())
    etree.fromstring(Plot("zero", "", [0.0], {"a": [0.0]}).svg())
