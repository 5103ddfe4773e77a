"""The commands as a user types them: slides to predictions, after a kill, on two processes, on bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import openslide
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image
from sklearn.metrics import log_loss, roc_auc_score

from tests.bundles.commands import (
    REPOSITORY,
    TWO_PROCESSES,
    BundleCommands,
    assert_equal_states,
    folders,
    last_line,
    options,
    read,
    run,
)
from tests.bundles.exported import assert_export_predicts_alike
from tests.bundles.packaged import assert_package_runs
from tests.oracles.asap import read_annotations
from tests.oracles.qupath import read_objects

# slides of 1.3 mm at 1 µm to a pixel
PHANTOM = {
    "phantom#slides": '{"normal": 9, "tumor": 9, "test": 6}',
    "phantom#kinds": '["micro"]',
    "phantom#size": "[1280, 1152]",
    "phantom#parameters": '{"lesions": {"micro": {"mean": 600, "std": 100, "low": 400, "high": 800}}}',
    "mpp": 1,
    "tile_size": 128,
    "readers": 0,
    "workers": 1,
}
NETWORK = {"embedding": 16, "attention_dimension": 8}
FAST = {**NETWORK, "max_epochs": 6, "learning_rate": 0.005}

pytestmark = pytest.mark.slow
commands = BundleCommands("camelyon_attmil")
command = commands.command


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Small phantom slides, prepared by the command."""
    folder = tmp_path_factory.mktemp("data")
    run(commands.prepare_phantom(folder, **PHANTOM), folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder with a trained, calibrated and evaluated model; commands run outside the repository."""
    work = tmp_path_factory.mktemp("work")
    common = {"dataset_dir": data, **folders(work), **NETWORK}
    run(command("training", ["train"], **{**common, **FAST}, picture_interval=5), work)
    run(command("calibrating", ["train", "calibrate"], **common), work)
    evaluate = command("evaluating", ["train", "evaluate"], **common, bootstrap_resamples=50)
    run([*evaluate, "--output_dir", str(work / "eval")], work, fresh=True)
    return work


def copied(data, folder, change):
    """Write a datalist with absolute paths to ``folder``, changed by a function; return the folder."""
    content = read(data, "datalist.json")
    for section in ("training", "validation", "test"):
        for record in content[section]:
            record["features"] = str(data / record["features"])
            for key in ("slide", "annotation"):
                record.pop(key, None)
    change(content)
    folder.mkdir(exist_ok=True)
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder


def test_a_checkpoint_knows_its_features(trained, data):
    """Encoder and its hash, and mean and spread of the training tiles, each slide counting alike."""
    state = torch.load(trained / "models" / "model.pt", weights_only=True)
    known = json.loads(bytes(state["feature_kind.record"].tolist()))
    bags = []
    for record in read(data, "datalist.json")["training"]:
        with h5py.File(data / record["features"]) as file:
            assert known["encoder_sha256"] == file.attrs["encoder_sha256"]
            assert (known["encoder"], known["tile_size"]) == (file.attrs["encoder"], 128)
            bags.append(file["features"][:].astype(np.float64))
    mean = np.mean([bag.mean(axis=0) for bag in bags], axis=0)
    square = np.mean([(bag**2).mean(axis=0) for bag in bags], axis=0)
    np.testing.assert_allclose(state["encoder.standardisation.centre"], mean, rtol=1e-4)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    varying = deviation > 1e-4
    assert varying.sum() > 100
    np.testing.assert_allclose(state["encoder.standardisation.scale"][varying], deviation[varying], rtol=1e-3)


def test_tensorboard_shows_losses_area_and_where_the_network_looks(trained):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags: set[str] = set()
    for file in (trained / "logs").rglob("events*"):
        found = accumulator.EventAccumulator(str(file)).Reload().Tags()
        tags |= {*found["scalars"], *found["images"]}
    assert {"train_loss", "val_loss", "val_auc", "instances"} <= tags


def test_the_model_is_the_one_of_the_lowest_validation_loss(trained, data, bundle_scripts):
    scripts = bundle_scripts("camelyon_attmil")
    network = scripts("networks").assemble("gated_attention", **NETWORK, standardise=True)
    network.load_state_dict(torch.load(trained / "models" / "model.pt", weights_only=True))
    network.eval()
    best = torch.load(trained / "models" / "training_state.pt", weights_only=True)["objects"]["best_model"]
    labels, probabilities = [], []
    for record in read(data, "datalist.json")["validation"]:
        with h5py.File(data / record["features"]) as file:
            features = torch.from_numpy(file["features"][:].astype(np.float32))
        with torch.no_grad():
            probabilities.append(float(network(features, torch.tensor([len(features)])).double().sigmoid()))
        labels.append(record["label"])
    assert best["best_value"] == pytest.approx(log_loss(labels, probabilities), rel=1e-4)


def test_evaluation_files_agree_with_each_other(trained, data):
    metrics = read(trained, "eval/metrics.json")
    table = pd.read_csv(trained / "eval" / "predictions.csv", keep_default_na=False)
    assert metrics["n"] == len(table) == len(read(data, "datalist.json")["test"])
    probability = table["probability_tumour"]
    np.testing.assert_allclose(table["probability_normal"] + probability, 1, atol=1e-6)
    expected = roc_auc_score(table["label"] == "tumour", probability)
    assert metrics["metrics"]["roc_auc"]["value"] == pytest.approx(expected)
    assert metrics["positive_class"] == "tumour"
    assert metrics["outliers"] == {}, "kinds of metastases are no outliers"
    assert (trained / "eval" / "report.html").stat().st_size > 10_000


def test_inference_equals_evaluation_on_a_prepared_set_on_features_and_on_slides(trained, data):
    """Neither labels nor the way to the features change anything; a slide that is cut off stops nothing."""
    common = {"ckpt_dir": trained / "models", **NETWORK}
    evaluated = pd.read_csv(trained / "eval" / "predictions.csv").set_index("id")
    slides, features = trained / "slides", trained / "features"
    slides.mkdir()
    features.mkdir()
    for name in evaluated.index:
        shutil.copy(data / "features" / f"{name}.h5", features)
    for name in evaluated.index[:2]:
        (slides / f"{name}.tif").symlink_to(data / "slides" / "testing" / "images" / f"{name}.tif")
    whole = (data / "slides" / "testing" / "images" / f"{evaluated.index[2]}.tif").read_bytes()
    (slides / "cut.tif").write_bytes(whole[: len(whole) // 3])
    (features / "cut.h5").write_bytes((features / f"{evaluated.index[0]}.h5").read_bytes()[:5000])
    expected = {"prepared": (data, len(evaluated)), "features": (features, len(evaluated)), "slides": (slides, 2)}
    for name, (source, number) in expected.items():
        output = trained / f"of_{name}"
        # the settings of prepare.json are others: those of the calibrated data are taken
        options = {"dataset_dir": source, "output_dir": output, "prepare_overrides#readers": 0}
        run(command("inferring", ["inference"], **common, **options), trained)
        inferred = pd.read_csv(output / "predictions.csv", keep_default_na=False).set_index("id")
        assert "label" not in inferred.columns
        assert len(inferred) == number
        column = "probability_tumour"
        np.testing.assert_allclose(inferred[column], evaluated.loc[inferred.index, column], atol=2e-4, err_msg=name)
        left_out = pd.read_csv(output / "excluded.csv")["item"].tolist()
        assert left_out == ([] if name == "prepared" else ["cut"])


def test_the_real_slide_from_preparing_to_explanations(trained, real_slide, tmp_path):
    """A scanner's own file, judged by a network that knows phantoms only: all files lie where they should on it."""
    source, output = tmp_path / "source", tmp_path / "eval"
    source.mkdir()
    (source / "slides.csv").write_text(f"slide,label,part\n{real_slide},normal,test\n")
    script = [str(REPOSITORY / "scripts" / "prepare.py"), "camelyon_attmil", "--source", str(source)]
    settings = {"output": tmp_path / "data", "mpp": 1, "tile_size": 128, "readers": 0}
    run([*script, *options(settings)], tmp_path)
    common = {"ckpt_dir": trained / "models", **NETWORK}
    said = []
    for name, given in (("prepared", tmp_path / "data"), ("slide", real_slide)):
        given_options = {"dataset_dir": given, "output_dir": tmp_path / name, "prepare_overrides#readers": 0}
        run(command("inferring", ["inference"], **common, **given_options), tmp_path)
        said.append(pd.read_csv(tmp_path / name / "predictions.csv", keep_default_na=False))
    assert said[0]["id"].tolist() == said[1]["id"].tolist() == ["CMU-1-Small-Region"]
    assert said[0]["probability_tumour"].item() == pytest.approx(said[1]["probability_tumour"].item(), abs=1e-6)
    explained = {"dataset_dir": tmp_path / "data", "output_dir": output, "shown_tiles": 2}
    run(command("explaining", ["inference", "explain"], **common, **explained), tmp_path)
    (sample,) = read(output, "explanations/index.json")["samples"]
    entry, slide = sample["methods"]["exact_shapley"], sample["slide"]
    assert (slide["missing"], slide["size_px"]) == ("", [2220, 2967])
    table = pd.read_csv(output / slide["instances_csv"])
    with openslide.OpenSlide(real_slide) as real, openslide.OpenSlide(output / entry["tiff"]) as colours:
        mpp = float(real.properties["openslide.mpp-x"])
        step = float(colours.properties["openslide.mpp-x"])
        with tifffile.TiffFile(output / entry["ome_tiff"]) as file:
            values = file.series[0].asarray()
            assert file.is_ome
            assert f'PhysicalSizeX="{step:.4f}'[:-1] in file.ome_metadata
        assert colours.dimensions == values.shape[::-1]
        for found, length in zip(colours.dimensions, real.dimensions, strict=True):
            assert 0 <= found * step - length * mpp < step * 1.001
        for row in table.to_dict("records"):
            middle = [int((row[axis] + row["tile_size"] / 2) * mpp / step) for axis in "yx"]
            assert values[tuple(middle)] == pytest.approx(row["exact_shapley"], rel=1e-5)
        # the gallery shows the slide's own pixels, and the view the whole of it
        for tile in (*slide["highest"], *slide["lowest"]):
            side = round(table["tile_size"][0])
            region = real.read_region((tile["x"], tile["y"]), 0, (side, side)).convert("RGB").resize((128, 128))
            picture = np.asarray(Image.open(output / tile["image_png"]).convert("RGB"), dtype=float)
            assert np.abs(picture - np.asarray(region)).mean() < 8
        view = Image.open(output / slide["view"]["image_png"]).convert("RGB")
        whole = np.asarray(real.get_thumbnail(real.dimensions).convert("RGB").resize(view.size), dtype=float)
        assert np.abs(whole - np.asarray(view)).mean() < 8
    objects, _ = read_objects((output / slide["tiles_geojson"]).read_text(encoding="utf-8"))
    assert {one.roi.bounds[:2] for one in objects} == set(zip(table["x"], table["y"], strict=True))
    annotations, groups = read_annotations(output / entry["asap_xml"])
    assert {one.group for one in annotations} == set(groups)
    corners = np.array([corner for one in annotations for corner in one.coordinates])
    assert corners.min() >= 0
    assert (corners.max(axis=0) <= slide["size_px"]).all()


def test_an_export_predicts_alike(trained, data, bundle_scripts):
    bundle_scripts("camelyon_attmil")
    assert_export_predicts_alike("camelyon_attmil", trained, data, **NETWORK)


def test_a_package_runs_elsewhere(trained, data, tmp_path):
    assert_package_runs("camelyon_attmil", trained, data, tmp_path, **NETWORK)


def test_killed_training_resumes_to_the_same_model(data, tmp_path):
    """The process is killed in the middle of an epoch; what resumes must end where an undisturbed run ends."""
    settings = {**FAST, "dataset_dir": data, "tiles_per_step": 20}
    whole, cut = commands.train_undisturbed_and_killed(tmp_path, **{**settings, "max_epochs": 30})
    assert_equal_states(cut, whole)


@pytest.mark.parametrize("network_name", ["mean_embedding", "max_instance"])
def test_other_networks_go_through_all_stations(data, tmp_path, network_name):
    common = {"dataset_dir": data, **folders(tmp_path), **NETWORK, "network_name": network_name}
    run(command("training", ["train"], **{**common, **FAST, "max_epochs": 2}, picture_interval=1), tmp_path)
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    quick = {"output_dir": tmp_path / "eval", "bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, **quick), tmp_path)
    assert len(pd.read_csv(tmp_path / "eval" / "predictions.csv")) == 6


def test_the_context_of_a_slide_goes_from_training_to_another_program(data, tmp_path, bundle_scripts):
    bundle_scripts("camelyon_attmil")
    network = {**NETWORK, "network_name": "attention_maximum", "slide_context": True}
    common = {"dataset_dir": data, **folders(tmp_path), **network}
    run(command("training", ["train"], **{**common, **FAST, "max_epochs": 2, "tiles_per_step": 20}), tmp_path)
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    quick = {"output_dir": tmp_path / "eval", "bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, **quick), tmp_path)
    assert_export_predicts_alike("camelyon_attmil", tmp_path, data, **network)


def test_two_processes(data, tmp_path):
    """Two CPU processes, as ``torchrun`` starts them, train, and two processes evaluate every slide once."""
    common = {"dataset_dir": data, **folders(tmp_path), **NETWORK}
    training = {**common, **FAST, "max_epochs": 3}
    run([*TWO_PROCESSES, *command("training", ["train", "multi_gpu_train"], **training)], tmp_path)
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    quick = {"bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, output_dir=alone, **quick), tmp_path)
    overlay = ["train", "evaluate", "multi_gpu_evaluate"]
    run([*TWO_PROCESSES, *command("evaluating", overlay, **common, output_dir=together, **quick)], tmp_path)
    tables = [pd.read_csv(folder / "predictions.csv", keep_default_na=False) for folder in (alone, together)]
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    np.testing.assert_allclose(tables[0]["probability_tumour"], tables[1]["probability_tumour"], atol=1e-5)


class TestBadInput:
    """The last line that is printed names the file or key, what was found and what to do."""

    def test_features_that_are_not_numbers(self, data, tmp_path):
        def spoil(content):
            record = content["training"][1]
            file = shutil.copy(record["features"], tmp_path / "spoilt.h5")
            with h5py.File(file, "a") as opened:
                opened["features"][2, 3] = np.nan
            record["features"] = str(file)

        folder = copied(data, tmp_path / "data", spoil)
        line = last_line(command("training", ["train"], dataset_dir=folder, **folders(tmp_path)), tmp_path)
        assert "spoilt.h5: the features of 1 of" in line
        assert "tile 2; extract them again" in line

    def test_features_of_another_encoder(self, trained, data, tmp_path):
        def change(content):
            for record in content["test"][:2]:
                file = shutil.copy(record["features"], tmp_path / Path(record["features"]).name)
                with h5py.File(file, "a") as opened:
                    opened.attrs["encoder"] = "another one"
                record["features"] = str(file)

        folder = copied(data, tmp_path / "data", change)
        common = {"dataset_dir": folder, "ckpt_dir": trained / "models", **NETWORK}
        line = last_line(command("evaluating", ["train", "evaluate"], **common, output_dir=tmp_path), tmp_path)
        assert "features of another kind than those that the network was trained on (encoder monai" in line
        assert "ResNet(block='basic', layers=[1, 1, 1, 1]" in line
        run(command("inferring", ["inference"], **common, output_dir=tmp_path / "out"), tmp_path)
        left_out = pd.read_csv(tmp_path / "out" / "excluded.csv")
        assert left_out["item"].tolist() == [record["id"] for record in read(folder, "datalist.json")["test"][:2]]
        assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) == 4

    def test_slides_of_another_encoder_are_refused_before_they_are_read(self, trained, data, tmp_path):
        options = {"ckpt_dir": trained / "models", **NETWORK, "dataset_dir": data / "slides", "output_dir": tmp_path}
        arguments = command("inferring", ["inference"], **options, **{"prepare_overrides#seed": 5})
        line = last_line(arguments, tmp_path)
        assert "encoder_sha256" in line
        assert "--prepare_overrides#weights FILE" in line
        assert not (tmp_path / "features").exists()

    def test_another_width(self, data, tmp_path):
        settings = {**FAST, "dataset_dir": data, **folders(tmp_path), "in_features": 64}
        line = last_line(command("training", ["train"], **settings), tmp_path)
        assert "128 features per tile, the network takes 64; give every command --in_features 128" in line

    @pytest.mark.parametrize(
        ("key", "value", "found"),
        [("embedding", 32, "embedding is 16"), ("network_name", "attention", "network_name is 'gated_attention'")],
    )
    def test_another_network(self, trained, data, tmp_path, key, value, found):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path}
        line = last_line(command("inferring", ["inference"], **{**common, **NETWORK, key: value}), tmp_path)
        assert f"model.pt: {found} in the weights, expected {value!r}" in line

    def test_one_class_only(self, data, tmp_path):
        def keep_normal(content):
            content["training"] = [record for record in content["training"] if record["label"] == 0]

        folder = copied(data, tmp_path / "data", keep_normal)
        line = last_line(command("training", ["train"], dataset_dir=folder, **folders(tmp_path)), tmp_path)
        assert "training needs normal and tumour slides, found 0 with tumour of" in line

    def test_nothing_to_infer_on(self, trained, tmp_path):
        (tmp_path / "empty").mkdir()
        common = {"ckpt_dir": trained / "models", **NETWORK, "output_dir": tmp_path / "out"}
        line = last_line(command("inferring", ["inference"], **common, dataset_dir=tmp_path / "empty"), tmp_path)
        assert "empty: found neither datalist.json nor feature files (.h5) nor slides" in line
        line = last_line(command("inferring", ["inference"], **common, dataset_dir=tmp_path / "gone"), tmp_path)
        assert "gone: found nothing, expected datalist.json, feature files" in line
