"""Explaining as a user types it, on small slides, by a network that sees the tumour's feature."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest
import tifffile
import torch

from shared.data.datalist import write_datalist
from shared.data.files import sha256_file
from shared.evaluation.interpretability.file import read_interpretability
from shared.saliency.bags.bag_elements import BAG_MEASURES
from tests.bundles.commands import run
from tests.oracles.asap import read_annotations

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGS = REPOSITORY / "bundles" / "camelyon_attmil" / "configs"
SIDE, SIZE, FEATURES = 64, (1024, 769), 4
LESION = (256, 192, 768, 576)
NETWORK = {"in_features": FEATURES, "embedding": 8, "attention_dimension": 4, "standardise": "False"}

pytestmark = pytest.mark.slow


def bundle(run_id, configs, work, data, **overrides):
    settings = {"dataset_dir": data, "ckpt_dir": work / "models", "output_dir": work / "eval", **NETWORK, **overrides}
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    files = str([str(CONFIGS / f"{name}.json") for name in configs])
    return run(["-m", "monai.bundle", "run", run_id, "--config_file", files, *options], work)


@pytest.fixture(scope="module")
def work(scripts, write_stained, tmp_path_factory):
    """Slides, features, weights, a calibration and explanations."""
    folder, rng = tmp_path_factory.mktemp("work"), np.random.default_rng(0)
    annotations, files = scripts("annotations"), scripts("feature_file")
    left, top, right, bottom = LESION
    outline = annotations.Outline("_0", "_0", np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    annotation = annotations.Annotation((outline,))
    annotations.write_asap(folder / "data" / "lesion.xml", annotation)
    xs, ys = np.meshgrid(np.arange(2, 13) * SIDE, np.arange(2, 10) * SIDE)
    coords = np.stack([xs, ys], axis=-1).reshape(-1, 2).astype(np.int64)
    sections = {"training": [], "validation": [], "test": []}
    for number in range(22):
        section, label = ("training", "validation", "test")[min(number // 8, 2)], number % 2
        name = f"{section}_{number}"
        share = scripts("tile_truth").tumour_shares(coords, SIDE, annotation if label else None, label)
        features = np.concatenate([share[:, None], np.zeros((len(share), FEATURES - 1))], axis=1)
        features += rng.normal(0, 0.1, features.shape)
        attributes = files.FeatureAttributes(name, 0.5, SIDE, SIDE, SIZE, 0.5, "numbers", "0", "0")
        path = folder / "data" / "features" / f"{name}.h5"
        files.write_features(path, [(features.astype(np.float16), coords, share)], len(coords), attributes)
        record = {"id": name, "patient": name, "features": str(path), "label": label, "tiles": len(coords)}
        if label:
            record |= {"annotation": str(folder / "data" / "lesion.xml"), "kind": "micro"}
        if section == "test":
            slide = write_stained(folder / "data" / f"{name}.tif", SIZE, (128, 128, 832, 640), seed=number)
            record["slide"] = str(slide)
        sections[section].append(record)
    keys = ("slide", "features", "annotation")
    write_datalist(folder / "data" / "datalist.json", sections, ["normal", "tumour"], {}, keys)
    torch.manual_seed(0)
    network = scripts("networks").assemble("gated_attention", FEATURES, 8, 4)
    with torch.no_grad():
        network.encoder.linear.weight.zero_()
        network.encoder.linear.weight[:, 0] = 1.0
        network.level.head.weight.fill_(2.0)
        network.level.head.bias.fill_(-4.0)
    (folder / "models").mkdir()
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    data = folder / "data"
    bundle("calibrating", ["train", "calibrate"], folder, data)
    # a slide that was broken since it was predicted
    Path(sections["test"][0]["slide"]).write_bytes(b"cut off")
    bundle("explaining", ["inference", "explain"], folder, data, shown_tiles=2, bootstrap_resamples=50)
    return folder


def test_explaining_writes_what_its_index_lists(work):
    content = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    assert content["samples"]
    assert not content["failed"]
    methods = set(content["methods"]) - {"random"}
    assert {"attention", "exact_shapley", "lrp_epsilon", "lrp_attention", "leave_one_out", "random_values"} <= methods
    assert not any("refused" in entry for entry in content["methods"].values())
    for sample in content["samples"]:
        slide = sample["slide"]
        assert len(pd.read_csv(work / "eval" / slide["instances_csv"])) == slide["tiles"]
        assert set(sample["methods"]) == methods
        for name, entry in sample["methods"].items():
            assert all((work / "eval" / entry[key]).is_file() for key in ("overlay_png", "geojson"))
            with tifffile.TiffFile(work / "eval" / entry["ome_tiff"]) as heat:
                assert heat.is_ome
                assert heat.series[0].shape == (193, 256)
            annotations, groups = read_annotations(work / "eval" / entry["asap_xml"])
            title = content["methods"][name]["title"]
            assert f"{title}, highest tiles" in groups
            assert sum(one.group == f"{title}, highest tiles" for one in annotations) == 2
            with openslide.OpenSlide(work / "eval" / entry["tiff"]) as heat:
                assert heat.dimensions == (256, 193)
        assert len(json.loads((work / "eval" / slide["tiles_geojson"]).read_text())["features"]) == slide["tiles"]
        broken = sample["id"] == "test_16"
        assert ("not a slide that OpenSlide" in slide["missing"]) == broken
        for tile in (*slide["highest"], *slide["lowest"]):
            # of the slides of training and validation there are features only
            assert slide["missing"] or (work / "eval" / tile["image_png"]).is_file()


def test_explanations_are_measured(work):
    quality = json.loads((work / "eval" / "explanations" / "index.json").read_text())["bag_quality"]
    assert quality["slides"]["positive"] > 0
    assert quality["slides"]["negative"] > 0
    assert quality["positive"]["exact_shapley"]["instance_auc"]["value"] > 0.99
    assert quality["positive"]["exact_shapley"]["froc"]["value"] > 0.9
    assert "peak_ratio" in quality["negative"]["attention"]


def test_every_measure_of_every_method_is_there_or_says_why(work):
    content = read_interpretability(work / "eval" / "interpretability.json")
    assert content["resampled"]["by"] == "patient"
    assert (content["bundle"], content["unit"]) == ("camelyon_attmil", "slide")
    index = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    assert set(content["methods"]) == set(index["methods"]) - {"random"}
    assert {name for name, entry in content["methods"].items() if entry["control"]} == {"random_values", "untrained"}
    found = {(row["measure"], row["method"]): row for row in content["rows"] if "label" not in row}
    assert set(found) >= {(measure, name) for measure in (*BAG_MEASURES, "froc") for name in content["methods"]}
    assert found["instance_auc", "exact_shapley"]["value"] > 0.99
    assert found["cause_share", "exact_shapley"]["value"] > found["cause_share", "exact_shapley"]["chance"]
    assert found["completeness_error", "exact_shapley"]["value"] < 1e-6
    assert "one logit" in found["random_logit", "exact_shapley"]["reason"]
    assert found["froc", "exact_shapley"]["value"] == index["bag_quality"]["positive"]["exact_shapley"]["froc"]["value"]
    assert "not generated" in found["map_response", "exact_shapley"]["reason"]
    related = {row["of"]: row for row in content["rows"] if row["measure"] == "physical_correlation"}
    assert set(related) == {"tissue area (mm²)", "tumour area (mm²)"}


def test_watched_slides_come_first_and_similar_ones_stand_beside(work):
    content = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    watched = [sample["id"] for sample in content["samples"] if sample.get("watched")]
    assert [sample["id"] for sample in content["samples"]][: len(watched)] == watched
    assert sorted(name.split("_")[0] for name in watched) == ["validation", "validation"]
    for sample in content["samples"]:
        assert len(sample["similar"]) == 3
        assert all(case["id"].startswith("training") for case in sample["similar"])
        # by the tumour's feature, the only one that the network sees
        assert all(case["label"] == sample["prediction"] for case in sample["similar"])
        assert all((work / "eval" / case["image_png"]).is_file() for case in sample["similar"])


def test_files_say_which_data_and_weights_they_come_from(work):
    provenance = json.loads((work / "eval" / "explanations" / "index.json").read_text())["provenance"]
    for key, files in (("data", ["data/datalist.json"]), ("weights", ["models/model.pt", "models/calibration.json"])):
        assert [entry["sha256"] for entry in provenance[key]] == [sha256_file(work / file) for file in files]


def test_page_shows_all_of_it(work):
    page = (work / "eval" / "report.html").read_text(encoding="utf-8")
    for title in ("Explained slides", "Explanation quality", "All methods side by side"):
        assert f">{title}<" in page
    assert "Positive slides (n = " in page


def test_one_slide_without_a_label_is_explained(work, tmp_path):
    """As a site does that wants to see one case: its feature file is enough."""
    path = work / "data" / "features" / "test_17.h5"
    done = bundle("explaining", ["inference", "explain"], work, path, output_dir=tmp_path / "one", shown_tiles=2)
    assert f"explanations: {tmp_path / 'one' / 'explanations' / 'index.json'}: 1 explained" in done.stdout
    assert done.stdout.rstrip().endswith(f"report: {tmp_path / 'one' / 'report.html'}: written")
    # the parts after the slides' own bar
    for part in ("randomising", "measuring"):
        assert f"{part}: 100%" in done.stderr
    content = json.loads((tmp_path / "one" / "explanations" / "index.json").read_text())
    (sample,) = content["samples"]
    assert sample["label"] is None
    assert sample["slide"]["missing"] == "the datalist names no slide"
    assert sample["slide"]["mpp"] == 0.5
    assert content["bag_quality"] == {}
