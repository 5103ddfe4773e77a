"""Explained slides and the quality of explanations of bags on the page: the files' numbers, in their places."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.report.bag_quality import read_bag_quality
from shared.report.build import build_report
from shared.report.slides import MOST_SLIDES, read_slides
from shared.report.sources import read_sources
from tests.shared.report.html_page import Page

HOSTILE = "<i>slide & 1</i>"
METHODS = {"attention": "Attention", "exact_shapley": "Shapley values, exact", "random": "Random order (control)"}


def draw(path, rng, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)


def tile(name, rank, value, share=None, **changes):
    place = {"x": 512 * rank, "y": 256, "tumour_share": share, "image_png": f"explanations/{rank}.png"}
    return {"id": name, "rank": rank, "value": value, **place, **changes}


def sample(name, rng, folder, **changes):
    for file in ("thumbnail", "attention", "exact_shapley", "1", "9"):
        draw(folder / f"{file}.png", rng)
    scale = {"tiff": "explanations/m.tif", "geojson": "explanations/m.geojson"}
    slide = {
        "tiles": 812,
        "tile_size_um": 128.0,
        "size_px": [5121, 4608],
        "mpp": 0.5,
        "missing": "",
        "logit": 1.234,
        "ranked_by": "exact_shapley",
        "tumour_tiles": 17,
        "lesions": [{"kind": "macro", "extent_um": 4100.0}, {"kind": "micro", "extent_um": 650.0}],
        "thumbnail_png": "explanations/thumbnail.png",
        "instances_csv": "explanations/instances.csv",
        "tiles_geojson": "explanations/tiles.geojson",
        "highest": [tile("+1", 1, 0.3125, 0.93)],
        "lowest": [tile("\u22121", 9, -0.000231, 0.0)],
    }
    return {
        "id": name,
        "label": "tumour",
        "kind": None,
        "prediction": "tumour",
        "target": "tumour",
        "confidence": 0.9,
        "decision": "accept",
        "reason": "",
        "methods": {
            "attention": {
                "overlay_png": "explanations/attention.png", "low": 0.0, "high": 0.0213, "unit": "share of attention"
            }
            | scale,
            "exact_shapley": {
                "overlay_png": "explanations/exact_shapley.png", "low": -0.31, "high": 0.31, "unit": "log-odds"
            }
            | scale,
        },
        "slide": {**slide, **changes},
    }  # fmt: skip


def quality():
    def entries(shift):
        return {
            "aupc_drop": {"value": 0.4 + shift, "ci95": [0.3 + shift, 0.5 + shift], "chance": 0.7, "n": 9},
            "aopc_r": {"value": 0.3 - shift, "ci95": [0.2, 0.4], "chance": 0.0, "n": 9},
            "instance_ndcg": {"value": 0.8, "ci95": [0.7, 0.9], "chance": 0.1, "n": 9},
        }

    positive = {name: entries(0.1 * place) for place, name in enumerate(METHODS)}
    positive["attention"]["froc"] = {
        "value": 0.625,
        "ci95": [0.5, 0.75],
        "n": 14,
        "slides": 23,
        "sensitivity": {"0.25": 0.5},
    }
    falling = np.linspace(1, 0, 101).tolist()
    return {
        "positive": positive,
        "negative": {"attention": {"peak_ratio": {"value": 0.25, "n": 6}}},
        "curves": {name: {"drop": falling, "add": falling[::-1]} for name in METHODS},
        "slides": {"positive": 9, "negative": 6},
        "tumour_share": 0.1,
    }


def write_slides(bundle, rng=None):
    rng = rng or np.random.default_rng(0)
    folder = bundle / "eval" / "explanations"
    blank = {"missing": "slide.tif: no such slide", "lesions": None, "mpp": None, "tile_size_um": None}
    unread = [tile("+1", 1, 0.2, image_png=None, reason="slide.tif: no such slide")]
    write_json(
        folder / "index.json",
        {
            "bag_word": "slide",
            "instance_word": "tile",
            "positive": "tumour",
            "samples": [
                sample(HOSTILE, rng, folder),
                sample("blank", rng, folder, **blank, tumour_tiles=None, highest=unread, lowest=[]),
            ],
            "failed": [{"id": "broken", "reason": "broken.h5: damaged"}],
            "methods": {name: {"title": title, "parameters": {"seed": 0}} for name, title in METHODS.items()}
            | {"leave_one_out": {"title": "Leave-one-out", "refused": "no algebra of subsets for NoisyOrPooling"}},
            "bag_quality": quality(),
            "provenance": {},
        },
    )
    return bundle / "eval"


@pytest.fixture(scope="module")
def eval_dir(tmp_path_factory):
    return write_slides(tmp_path_factory.mktemp("bundles") / "camelyon_attmil")


@pytest.fixture(scope="module")
def page(eval_dir):
    return Page(build_report(eval_dir).read_text(encoding="utf-8"))


def test_a_slide_stands_with_its_maps_and_their_numbers(page):
    assert HOSTILE in page.text
    pictures = [image["alt"] for image in page.tags("img")]
    assert pictures[:2] == [f"slide {HOSTILE}", f"Shapley values, exact over slide {HOSTILE}"]
    assert f"Attention over slide {HOSTILE}" in pictures
    assert "colours from \u22120.31 to +0.31 (log-odds)" in page.text
    assert "colours from 0 to +0.021 (share of attention)" in page.text
    assert "812 tiles of 128 µm; slide 2.6 \u00d7 2.3 mm" in page.text
    assert "Annotated: 1 macrometastasis (4.10 mm), 1 micrometastasis (0.65 mm)" in page.text
    assert "Tiles with tumour in truth: 17" in page.text
    assert "Log-odds of tumour before calibration: +1.23" in page.text


def test_how_colours_of_attention_are_read_is_said_without_a_number_that_differs_between_slides(page):
    said = page.text.split("Attention says")[1].split("Colours are scaled")[0]
    assert "from grey over yellow and orange to dark red" in said
    assert "differs from slide to slide: the numbers at the scale say it" in said
    assert "an even share, which is 1 divided by the number of tiles" in said


def test_tiles_stand_with_value_and_place(page):
    assert "+1 : +0.31 x 512, y 256; rank 1; in truth 93.0 % tumour" in page.text.replace("\u202f", " ")
    assert "\u22121 : \u22120.00023 x 4608, y 256; rank 9" in page.text
    assert "Tiles that speak most against tumour: Shapley values, exact" in page.text


def test_what_is_missing_is_said(page):
    assert "The maps lie on a blank canvas of its size: slide.tif: no such slide" in page.text
    assert "no picture: slide.tif: no such slide" in page.text
    assert "broken : broken.h5: damaged" in page.text
    assert "Leave-one-out: not shown. It cannot explain this network: no algebra of subsets" in page.text
    # slides have a section of their own, and the one for single images is left out
    assert "Explained cases" not in page.text


def test_quality_is_a_table_with_positive_and_negative_slides_apart(page):
    rows = [row for row in page.rows if row and row[0] == "Attention"]
    assert [" ".join(cell.split()) for cell in rows[0]] == [
        "Attention", "0.400 0.300 to 0.500", "0.300 0.200 to 0.400", "0.800 0.700 to 0.900", "0.625 0.500 to 0.750"
    ]  # fmt: skip
    assert [" ".join(cell.split()) for cell in rows[1]] == ["Attention", "0.250"]
    assert page.row("Random order (control)")[1].startswith("0.600")
    assert "14 lesions" in page.text
    assert "9 with the class to be found and 6 without" in page.text
    labels = [tag.get("aria-label", "") for tag in page.tags("svg")]
    # the best first: low is good where instances are dropped
    assert any(
        "AUPC, dropped (low is good) per method: Attention 0.400, Shapley values, exact 0.500" in label
        for label in labels
    )
    assert any(label.startswith("Probability over the share of tiles dropped") for label in labels)


def test_readers_give_the_numbers_of_the_file(eval_dir):
    sources = read_sources(eval_dir)
    first, blank = read_slides(sources)
    assert first.size_mm == pytest.approx((2.5605, 2.304))
    assert [one.method for one in first.maps] == ["exact_shapley", "attention"]
    assert blank.highest[0].image is None
    assert blank.size_mm is None
    found = read_bag_quality(sources)
    assert found.measures(found.positive) == ["aupc_drop", "aopc_r", "instance_ndcg", "froc"]
    assert (found.bags, found.lesions, found.froc_slides) == ((9, 6), 14, 23)


def test_a_page_of_many_slides_shows_the_first_and_says_so(tmp_path):
    eval_dir = write_slides(tmp_path / "camelyon_attmil")
    path = eval_dir / "explanations" / "index.json"
    content = json.loads(path.read_text())
    content["samples"] = [{**content["samples"][0], "id": f"slide {i}"} for i in range(MOST_SLIDES + 3)]
    write_json(path, content)
    page = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert f"Shown are the first {MOST_SLIDES} of {MOST_SLIDES + 3} slides" in page.text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["samples"][0]["slide"].pop("tiles"), r"samples\[0\].slide.tiles"),
        (lambda c: c["samples"][0]["slide"].update(highest=3), r"samples\[0\].slide.highest"),
        (lambda c: c["samples"][0]["slide"].update(size_px=[3]), r"slide.size_px: found \[3\]"),
        (lambda c: c["samples"][0]["slide"].update(thumbnail_png="../../x.png"), "lies outside"),
        (lambda c: c["samples"][0]["methods"]["attention"].update(high="much"), "methods.attention.high"),
        (lambda c: c["bag_quality"]["curves"]["random"].update(drop=1), "curves.random.drop"),
        (lambda c: c.update(failed={}) or c.update(failed="all"), "failed: found str"),
    ],
)
def test_malformed_slides_are_errors_that_name_the_key(tmp_path, change, named):
    eval_dir = write_slides(tmp_path / "camelyon_attmil")
    path = eval_dir / "explanations" / "index.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)
    with pytest.raises(DataError, match=named):
        build_report(eval_dir)


def test_slides_without_labels_are_not_said_to_lack_masks(tmp_path):
    eval_dir = write_slides(tmp_path / "camelyon_attmil")
    path = eval_dir / "explanations" / "index.json"
    content = json.loads(path.read_text())
    content["bag_quality"] = {}
    write_json(path, content)
    page = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert "None of the explained slides has a label and was predicted rightly" in page.text


def test_quality_of_another_pooling_says_why_it_is_not_measured(tmp_path):
    eval_dir = write_slides(tmp_path / "camelyon_attmil")
    path = eval_dir / "explanations" / "index.json"
    content = json.loads(path.read_text())
    content["bag_quality"] = {"not_measured": "no algebra of subsets for X", "slides": {}, "tumour_share": 0.1}
    write_json(path, content)
    page = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert "Dropping and adding tiles: not measured. no algebra of subsets for X" in page.text
