"""The drawings: what they contain, that ids are their own, and that names cannot break them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from shared.report.curves import OperatingPoint, RiskCoverage, read_reliability
from shared.report.figures import (
    confidence_figure,
    confusion_figure,
    outlier_figure,
    quality_figure,
    reliability_figure,
    risk_coverage_figure,
)
from shared.report.measures import Estimate
from shared.report.svg import COLOURS, plain_text

HOSTILE = '"><script>alert(1)</script> $\\frac{ \x00\x1b\n id="x" url(#y)'
COUNTS = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("text")]


def reliability():
    return read_reliability(
        {"bins": [{"count": n, "confidence": c, "accuracy": a} for n, c, a in ((30, 0.6, 0.5), (80, 0.9, 0.95))]}, "m"
    )


def all_figures(label: str) -> dict[str, str]:
    curve = RiskCoverage(np.array([0.25, 0.5, 1.0]), np.array([0.0, 0.1, 0.3]))
    estimates = [Estimate(label, 0.5, (0.4, 0.6), chance=0.3), Estimate("other", None), Estimate("bare", 0.7)]
    return {
        "confusion": confusion_figure(COUNTS, [label, "b", "c"], "a"),
        "reliability": reliability_figure({"before calibration": reliability(), "after calibration": []}, "b"),
        "risk": risk_coverage_figure(curve, OperatingPoint(0.5, 0.1, (0.02, 0.3), 10, 20), 0.05, "c"),
        "confidence": confidence_figure({"right": np.arange(20), "wrong": np.arange(20)}, {"accept from": 0.6}, "d"),
        "outlier": outlier_figure(estimates, 0.95, "e"),
        "quality": quality_figure(label, estimates, "f"),
    }


def test_confusion_matrix_has_every_count_and_row_share():
    svg = confusion_figure(COUNTS, ["a", "b", "c"], "cm")
    cells = re.findall(r'id="cm-cell-(\d)-(\d)"', svg)
    assert sorted(cells) == [(str(i), str(j)) for i in range(3) for j in range(3)]
    drawn = texts(svg)
    assert [drawn.count(count) for count in ("8", "2", "1", "9", "0")] == [1, 1, 1, 1, 5]
    assert {"80 %", "20 %", "90 %", "10 %"} <= set(drawn)
    assert drawn.count("no sample") == 3


def test_reliability_states_samples_and_bins():
    drawn = " ".join(texts(reliability_figure({"after calibration": reliability()}, "r")))
    assert "N = 110" in drawn
    assert "2 filled bins" in drawn
    assert "95 % null band" in drawn


def test_reliability_panels_and_their_histograms_share_their_ends():
    svg = reliability_figure({"before calibration": reliability(), "after calibration": reliability()}, "r")
    for column in range(2):
        ends = []
        for part in ("observed", "samples"):
            path = re.search(rf'<g id="r-{part}-{column}">\s*<path d="([^"]*)"', svg)[1]
            across = [float(x) for x in re.findall(r"[ML] (\S+) ", path)]
            ends.append((min(across), max(across)))
        assert ends[0] == pytest.approx(ends[1], abs=1e-3)
        assert ends[0][1] - ends[0][0] > 150
    # six ticks along both axes of a diagram, and along the axis of the histogram below it
    assert [texts(svg).count(tick) for tick in ("0.2", "0.8")] == [6, 6]


def test_label_for_screen_readers_holds_the_numbers():
    figures = {name: ElementTree.fromstring(svg) for name, svg in all_figures("a").items()}
    assert all(root.get("role") == "img" for root in figures.values())
    assert "17 of 20" in figures["confusion"].get("aria-label")
    gap = (30 * 0.1 + 80 * 0.05) / 110
    assert f"mean gap {gap:.3f} over 110 samples" in figures["reliability"].get("aria-label")
    assert "coverage 0.500, risk 0.100" in figures["risk"].get("aria-label")
    assert "a 50 %" in figures["outlier"].get("aria-label")


def test_chance_level_is_drawn_only_where_known():
    known = quality_figure("m", [Estimate("a", 0.5, chance=0.2)], "q")
    unknown = quality_figure("m", [Estimate("a", 0.5)], "q")
    assert "chance level" in texts(known)
    assert "chance level" not in texts(unknown)


@pytest.mark.parametrize("label", ["a", HOSTILE, "", "_hidden", "x" * 500])
def test_any_name_gives_well_formed_drawings_without_foreign_parts(label):
    ids = []
    for svg in all_figures(label).values():
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg"
        assert not {element.tag for element in root.iter()} & {"script", "metadata", "image", "a", "foreignObject"}
        assert "http" not in svg
        own = [element.get("id") for element in root.iter() if element.get("id")]
        used = re.findall(
            r"url\(#([^)]*)\)", " ".join(v for e in root.iter() for k, v in e.items() if k != "aria-label")
        )
        used += [element.get("href").removeprefix("#") for element in root.iter() if element.get("href")]
        assert set(used) <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_text_is_text_and_colours_are_the_pages():
    svg = all_figures("a")["risk"]
    assert "coverage (share answered)" in texts(svg)
    bare = re.sub(r"var\(--[a-z]+, #[0-9a-f]{6}\)", "", svg)
    assert "var(--right, " in svg
    assert not [colour for colour in COLOURS.values() if colour in bare]


def test_drawings_hold_no_more_than_is_seen():
    for svg in all_figures("a").values():
        assert "font-family" not in svg, "the page's own font"
        assert not re.search(r'(?:d|x|y|transform)="[^"]*\d\.\d{3}', svg), "hundredths of a pixel"
        root = ElementTree.fromstring(svg)
        for element in root.iter():
            assert element.tag == "style" or not (element.text or "").isspace()
            assert not (element.tail or "").isspace()
        numbered = {e.get("id") for e in root.iter() if re.search(r"_\d+$", e.get("id", ""))}
        assert all(f"#{name}" in svg for name in numbered)


def test_drawing_is_reproducible_and_leaves_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    assert all_figures("a") == all_figures("a")
    assert dict(matplotlib.rcParams) == before


def test_plain_text_is_one_short_line():
    assert plain_text("a\nb\x00c") == "a b c"
    assert plain_text("x" * 40, 10) == "x" * 9 + "…"
