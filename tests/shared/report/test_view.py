"""Views with layers: what the index says becomes pictures of bounded size, without their colours being mixed."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError
from shared.report.build import build_report
from shared.report.gallery import read_cases
from shared.report.layer_images import embed_layers
from shared.report.page import render_page
from shared.report.pictures import Pictures
from shared.report.sources import read_sources
from shared.report.view import LayerEntry, View, add_view, read_view
from shared.saliency.layers import STEPS, write_map_layer, write_outline, write_plain
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page
from tests.shared.report.layered_files import SIDE, add_layers


@pytest.fixture(scope="module")
def layered(tmp_path_factory, four_classes):
    """A bundle's eval folder with layers; not to be changed."""
    return add_layers(edited(four_classes, tmp_path_factory.mktemp("layers"), "eval/metrics.json", lambda _: None))


def decoded(embedded) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(embedded.uri.partition(",")[2])))


def test_a_layer_within_its_share_is_taken_as_it_is(tmp_path):
    write_map_layer(tmp_path / "map.png", np.random.default_rng(0).normal(size=(30, 20)))
    (embedded,) = embed_layers([tmp_path / "map.png"], 100_000).values()
    assert base64.b64decode(embedded.uri.partition(",")[2]) == (tmp_path / "map.png").read_bytes()
    assert (embedded.width, embedded.height) == (20, 30)


def test_a_large_layer_is_made_smaller_and_coarser_in_its_values(tmp_path):
    rows = np.linspace(-1, 1, 400)[:, None] * np.ones((1, 200))
    noise = rows + np.random.default_rng(0).normal(scale=0.2, size=rows.shape)
    write_map_layer(tmp_path / "map.png", noise, percentile=100)
    whole = (tmp_path / "map.png").stat().st_size
    (embedded,) = embed_layers([tmp_path / "map.png"], whole // 8).values()
    small = decoded(embedded)
    assert small.mode == "P"
    assert len(base64.b64decode(embedded.uri.partition(",")[2])) <= whole // 8
    assert small.width / small.height == pytest.approx(0.5, abs=0.01)
    # the index is still the value: from top to bottom it rises through all steps but those of the noise
    index = np.asarray(small, dtype=np.float64)
    means = index.mean(axis=1)
    expected = np.linspace(means[0], means[-1], len(means))
    assert np.abs(means - expected).max() < 0.05 * index.max()
    # and blue stays blue: no mixture of palette colours has come in
    with Image.open(tmp_path / "map.png") as file:
        palette = {tuple(c) for c in np.array(file.convert("RGBA")).reshape(-1, 4).tolist()}
    colours = {tuple(c) for c in np.array(small.convert("RGBA")).reshape(-1, 4).tolist()}
    assert len(colours) <= 63 < STEPS
    nearest = [min(np.abs(np.subtract(one, other)).max() for other in palette) for one in colours]
    assert max(nearest) <= 6


def test_an_outline_keeps_its_colours_when_it_is_made_smaller(tmp_path):
    mask = np.zeros((900, 900), dtype=bool)
    mask[100:800, 200:700] = True
    write_outline(tmp_path / "outline.png", mask)
    (embedded,) = embed_layers([tmp_path / "outline.png"], 600).values()
    colours = {tuple(c) for c in np.array(decoded(embedded).convert("RGBA")).reshape(-1, 4).tolist()}
    assert colours <= {(0, 0, 0, 0), (240, 228, 66, 255), (0, 0, 0, 255)}
    assert (240, 228, 66, 255) in colours


def test_a_picture_without_a_palette_is_no_layer(tmp_path):
    write_plain(tmp_path / "plain.png", np.random.default_rng(0).random((8, 8)))
    with pytest.raises(DataError, match=r"plain\.png: expected a PNG with a palette"):
        embed_layers([tmp_path / "plain.png"], 1000)


@pytest.mark.parametrize(
    ("size_px", "pixel_um", "length", "name"),
    [
        (50, 0.36, 2 / 0.36, "2 µm"),
        (400, 1.0, 100, "100 µm"),
        (5120, 0.5, 1000, "500 µm"),
        (90000, 0.25, 20000, "5 mm"),
    ],
)
def test_scale_bar_is_the_longest_round_length_within_a_quarter(size_px, pixel_um, length, name):
    view = View(None, size_px, size_px, (), None, (), pixel_um)
    assert view.scale_bar[0] == pytest.approx(length)
    assert view.scale_bar[1] == name


def test_cases_have_views_with_the_classes_asked_for(layered):
    first, second, *_ = read_cases(read_sources(layered))
    assert (first.view.width, first.view.height) == (SIDE, SIDE)
    assert first.view.targets == [first.target, "monocyte"] if first.target != "monocyte" else [first.target]
    assert len(first.view.methods) == len(second.view.methods) == 5
    assert all(layer.high == -layer.low > 0 for layer in first.view.layers)
    assert first.view.outline is not None
    assert second.view.outline is None
    assert [(one.id, one.label, one.similarity) for one in first.similar] == [("training <1>", "monocyte", 0.87)]
    assert second.similar == []


def test_the_page_stores_each_picture_once_and_refers_to_stored_ones(layered):
    page = Page(build_report(layered).read_text("utf-8"))
    stored = [tag["id"] for tag in page.tags("symbol")]
    assert len(set(stored)) == len(stored)
    addresses = [tag["href"] for tag in page.tags("image")]
    assert len(set(addresses)) == len(addresses) == len(stored)
    used = {tag["href"] for tag in page.tags("use") if tag["href"].startswith("#picture")}
    assert used <= {f"#{name}" for name in stored}
    cases = len(json.loads((layered / "explanations" / "index.json").read_text())["samples"])
    layers = [json.loads(tag["data-layers"]) for tag in page.elements_with("data-layers")]
    assert len(layers) == cases
    assert {f"#{layer['picture']}" for of_case in layers for layer in of_case} <= used
    assert "training <1>" in page.text
    assert "2 µm" in page.text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s["view"].update(image_png="../../configs/metadata.json"), "lies outside"),
        (lambda s: s["view"].update(image_png=None), r"view\.image_png is missing"),
        (lambda s: s["view"].update(size_px=[3]), r"view\.size_px: found \[3\], expected 2 numbers"),
        (lambda s: s["view"].update(boxes=[[1, 2, 3]]), r"view\.boxes\[0\]: found \[1, 2, 3\], expected 4 numbers"),
        (lambda s: s["methods"]["lime"].update(limit="much"), r"methods\.lime\.limit"),
        (lambda s: s["methods"]["lime"].update(layer_png="gone.png"), r"gone\.png: no such image"),
        (lambda s: s["similar"][0].update(similarity=None), r"similar\[0\]\.similarity"),
        (lambda s: s.update(similar="all"), r"similar: found str"),
    ],
)
def test_malformed_views_are_errors_that_name_the_key(layered, tmp_path, change, named):
    eval_dir = edited(layered, tmp_path, "eval/explanations/index.json", lambda content: change(content["samples"][0]))
    with pytest.raises(DataError, match=named):
        read_cases(read_sources(eval_dir))


def test_a_scale_that_is_not_symmetric_is_kept(tmp_path):
    write_plain(tmp_path / "plain.png", np.random.default_rng(0).random((8, 8)))
    write_map_layer(tmp_path / "map.png", np.ones((8, 8)))
    entry = {"layer_png": "map.png", "low": 0.0, "high": 0.4, "unit": "share of attention"}
    layers = [LayerEntry("attention", "tumour", entry, "x")]
    view = {"image_png": "plain.png", "size_px": [4096, 2048], "pixel_size_um": None}
    pictures = Pictures(tmp_path)
    add_view(pictures, view, layers, "x")
    pictures.embed(10_000, 10_000)
    found = read_view(pictures, view, layers, "x")
    (layer,) = found.layers
    assert (layer.low, layer.high, layer.signed, layer.unit) == (0.0, 0.4, False, "share of attention")
    assert (found.width, found.height, found.scale_bar) == (4096, 2048, None)


def test_watched_samples_come_last_and_are_no_evaluated_ones(layered, tmp_path):
    eval_dir = tmp_path / "eval"
    shutil.copytree(layered, eval_dir)
    index = eval_dir / "explanations" / "index.json"
    content = json.loads(index.read_text())
    first = content["samples"][0]
    first["watched"] = True
    first["similar"][0] |= {"candidates": 5, "of": 12}
    index.write_text(json.dumps(content))
    sources = read_sources(eval_dir)
    cases = read_cases(sources)
    assert [case.watched for case in cases] == [False] * (len(cases) - 1) + [True]
    assert cases[-1].id == first["id"]
    page = render_page(sources)
    assert page.count("it is not among the samples that were evaluated") == 1
    assert "(of 5 drawn at random from 12)" in page


def test_nothing_behind_a_picture_shows_where_it_ends_within_a_pixel(html):
    (rule,) = re.findall(r"svg\.layered \{[^}]*\}", html)
    assert "background" not in rule
