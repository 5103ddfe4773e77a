"""Explaining slides with a metastasis that a network sees, slides that are broken, and slides that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from shared.data.errors import DataError
from shared.mil.levels import InstanceLevel
from shared.mil.pooling.noisy_or import NoisyOrPooling
from shared.report.build import build_report
from shared.report.slides import read_slides
from shared.report.sources import read_sources
from shared.saliency.bags.attention import AttentionWeights
from shared.saliency.bags.exact_shapley import ExactShapley
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.leave_one_out import LeaveOneOut
from shared.saliency.bags.random_values import RandomValues
from shared.saliency.case_selection import BagChoice

SIDE, SIZE, CLASSES = 64, (1024, 769), ["normal", "tumour"]
LESION = (256, 192, 768, 576)  # of 8 × 6 tiles


@pytest.fixture(scope="module")
def network(scripts):
    """Looks at the first feature, which is the share of tumour, and at nothing else."""

    def make(pooling="attention", standardise=False):
        torch.manual_seed(0)
        networks = scripts("networks")
        if pooling == "noisy-or":
            made = networks.BagClassifier(None, InstanceLevel(nn.Linear(3, 1), NoisyOrPooling()), features=3)
        else:
            made = networks.assemble(
                pooling, 3, embedding=None, attention_dimension=4, dropout=0.0, standardise=standardise
            )
        with torch.no_grad():
            if pooling == "attention":
                made.level.pooling.hidden[0].weight.zero_()
                made.level.pooling.hidden[0].weight[:, 0] = 1.0
                made.level.pooling.score.weight.fill_(1.0)
            made.level.head.weight.copy_(torch.tensor([[6.0, 0.0, 0.0]]))
            made.level.head.bias.fill_(-2.0)
        return made.eval()

    return make


@pytest.fixture(scope="module")
def data(scripts, write_stained, tmp_path_factory):
    """Slides with features: two with a metastasis, two without."""
    root, rng = tmp_path_factory.mktemp("slides"), np.random.default_rng(0)
    annotations, files, truth = scripts("annotations"), scripts("feature_file"), scripts("tile_truth")
    left, top, right, bottom = LESION
    outline = annotations.Outline("_0", "_0", np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    annotation = annotations.Annotation((outline,))
    annotations.write_asap(root / "lesion.xml", annotation)
    xs, ys = np.meshgrid(np.arange(2, 13) * SIDE, np.arange(2, 10) * SIDE)
    coords = np.stack([xs, ys], axis=-1).reshape(-1, 2).astype(np.int64)
    records = []
    for number in range(4):
        label, name = number % 2, f"slide_{number}"
        write_stained(root / f"{name}.tif", SIZE, (128, 128, 832, 640), seed=number)
        share = truth.tumour_shares(coords, SIDE, annotation if label else None, label)
        features = np.stack([share + rng.normal(0, 0.02, len(share)), *rng.normal(0, 1, (2, len(share)))], axis=1)
        attributes = files.FeatureAttributes(
            name, 0.5, SIDE, SIDE, SIZE, 0.5, encoder="three numbers", encoder_sha256="0", code_version="0"
        )
        parts = [(features.astype(np.float16), coords, share)]
        files.write_features(root / f"{name}.h5", parts, len(coords), attributes)
        record = {"id": name, "patient": name, "slide": str(root / f"{name}.tif"), "label": label}
        record["features"] = str(root / f"{name}.h5")
        records.append(record | ({"annotation": str(root / "lesion.xml")} if label else {}))
    return records


@pytest.fixture(scope="module")
def explain(scripts, network):
    """Explain records by a network, and return the index's content."""

    def run(records, output, model=None, methods=None, **options):
        model = scripts("standardised_input").StandardisedInput(network() if model is None else model)
        kinds = methods or {
            "attention": AttentionWeights,
            "exact_shapley": ExactShapley,
            "leave_one_out": LeaveOneOut,
            "random_values": RandomValues,
        }
        valuation = scripts("slide_values").SlideValues(model, {name: kind(model) for name, kind in kinds.items()})
        files = scripts("slide_files").SlideFiles(output)
        ranking = [name for name in ("exact_shapley", "attention") if name in kinds]
        shown = scripts("shown_slides").ShownSlides(files, valuation, ranking, tiles=3, longest=300)
        froc = scripts("lesion_froc").HeatMapFROC()
        quality = scripts("slide_quality").SlideQuality(valuation, froc=froc, resamples=50)
        choice = BagChoice(**{"samples_per_class": 2, "wrong_samples": 2} | options)
        read = scripts("feature_bags").read_bag
        explainer = scripts("slide_explainer").SlideExplainer(read, choice, shown, quality, records, CLASSES)
        return json.loads(explainer.run(predictions(records)).read_text())

    return run


def predictions(records, said=None):
    rows = {"confidence": 0.8, "decision": "accept", "reason": ""}
    classes = [CLASSES[record.get("label", 1)] for record in records] if said is None else said
    return [{"id": record["id"], "prediction": name, **rows} for record, name in zip(records, classes, strict=True)]


@pytest.fixture(scope="module")
def explained(data, explain, tmp_path_factory):
    output = tmp_path_factory.mktemp("bundle") / "eval"
    return output, explain(data, output)


def test_maps_lie_where_the_metastasis_is(explained, data):
    output, index = explained
    left, top, right, bottom = LESION
    sample = next(sample for sample in index["samples"] if sample["id"] == "slide_1")
    features = json.loads((output / sample["methods"]["exact_shapley"]["geojson"]).read_text())["features"]
    strongest = [f for f in features if f["properties"]["classification"]["name"].endswith("strongly for")]
    corners = np.concatenate([f["geometry"]["coordinates"][0] for f in strongest])
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([left, top], [right, bottom])
    with (
        openslide.OpenSlide(output / sample["methods"]["exact_shapley"]["tiff"]) as heat,
        openslide.OpenSlide(data[1]["slide"]) as slide,
    ):
        scale = float(heat.properties["openslide.mpp-x"]) / float(slide.properties["openslide.mpp-x"])
        picture = np.asarray(heat.read_region((0, 0), 0, heat.dimensions))[..., :3].astype(int)
        red = np.argwhere(picture[..., 0] - picture[..., 2] > 60)
        assert (red.min(axis=0) * scale).tolist() == [top, left]
        assert ((red.max(axis=0) + 1) * scale).tolist() == [bottom, right]


def test_files_of_a_slide_agree(explained, data, scripts, network):
    output, index = explained
    sample = next(sample for sample in index["samples"] if sample["id"] == "slide_1")
    slide, bag = sample["slide"], scripts("feature_bags").read_bag(data[1])
    table = pd.read_csv(output / slide["instances_csv"])
    assert list(table.columns) == [
        "rank", "x", "y", "tile_size", "attention", "exact_shapley", "leave_one_out", "random_values", "tumour_share"
    ]  # fmt: skip
    assert (table["tile_size"] == SIDE).all()
    # what the method gives for the file's features, at the file's places
    model = network()
    values = ExactShapley(model).attribute(torch.from_numpy(bag.features.astype(np.float32))).numpy()
    order = np.lexsort((bag.coords[:, 0], bag.coords[:, 1]))
    by_place = table.sort_values(["y", "x"])
    np.testing.assert_array_equal(by_place[["x", "y"]].to_numpy(), bag.coords[order])
    np.testing.assert_allclose(by_place["exact_shapley"], values[order], rtol=1e-9)
    assert table["exact_shapley"].is_monotonic_decreasing
    # values add up to the log-odds beyond those of no tile
    assert values.sum() == pytest.approx(slide["logit"] + 2.0, abs=1e-6)
    tiles = json.loads((output / slide["tiles_geojson"]).read_text())["features"]
    assert len(tiles) == slide["tiles"] == len(table)
    found = {tuple(tile["geometry"]["coordinates"][0][0]): tile["properties"]["measurements"] for tile in tiles}
    for row in table.head(5).to_dict("records"):
        measured = found[row["x"], row["y"]]
        assert measured["Shapley values, exact"] == pytest.approx(row["exact_shapley"])
        assert measured["Tumour share"] == row["tumour_share"]
    assert slide["tumour_tiles"] == 48
    assert slide["lesions"] == [{"kind": "micro", "extent_um": 320.0, "area_mm2": 0.049152}]


def test_the_gallery_shows_the_tiles_themselves(explained, data):
    output, index = explained
    sample = next(sample for sample in index["samples"] if sample["id"] == "slide_1")
    table = pd.read_csv(output / sample["slide"]["instances_csv"])
    highest, lowest = sample["slide"]["highest"], sample["slide"]["lowest"]
    assert [tile["id"] for tile in (*highest, *lowest)] == ["+1", "+2", "+3", "\u22121", "\u22122", "\u22123"]
    assert [tile["rank"] for tile in highest] == [1, 2, 3]
    assert [tile["rank"] for tile in lowest] == [len(table), len(table) - 1, len(table) - 2]
    with openslide.OpenSlide(data[1]["slide"]) as slide:
        for tile in (*highest, *lowest):
            row = table[(table["x"] == tile["x"]) & (table["y"] == tile["y"])].iloc[0]
            assert (row["rank"], row["exact_shapley"]) == (tile["rank"], pytest.approx(tile["value"]))
            assert tile["tumour_share"] == row["tumour_share"]
            own = np.asarray(slide.read_region((tile["x"], tile["y"]), 0, (SIDE, SIDE)))[..., :3]
            np.testing.assert_array_equal(np.asarray(Image.open(output / tile["image_png"])), own)
    assert all(tile["tumour_share"] == 1.0 for tile in highest)


def test_quality_finds_the_methods_that_know_and_the_one_that_does_not(explained):
    quality = explained[1]["bag_quality"]
    assert quality["slides"] == {"positive": 2, "negative": 2}
    positive = quality["positive"]
    for method in ("attention", "exact_shapley"):
        assert positive[method]["instance_ndcg"]["value"] == pytest.approx(1)
    # without one of 48 tiles the others still say the same: half of them seem to speak against
    assert 0.9 < positive["leave_one_out"]["instance_ndcg"]["value"] < 1
    assert positive["exact_shapley"]["aupc_drop"]["value"] < positive["random_values"]["aupc_drop"]["value"]
    assert positive["random"]["instance_auc"]["value"] == 0.5
    for method in ("attention", "exact_shapley"):
        # the highest peak of either slide lies in its lesion
        assert (positive[method]["froc"]["value"], positive[method]["froc"]["n"]) == (1.0, 2)
    assert "instance_auc" not in quality["negative"]["attention"]
    assert quality["negative"]["attention"]["peak_ratio"]["value"] < 1
    assert len(quality["curves"]["random"]["drop"]) == 101
    assert explained[1]["methods"]["random"]["title"] == "Random order (control)"


def test_a_partly_annotated_slide_has_no_part_in_tile_truth_and_lesions(data, explain, tmp_path):
    """Its features may say otherwise: they know nothing of the annotation."""
    records = [dict(record) for record in data]
    records[1]["partly_annotated"] = True
    quality = explain(records, tmp_path / "eval")["bag_quality"]
    assert quality["slides"] == {"positive": 2, "negative": 2}
    measured = quality["positive"]["attention"]
    assert measured["aupc_drop"]["n"] == 2
    assert measured["instance_ndcg"]["n"] == measured["instance_auc"]["n"] == 1
    assert measured["froc"]["n"] == 1


def test_the_page_shows_them(explained):
    output, index = explained
    slides = read_slides(read_sources(output))
    assert [slide.case.id for slide in slides] == [sample["id"] for sample in index["samples"]]
    for slide, sample in zip(slides, index["samples"], strict=True):
        assert sorted(slide.view.methods) == sorted(sample["methods"])
        assert (slide.view.width, slide.view.height) == tuple(sample["slide"]["size_px"])
    page = build_report(output).read_text(encoding="utf-8")
    assert ">Explained slides<" in page
    assert "Positive slides (n = 2)" in page


def test_a_broken_slide_is_recorded_and_the_rest_goes_on(data, explain, tmp_path, scripts):
    records = [dict(record) for record in data]
    (tmp_path / "cut.h5").write_bytes(b"cut off")
    records[0]["features"] = str(tmp_path / "cut.h5")
    records[3]["annotation"] = str(tmp_path / "none.xml")
    index = explain(records, tmp_path / "eval")
    assert [entry["id"] for entry in index["failed"]] == ["slide_0", "slide_3"]
    assert "cut.h5: not a readable HDF5 file" in index["failed"][0]["reason"]
    assert "none.xml: no such annotation" in index["failed"][1]["reason"]
    assert {sample["id"] for sample in index["samples"]} == {"slide_1", "slide_2"}
    assert index["bag_quality"]["slides"] == {"positive": 1, "negative": 1}
    with pytest.raises(DataError, match="none of 1 slides can be explained"):
        explain(records[:1], tmp_path / "none")


def test_without_slides_maps_lie_on_a_blank_canvas(data, explain, tmp_path):
    absent, truncated, half = (dict(data[index]) for index in (0, 1, 3))
    del absent["slide"]
    for record, size, name in ((truncated, 2000, "short.tif"), (half, 0, "gone.tif")):
        record["slide"] = str(tmp_path / name)
        if size:
            (tmp_path / name).write_bytes(Path(data[1]["slide"]).read_bytes()[:size])
    index = explain([absent, truncated, half], tmp_path / "eval")
    said = {sample["id"]: sample["slide"]["missing"] for sample in index["samples"]}
    assert said["slide_0"] == "the datalist names no slide"
    assert "short.tif" in said["slide_1"]
    assert "gone.tif: no such slide" in said["slide_3"]
    sample = next(sample for sample in index["samples"] if sample["id"] == "slide_1")
    assert sample["slide"]["size_px"] == list(SIZE)
    assert all(tile["image_png"] is None and "short.tif" in tile["reason"] for tile in sample["slide"]["highest"])
    with openslide.OpenSlide(tmp_path / "eval" / sample["methods"]["attention"]["tiff"]) as heat:
        # aligned all the same: the features know the slide's size and scale
        assert float(heat.properties["openslide.mpp-x"]) == pytest.approx(0.5 * 4, rel=1e-4)
        assert heat.dimensions == (256, 193)


def test_tiles_that_cannot_be_decoded_have_no_picture(data, explain, spoil_tiles, tmp_path):
    record = dict(data[1])
    path = tmp_path / "spoilt.tif"
    path.write_bytes(Path(record["slide"]).read_bytes())
    spoil_tiles(path, [(column, row) for column in range(4) for row in range(3)])
    record["slide"] = str(path)
    index = explain([record], tmp_path / "eval")
    tiles = index["samples"][0]["slide"]["highest"]
    assert [tile["image_png"] for tile in tiles] == [None] * 3
    assert "cannot be decoded" in tiles[0]["reason"]


def test_features_of_another_slide_are_told(data, explain, tmp_path, write_stained):
    record = dict(data[1])
    record["slide"] = str(write_stained(tmp_path / "other.tif", (600, 700)))
    index = explain([record, data[0]], tmp_path / "eval")
    assert "has 600 by 700 pixels, its features are of a slide of 1024 by 769" in index["failed"][0]["reason"]


def test_what_cannot_explain_the_network_says_so_and_the_others_explain(data, explain, network, tmp_path):
    index = explain(data[:2], tmp_path / "eval", network("noisy-or"))
    assert set(index["samples"][0]["methods"]) == {"random_values"}
    assert "NoisyOrPooling" in index["methods"]["attention"]["refused"]
    assert "refused" not in index["methods"]["random_values"]
    assert "NoisyOrPooling" in index["bag_quality"]["not_measured"]
    assert set(index["bag_quality"]["positive"]["random_values"]) == {"froc"}
    assert "negative" not in index["bag_quality"]
    page = build_report(tmp_path / "eval").read_text(encoding="utf-8")
    assert "Attention: not shown" in page
    with pytest.raises(DataError, match="none of them can explain this network"):
        explain(data[:1], tmp_path / "none", network("noisy-or"), {"attention": AttentionWeights})


def test_slides_without_labels_are_shown(data, explain, tmp_path):
    record = {key: data[1][key] for key in ("id", "features")}
    index = explain([record], tmp_path / "eval")
    assert index["samples"][0]["label"] is None
    assert index["bag_quality"] == {}
    assert index["samples"][0]["slide"]["mpp"] == 0.5


def test_tiles_of_unknown_size_are_refused(data, scripts):
    module, bag = scripts("explained_slide"), scripts("feature_bags").read_bag(data[0])
    files = scripts("feature_file")
    unknown = files.FeatureBag(bag.features, bag.coords, None, files.FeatureAttributes("s", layout="clam"))
    with pytest.raises(DataError, match="does not say the size of its tiles"):
        module.ExplainedSlide(data[0], unknown)


def test_predictions_of_other_slides_are_refused(data, explain, scripts, tmp_path):
    with pytest.raises(DataError, match="no slides to explain"):
        explain([], tmp_path)
    with pytest.raises(DataError, match="no slide is chosen"):
        explain(data, tmp_path, samples_per_class=0, wrong_samples=0, measured_samples=0)


def test_input_of_the_explanations_is_standardised(scripts, network):
    """Gradient × input of raw features would multiply by where their scale begins."""
    raw = network("mean_embedding", standardise=True)
    features = torch.randn(7, 3) * torch.tensor([5.0, 0.1, 1.0]) + torch.tensor([300.0, 0.0, -2.0])
    raw.standardisation().fit([features])
    inner = scripts("standardised_input").StandardisedInput(raw)
    inputs = inner.standardised(features)
    torch.testing.assert_close(inputs.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    lengths = torch.tensor([7])
    torch.testing.assert_close(inner(inputs, lengths), raw(features, lengths))
    values = GradientXInput(inner).attribute(inputs)
    torch.testing.assert_close(values.sum(), (raw(features, lengths) + 2.0).squeeze().double(), atol=1e-4, rtol=0)
    # weights that are loaded later are seen
    with torch.no_grad():
        raw.level.head.bias.fill_(5.0)
    torch.testing.assert_close(inner(inputs, lengths), raw(features, lengths))
    plain = scripts("standardised_input").StandardisedInput(network())
    assert plain.standardised(features) is features


def test_only_the_wanted_formats_are_written(data, scripts, network, tmp_path):
    module = scripts("slide_files")
    slide = scripts("explained_slide").ExplainedSlide(data[1], scripts("feature_bags").read_bag(data[1]))
    values = np.linspace(-1, 1, len(slide.bag.coords))
    pictures = {"overlay_png", "layer_png", "low", "high", "unit"}
    for formats in (["ome_tiff", "asap_xml"], []):
        files = module.SlideFiles(tmp_path / str(len(formats)), formats=formats)
        entry = files.write_map(slide, slide.view(100), "said", "shapley", ExactShapley(network()), values)
        assert set(entry) == pictures | set(formats)
        written = {path.name for path in (tmp_path / str(len(formats))).rglob("*.*")}
        assert written == {Path(entry[key]).name for key in ("overlay_png", "layer_png", *formats)}
    slide.close()
    for formats, found in ((["tiff", "zarr"], "zarr"), ("tiff", "tiff")):
        with pytest.raises(DataError, match=f"formats: found {found}, expected a list of some of tiff, ome_tiff"):
            module.SlideFiles(tmp_path, formats=formats)
