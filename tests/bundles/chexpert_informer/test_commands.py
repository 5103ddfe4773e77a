"""The commands as a user types them: prepared films to explanations, after a kill, on two processes, on bad input."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from PIL import Image
from scipy.special import expit

from tests.bundles.chexpert_informer.conftest import build_dicom
from tests.bundles.commands import TWO_PROCESSES, BundleCommands, folders, last_line, read, run
from tests.bundles.exported import assert_export_predicts_alike
from tests.bundles.packaged import assert_package_runs

CLASSES = ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
# as small as a network can be that still goes every way of the default one
NETWORK = {"image_size": 48, "init_features": 4, "growth_rate": 4, "block_config": [1, 1]}
FAST = {**NETWORK, "max_epochs": 2, "learning_rate": 0.003, "saliency_interval": 2}
DRAWS = {"doubts#augmentation_draws#draws": 2, "doubts#dropout_draws#draws": 4}

pytestmark = pytest.mark.slow
commands = BundleCommands("chexpert_informer")
command = commands.command


def absolute_datalist(data):
    """The datalist of a folder, to be written elsewhere."""
    content = read(data, "datalist.json")
    for section in ("training", "validation", "test"):
        for record in content[section]:
            record |= {key: str((data / record[key]).resolve()) for key in ("image", "truth") if key in record}
    return content


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small phantom, prepared by the command; its films are not square on the network's grid."""
    folder = tmp_path_factory.mktemp("data")
    phantom = {"phantom#image_size": 64, "phantom#patients": '{"train": 40, "valid": 40, "test": 30}'}
    run(commands.prepare_phantom(folder, **phantom), folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder with a trained, calibrated and evaluated model; commands run outside the repository."""
    work = tmp_path_factory.mktemp("work")
    common = {"dataset_dir": data, **folders(work)}
    run(command("training", ["train"], **common, **FAST), work)
    run(command("calibrating", ["train", "calibrate"], **common, **NETWORK, **DRAWS), work)
    evaluate = command("evaluating", ["train", "evaluate"], **common, **NETWORK, **DRAWS, bootstrap_resamples=50)
    run([*evaluate, "--output_dir", str(work / "eval")], work, fresh=True)
    return work


def test_training_writes_tensors_only_and_a_log(trained):
    assert "features.conv0.weight" in torch.load(trained / "models" / "model.pt", weights_only=True)
    assert torch.load(trained / "models" / "training_state.pt", weights_only=True)["epoch"] == FAST["max_epochs"]
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags: set[str] = set()
    for file in (trained / "logs").rglob("events*"):
        events = accumulator.EventAccumulator(str(file)).Reload().Tags()
        tags |= {*events["scalars"], *events["images"]}
    assert {"val_loss", "val_mean_auc", "val_auc_edema", "train_loss", "input_x_gradient"} <= tags


def test_calibration_belongs_to_the_weights_and_says_what_it_was_fitted_on(trained, data):
    content = read(trained, "models/calibration.json")
    assert len(content["weights_sha256"]) == 64
    assert content["split"] == "validation"
    assert content["n"] == len(read(data, "datalist.json")["validation"])
    assert list(content["label_calibration"]["labels"]) == CLASSES
    alarms = set(content["alarms"])
    assert {"no_alarm", "random", "moved_threshold", "entropy", "test_time_augmentation"} <= alarms
    assert {"monte_carlo_dropout", "informer_lrp", "informer_input_x_gradient", "pair_classifier_lrp"} <= alarms
    assert content["alarm"] == {"name": "informer_lrp", "action": "defer", "method": "lrp"}
    assert content["prepared_with"]["selection"]["uncertain"] == "mask"


def test_evaluation_files_agree_with_each_other(trained, data):
    metrics, calibration = read(trained, "eval/metrics.json"), read(trained, "models/calibration.json")
    table = pd.read_csv(trained / "eval" / "predictions.csv")
    assert metrics["n"] == len(table) == len(read(data, "datalist.json")["test"])
    with np.load(trained / "eval" / "doubts.npz") as doubts:
        distances = doubts["distances_lrp"]
    for index, name in enumerate(CLASSES):
        fitted = calibration["label_calibration"]["labels"][name]
        probability = expit(fitted["slope"] * table[f"logit_{name}"] + fitted["intercept"])
        np.testing.assert_allclose(table[f"probability_{name}"], probability, rtol=1e-6)
        called = (probability > fitted["threshold"]).astype(int)
        np.testing.assert_array_equal(table[f"prediction_{name}"], called)
        total = np.nansum(np.delete(distances[:, index], index, axis=1), axis=1)
        known = table[f"distinctiveness_{name}"].notna()
        np.testing.assert_allclose(table.loc[known, f"distinctiveness_{name}"], total[known], rtol=1e-6)
        hits = ((called == 1) & (table[f"label_{name}"] == 1)).sum()
        expected = 2 * hits / max((table[f"label_{name}"] == 1).sum() + called.sum(), 1)
        if (table[f"label_{name}"] == 1).any():
            assert metrics["metrics"][f"f1_{name}"]["value"] == pytest.approx(expected)
            assert metrics["alarms"]["alarms"]["no_alarm"]["swapping"]["f1"][name]["value"] == pytest.approx(expected)
    assert set(metrics["alarms"]["alarms"]) == set(calibration["alarms"])
    assert {path.name for path in (trained / "eval" / "alarms").iterdir()} == {
        "metrics.csv", "differences.csv", "bootstrapped_sets.csv", "risk_coverage.csv",
    }  # fmt: skip
    page = (trained / "eval" / "report.html").read_text()
    assert "INFORMER, LRP" in page
    assert "Not the bundle's own network" in page


def test_inference_equals_evaluation_and_computes_less(trained, data):
    """Labels, batch size and the other images of a batch change nothing."""
    output = trained / "output"
    common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": output, **NETWORK, "batch_size": 7}
    run(command("inferring", ["inference"], **common), trained)
    inferred = pd.read_csv(output / "predictions.csv").set_index("id")
    assert "label_edema" not in inferred.columns
    evaluated = pd.read_csv(trained / "eval" / "predictions.csv").set_index("id").loc[inferred.index]
    for prefix in ("probability", "distinctiveness"):
        columns = [f"{prefix}_{name}" for name in CLASSES]
        np.testing.assert_allclose(inferred[columns], evaluated[columns], atol=1e-3)
    assert inferred["reason_edema"].str.match(r"(present|absent): probability").all()


def test_plain_pictures_are_inferred_and_broken_ones_recorded(trained, data):
    source, output = trained / "pictures", trained / "from_pictures"
    (source / "ward").mkdir(parents=True)
    good = sorted((data / "chests").rglob("view1_frontal.jpg"))[:2]
    shutil.copy(good[0], source / "first.jpg")
    Image.open(good[1]).resize((90, 50)).save(source / "ward" / "second.png")
    (source / "cut.jpg").write_bytes(good[0].read_bytes()[:200])
    Image.new("L", (64, 64), 7).save(source / "constant.png")
    common = {"dataset_dir": source, "ckpt_dir": trained / "models", "output_dir": output, **NETWORK}
    run(command("inferring", ["inference"], **common), trained)
    assert pd.read_csv(output / "predictions.csv")["id"].tolist() == ["first.jpg", "ward/second.png"]
    excluded = pd.read_csv(output / "excluded.csv").set_index("source")["reason"]
    assert "cut short" in excluded["cut.jpg"]
    assert "constant" in excluded["constant.png"]


def test_an_export_predicts_alike(trained, data, bundle_scripts):
    bundle_scripts("chexpert_informer")
    assert_export_predicts_alike("chexpert_informer", trained, data, **NETWORK)


def test_a_package_runs_elsewhere(trained, data, tmp_path):
    assert_package_runs("chexpert_informer", trained, data, tmp_path, **NETWORK)


def test_explaining(trained, data):
    common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": trained / "eval", **NETWORK}
    fewer = {"samples_per_finding": 1, "wrong_samples": 1, "flagged_samples": 1, "measured_samples": 8}
    run(command("explaining", ["inference", "explain"], **common, **fewer), trained)
    index = read(trained, "eval/explanations/index.json")
    methods = {"lrp", "input_x_gradient", "guided_backpropagation", "grad_cam", "random_map", "edge_map"}
    assert methods <= set(index["methods"])
    assert "localisation_lead" in index["methods"]["lrp"]["quality"]
    sample = index["samples"][0]
    for entry in sample["methods"].values():
        assert nibabel.load(trained / "eval" / entry["nifti"]).shape == (64, 64, 1), "the grid of the film"
        assert (trained / "eval" / entry["overlay_png"]).read_bytes().startswith(b"\x89PNG")
    assert "Guided" in (trained / "eval" / "report.html").read_text()


def test_results_go_back_as_dicom(trained, data):
    pytest.importorskip("highdicom", reason="not installed: pip install 'monai-explainable-bundles[dicom]'")
    source, output = trained / "dicom_films", trained / "from_dicom"
    source.mkdir()
    for number, record in enumerate(read(data, "datalist.json")["test"][:3]):
        pixels = np.asarray(Image.open(data / record["image"])).astype(np.uint16) * 16
        uids = {name: f"1.2.3.{number}.{place}" for place, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID"))}
        content = build_dicom(pixels, patient=f"P{number}", **uids)
        pydicom.dcmwrite(source / f"film{number}.dcm", content, enforce_file_format=True)
    common = {"dataset_dir": source, "ckpt_dir": trained / "models", "output_dir": output, **NETWORK}
    run(command("inferring", ["inference", "dicom"], **common, dicom_overlays="all"), trained)
    index = pd.read_csv(output / "dicom" / "index.csv", keep_default_na=False)
    assert index["overlays"].tolist() == [len(CLASSES)] * 3
    assert set(index["reason"]) == {""}
    predicted = pd.read_csv(output / "predictions.csv").set_index("id")
    for name, folder in zip(index["id"], index["folder"], strict=True):
        report = pydicom.dcmread(output / "dicom" / folder / "report.dcm")
        texts = {str(element.value) for element in report.iterall() if element.keyword == "TextValue"}
        assert set(predicted.loc[name, [f"reason_{finding}" for finding in CLASSES]]) <= texts
        assert report.PatientID == f"P{name[-1]}"


def test_killed_training_resumes_to_the_same_model(data, tmp_path):
    """The process is killed in the middle of an epoch; what resumes must end where an undisturbed run ends."""
    settings = {"dataset_dir": data, **FAST, "saliency_interval": 6}
    commands.train_undisturbed_and_killed(tmp_path, **{**settings, "max_epochs": 6})


def test_two_processes(data, tmp_path):
    """Two CPU processes as of ``torchrun`` train, calibration follows, and two processes evaluate every image once."""
    common = {"dataset_dir": data, **folders(tmp_path)}
    run([*TWO_PROCESSES, *command("training", ["train", "multi_gpu_train"], **common, **FAST)], tmp_path)
    common |= {**NETWORK, **DRAWS}
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    quick = {"bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, output_dir=alone, **quick), tmp_path)
    configs = ["train", "evaluate", "multi_gpu_evaluate"]
    run([*TWO_PROCESSES, *command("evaluating", configs, **common, output_dir=together, **quick)], tmp_path)
    tables = [pd.read_csv(folder / "predictions.csv") for folder in (alone, together)]
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    columns = [f"probability_{name}" for name in CLASSES]
    np.testing.assert_allclose(tables[0][columns], tables[1][columns], atol=1e-5)


class TestBadInput:
    """The last line that is printed names the file or key, what was found and what to do."""

    def test_missing_datalist(self, tmp_path):
        line = last_line(command("training", ["train"], dataset_dir=tmp_path, **folders(tmp_path)), tmp_path)
        assert line.startswith("Error: ")
        assert "datalist.json" in line

    def test_weights_of_something_else(self, data, tmp_path):
        torch.save({"layer1.weight": torch.zeros(2)}, tmp_path / "resnet.pt")
        common = {"dataset_dir": data, **FAST, **folders(tmp_path), "pretrained": tmp_path / "resnet.pt"}
        line = last_line(command("training", ["train"], **common), tmp_path)
        assert "0 keys that end in features.conv0.weight among 1: layer1.weight" in line

    def test_missing_image(self, data, tmp_path):
        content = read(data, "datalist.json")
        content["training"][0]["image"] = "nowhere.png"
        (tmp_path / "datalist.json").write_text(json.dumps(content))
        common = {"dataset_dir": tmp_path, **FAST, **folders(tmp_path)}
        assert "nowhere.png" in run(command("training", ["train"], **common), tmp_path, check=False).stderr

    def test_a_label_that_is_none(self, data, tmp_path):
        absolute = absolute_datalist(data)
        absolute["validation"][3]["label"] = [0, 2, 0, 0, 1]
        (tmp_path / "datalist.json").write_text(json.dumps(absolute))
        line = last_line(command("training", ["train"], dataset_dir=tmp_path, **FAST, **folders(tmp_path)), tmp_path)
        assert "has label [0, 2, 0, 0, 1], expected 1, 0 or null of each of atelectasis" in line
        assert absolute["validation"][3]["id"] in line

    def test_a_constant_image(self, data, tmp_path):
        absolute = absolute_datalist(data)
        Image.new("L", (64, 64), 7).save(tmp_path / "flat.png")
        absolute["training"][0]["image"] = str(tmp_path / "flat.png")
        (tmp_path / "datalist.json").write_text(json.dumps(absolute))
        arguments = command("training", ["train"], dataset_dir=tmp_path, **FAST, **folders(tmp_path))
        line = last_line(arguments, tmp_path)
        assert "flat.png: image is constant (every value is 7.0)" in line
        assert line.endswith("leave the image out, or export it anew")

    def test_dicom_without_pixel_data(self, trained, write_dicom, tmp_path):
        source, output = tmp_path / "ward", tmp_path / "out"
        write_dicom(source / "report.dcm", PixelData=None)
        common = {"dataset_dir": source, "ckpt_dir": trained / "models", "output_dir": output, **NETWORK}
        line = last_line(command("inferring", ["inference"], **common), tmp_path)
        assert "no image to infer on; 1 item(s) left out" in line
        assert "report.dcm: DICOM without pixel data (DX); expected an image, not a report" in line
        write_dicom(source / "film.dcm")
        run(command("inferring", ["inference"], **common), tmp_path)
        assert pd.read_csv(output / "predictions.csv")["id"].tolist() == ["film"]
        assert pd.read_csv(output / "excluded.csv")["source"].tolist() == ["report.dcm"]

    def test_a_finding_that_no_validation_image_has(self, data, tmp_path):
        absolute = absolute_datalist(data)
        for record in absolute["validation"]:
            record["label"][CLASSES.index("edema")] = 0
        (tmp_path / "datalist.json").write_text(json.dumps(absolute))
        common = {"dataset_dir": tmp_path, **folders(tmp_path)}
        done = run(command("training", ["train"], **common, **FAST), tmp_path)
        assert "edema: present in all or in none of the 40 labelled images" in done.stderr + done.stdout
        done = run(command("calibrating", ["train", "calibrate"], **common, **NETWORK, **DRAWS), tmp_path)
        assert "edema is not calibrated, its threshold is 0.5: all 40 labels are class 0" in done.stderr + done.stdout
        content = read(tmp_path, "models/calibration.json")
        assert "none of 40 known samples is positive" in content["alarms"]["informer_lrp"]["not_fitted"]["edema"]
        assert content["alarms"]["informer_lrp"]["thresholds"]["edema"] == "never"

    def test_another_network(self, trained, data, tmp_path):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path, "image_size": 48}
        done = run(command("inferring", ["inference"], **common), tmp_path, check=False)
        assert "these weights are not those of ChestNetwork" in done.stderr
        assert done.returncode != 0

    def test_another_image_size(self, trained, data, tmp_path):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path}
        common |= {**NETWORK, "image_size": 40}
        line = last_line(command("inferring", ["inference"], **common), tmp_path)
        assert "fitted for image_size 48, but used with 40" in line
