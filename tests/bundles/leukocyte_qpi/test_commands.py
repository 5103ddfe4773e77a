"""The commands as a user types them: recordings to explanations, after a kill, on two processes, on bad input."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch

from tests.bundles.commands import TWO_PROCESSES, BundleCommands, folders, last_line, read, run
from tests.bundles.exported import assert_export_predicts_alike
from tests.bundles.packaged import assert_package_runs

FAST = {"max_epochs": 25, "patience": 25, "batch_size": 16, "learning_rate": 0.003, "saliency_interval": 25}

pytestmark = pytest.mark.slow
commands = BundleCommands("leukocyte_qpi")
command = commands.command


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small phantom, prepared by the command."""
    folder = tmp_path_factory.mktemp("data")
    phantom = {"phantom#donors": 4, "phantom#frames_per_recording": 2, "phantom#outlier_frames": 1}
    run(commands.prepare_phantom(folder, **phantom), folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder with a trained, calibrated and evaluated model; commands run outside the repository."""
    work = tmp_path_factory.mktemp("work")
    common = {"dataset_dir": data, **folders(work)}
    run(command("training", ["train"], **common, **FAST), work)
    run(command("calibrating", ["train", "calibrate"], **common), work)
    evaluate = command("evaluating", ["train", "evaluate"], **common, bootstrap_resamples=50)
    run([*evaluate, "--output_dir", str(work / "eval")], work, fresh=True)
    return work


def test_training_writes_tensors_only_and_a_log(trained):
    state = torch.load(trained / "models" / "model.pt", weights_only=True)
    assert "features.0.weight" in state
    assert torch.load(trained / "models" / "training_state.pt", weights_only=True)["epoch"] == FAST["max_epochs"]
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags: set[str] = set()
    for file in (trained / "logs").rglob("events*"):
        events = accumulator.EventAccumulator(str(file)).Reload().Tags()
        tags |= {*events["scalars"], *events["images"]}
    assert {"val_macro_f1", "val_calibration_error", "val_loss"} <= tags
    assert any("loss" in tag and "val" not in tag for tag in tags)


def test_calibration_belongs_to_the_weights(trained):
    content = read(trained, "models/calibration.json")
    temperature = content["temperature"]
    assert temperature["split"] == "validation"
    assert temperature["loss_after"] <= temperature["loss_before"]
    assert len(content["weights_sha256"]) == 64
    assert (trained / "models" / content["outlier"]["statistics"]).is_file()
    assert content["prepared_with"]["extraction"]["segmentation"]["threshold_rad"] == 0.25


def test_evaluation_files_agree_with_each_other(trained, data):
    metrics = read(trained, "eval/metrics.json")
    table = pd.read_csv(trained / "eval" / "predictions.csv", keep_default_na=False)
    inliers = table[table["label"] != ""]
    datalist = json.loads((data / "datalist.json").read_text())
    assert metrics["n"] == len(inliers) == len(datalist["test"])
    assert len(table) == len(datalist["test"]) + len(datalist["outlier"])
    accuracy = (inliers["label"] == inliers["prediction"]).mean()
    assert metrics["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)
    assert set(metrics["outliers"]) == {"thrombocyte", "aggregate", "defocused", "ruptured", "empty"}
    probabilities = table.filter(regex="^probability_").to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(table["confidence"], (4 * probabilities.max(axis=1) - 1) / 3, atol=1e-6)
    np.testing.assert_allclose(table.filter(regex="^logit_"), np.log(probabilities), rtol=1e-6)
    assert (trained / "eval" / "report.html").stat().st_size > 10_000
    assert {entry["file"].split("/")[-1] for entry in metrics["provenance"]["weights"]} == {
        "model.pt",
        "calibration.json",
    }


def test_inference_equals_evaluation(trained, data):
    """Labels, batch size and the other samples of a batch change nothing."""
    output = trained / "output"
    common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": output}
    run(command("inferring", ["inference"], **common, batch_size=7), trained)
    inferred = pd.read_csv(output / "predictions.csv", keep_default_na=False).set_index("id")
    assert "label" not in inferred.columns
    evaluated = (
        pd.read_csv(trained / "eval" / "predictions.csv", keep_default_na=False).set_index("id").loc[inferred.index]
    )
    columns = [name for name in inferred.columns if name.startswith("probability_")]
    np.testing.assert_allclose(inferred[columns], evaluated[columns], atol=1e-5)
    assert (inferred["decision"] == evaluated["decision"]).mean() > 0.98


def test_raw_recordings_are_inferred_and_broken_ones_recorded(trained, data):
    source, output = trained / "recordings", trained / "from_recordings"
    source.mkdir()
    good = sorted((data / "recordings").glob("*_Neu_*.phase"))[0]
    shutil.copy(good, source)
    (source / "D99_Neu_001.phase").write_bytes(good.read_bytes()[:5000])
    common = {"dataset_dir": source, "ckpt_dir": trained / "models", "output_dir": output}
    run(command("inferring", ["inference"], **common), trained)
    table = pd.read_csv(output / "predictions.csv")
    assert len(table) > 3
    assert table["id"].str.startswith(good.stem).all()
    excluded = (output / "excluded.csv").read_text()
    assert "D99_Neu_001.phase" in excluded


def test_an_export_predicts_alike(trained, data, bundle_scripts):
    bundle_scripts("leukocyte_qpi")
    assert_export_predicts_alike("leukocyte_qpi", trained, data)


def test_a_package_runs_elsewhere(trained, data, tmp_path):
    assert_package_runs("leukocyte_qpi", trained, data, tmp_path)


def test_explaining(trained, data):
    common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": trained / "eval"}
    fewer = {"samples_per_class": 1, "wrong_samples": 1, "measured_samples": 8, "explain#methods#lime#samples": 50}
    run(
        command("explaining", ["inference", "explain"], **common, **fewer),
        trained,
    )
    index = read(trained, "eval/explanations/index.json")
    methods = {"lime", "guided_backpropagation", "input_x_gradient", "smooth_grad", "integrated_gradients"}
    methods |= {"grad_cam_plus_plus", "smooth_grad_cam_plus_plus", "evet", "score_cam", "fimf_score_cam"}
    assert methods <= set(index["methods"])
    assert index["methods"]["lime"]["stability"]["n"] > 0
    sample = index["samples"][0]
    for entry in sample["methods"].values():
        assert nibabel.load(trained / "eval" / entry["nifti"]).shape == (50, 50, 1)
        assert (trained / "eval" / entry["overlay_png"]).read_bytes().startswith(b"\x89PNG")
    assert "Guided" in (trained / "eval" / "report.html").read_text()


def test_killed_training_resumes_to_the_same_model(data, tmp_path):
    """The process is killed in the middle of an epoch; what resumes must end where an undisturbed run ends."""
    settings = {"dataset_dir": data, "batch_size": 8, "patience": 12}
    commands.train_undisturbed_and_killed(tmp_path, **{**settings, "max_epochs": 12})


def test_two_processes(data, tmp_path):
    """``torchrun`` with two CPU processes trains, calibration follows, and two processes evaluate every sample once."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    common = {"dataset_dir": data, **folders(tmp_path)}
    run([*launcher, *command("training", ["train", "multi_gpu_train"], **common, **FAST)], tmp_path)
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    quick = {"bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, output_dir=alone, **quick), tmp_path)
    overlay = ["train", "evaluate", "multi_gpu_evaluate"]
    run([*TWO_PROCESSES, *command("evaluating", overlay, **common, output_dir=together, **quick)], tmp_path)
    tables = [pd.read_csv(folder / "predictions.csv", keep_default_na=False) for folder in (alone, together)]
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    columns = [name for name in tables[0].columns if name.startswith("probability_")]
    np.testing.assert_allclose(tables[0][columns], tables[1][columns], atol=1e-5)


def test_without_dropout_one_sample_is_drawn(data, tmp_path):
    common = {"dataset_dir": data, **folders(tmp_path), "dropout_rate": 0.0}
    run(command("training", ["train"], **common, **FAST), tmp_path)
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    assert read(tmp_path, "models/calibration.json")["monte_carlo"]["samples"] == 1


class TestBadInput:
    """The last line that is printed names the file or key, what was found and what to do."""

    def test_missing_datalist(self, tmp_path):
        line = last_line(command("training", ["train"], dataset_dir=tmp_path, **folders(tmp_path)), tmp_path)
        assert line.startswith("Error: ")
        assert "datalist.json" in line
        assert "prepare.py" in line

    def test_misspelt_setting(self, data, tmp_path):
        misspelt = {"dataset_dir": data, "lerning_rate": 0.1}
        line = last_line(command("training", ["train"], **misspelt, **folders(tmp_path)), tmp_path)
        assert line.startswith("Error: the setting 'lerning_rate' has no effect")
        assert line.endswith("did you mean 'learning_rate'?")

    def test_missing_calibration(self, trained, data, tmp_path):
        (tmp_path / "models").mkdir()
        shutil.copy(trained / "models" / "model.pt", tmp_path / "models")
        common = {"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path}
        line = last_line(command("inferring", ["inference"], **common), tmp_path)
        assert "calibration.json: no such file; run calibrating" in line

    def test_calibration_of_another_model(self, trained, data, tmp_path):
        shutil.copytree(trained / "models", tmp_path / "models")
        weights = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
        weights["head.6.bias"] += 1
        torch.save(weights, tmp_path / "models" / "model.pt")
        common = {"dataset_dir": data, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "out"}
        line = last_line(command("inferring", ["inference"], **common), tmp_path)
        assert "calibrated for weights with SHA-256" in line
        assert not (tmp_path / "out" / "predictions.csv").exists()

    def test_another_network(self, trained, data, tmp_path):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path}
        done = run(command("inferring", ["inference"], **common, network_name="AlexNet"), tmp_path, check=False)
        assert "these weights are not those of AlexNet" in done.stderr
        assert done.returncode != 0
