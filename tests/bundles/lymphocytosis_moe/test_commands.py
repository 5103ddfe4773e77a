"""The commands as a user types them: prepared smears to predictions, after a kill, on two processes, on bad input."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.bundles.commands import TWO_PROCESSES, BundleCommands, assert_equal_states, folders, last_line, read, run
from tests.bundles.exported import assert_export_predicts_alike
from tests.bundles.packaged import assert_package_runs

# as small as a training can be that still learns something: the phantom's cells are then 0.6 µm to a pixel
NETWORK = {"image_size": 32, "width": 4}
FAST = {**NETWORK, "max_epochs": 10, "batch_size": 4, "learning_rate": 0.003}
EXPERTS = ["expert_probability_image", "expert_probability_attributes"]

pytestmark = pytest.mark.slow
commands = BundleCommands("lymphocytosis_moe")
command = commands.command


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small phantom, prepared by the command."""
    folder = tmp_path_factory.mktemp("data")
    bags = '{"mean": 8, "std": 3, "low": 5, "high": 14}'
    phantom = {"phantom#patients": 40, "phantom#image_size": 32, "phantom#bag_size": bags}
    run(commands.prepare_phantom(folder, **phantom), folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder with a trained, calibrated and evaluated model; commands run outside the repository."""
    work = tmp_path_factory.mktemp("work")
    common = {"dataset_dir": data, **folders(work), **NETWORK}
    run(command("training", ["train"], **{**common, **FAST}), work)
    run(command("calibrating", ["train", "calibrate"], **common), work)
    evaluate = command("evaluating", ["train", "evaluate"], **common, bootstrap_resamples=50)
    run([*evaluate, "--output_dir", str(work / "eval")], work, fresh=True)
    return work


def test_a_checkpoint_says_by_itself_how_its_input_is_read(trained, data):
    state = torch.load(trained / "models" / "model.pt", weights_only=True)
    training = read(data, "datalist.json")["training"]
    ages = np.array([record["age"] for record in training])
    counts = np.log([record["lymphocyte_count"] for record in training])
    centre = state["attribute_expert.standardisation.centre"]
    np.testing.assert_allclose(centre, [ages.mean(), counts.mean()], rtol=1e-5)
    np.testing.assert_allclose(state["attribute_expert.standardisation.scale"], [ages.std(), counts.std()], rtol=1e-5)
    assert 0.3 < float(state["image_expert.encoder.encoder.centring.mean_image"].mean()) < 1


def test_calibration_records_how_its_data_were_read(trained):
    recorded = read(trained, "models/calibration.json")["prepared_with"]
    assert recorded["clinical"]["attributes"]["reference_date"] == "2020-01-01"
    assert recorded["check"]["minimum_images"] == 5


def test_tensorboard_shows_both_experts_the_gate_and_explained_cells(trained):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags: set[str] = set()
    for file in (trained / "logs").rglob("events*"):
        found = accumulator.EventAccumulator(str(file)).Reload().Tags()
        tags |= {*found["scalars"], *found["images"]}
    assert "guided_backpropagation_x_input" in tags
    for part in ("train", "val"):
        assert {f"{part}_loss", f"{part}_loss_image_expert", f"{part}_loss_attribute_expert", f"{part}_gate"} <= tags
    assert "val_auc" in tags


def test_the_model_is_the_one_of_the_lowest_validation_loss(trained):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    losses = {}
    for file in (trained / "logs").rglob("events*"):
        events = accumulator.EventAccumulator(str(file)).Reload()
        if "val_loss" in events.Tags()["scalars"]:
            losses |= {event.step: event.value for event in events.Scalars("val_loss")}
    best = torch.load(trained / "models" / "training_state.pt", weights_only=True)["objects"]["best_model"]
    assert len(losses) == FAST["max_epochs"]
    assert best["best_value"] == pytest.approx(min(losses.values()), rel=1e-5)


def test_evaluation_files_agree_with_each_other(trained, data):
    metrics = read(trained, "eval/metrics.json")
    table = pd.read_csv(trained / "eval" / "predictions.csv", keep_default_na=False)
    assert metrics["n"] == len(table) == len(read(data, "datalist.json")["test"])
    probability = table["probability_tumoral"]
    np.testing.assert_allclose(table["probability_reactive"] + probability, 1, atol=1e-6)
    expected = roc_auc_score(table["label"] == "tumoral", probability)
    assert metrics["metrics"]["roc_auc"]["value"] == pytest.approx(expected)
    assert metrics["positive_class"] == "tumoral"


def test_experts_and_gate_make_the_probability_of_the_mixture(trained):
    """The temperature divides the mixture's logit, and that logit is the mixture's of the three columns."""
    table = pd.read_csv(trained / "eval" / "predictions.csv")
    temperature = read(trained, "models/calibration.json")["temperature"]["value"]
    weights = np.stack([table["gate"], 1 - table["gate"]], axis=1)
    mixed = (weights * table[EXPERTS]).sum(axis=1)
    logit = np.log(mixed) - np.log1p(-mixed)
    np.testing.assert_allclose(table["probability_tumoral"], 1 / (1 + np.exp(-logit / temperature)), rtol=1e-4)


def test_inference_equals_evaluation_on_a_prepared_set_and_on_the_source(trained, data):
    """Neither labels nor the other patients of a batch nor the way to the images change anything."""
    common = {"ckpt_dir": trained / "models", **NETWORK}
    evaluated = pd.read_csv(trained / "eval" / "predictions.csv").set_index("id")
    for name, source in (("prepared", data), ("source", data / "smears")):
        output = trained / name
        run(command("inferring", ["inference"], **common, dataset_dir=source, output_dir=output), trained)
        inferred = pd.read_csv(output / "predictions.csv", keep_default_na=False).set_index("id")
        assert "label" not in inferred.columns
        assert len(inferred) == (len(evaluated) if name == "prepared" else 40)
        columns = [*EXPERTS, "gate", "probability_tumoral"]
        np.testing.assert_allclose(inferred.loc[evaluated.index, columns], evaluated[columns], atol=1e-5)


def test_an_export_predicts_alike(trained, data, bundle_scripts):
    bundle_scripts("lymphocytosis_moe")
    assert_export_predicts_alike("lymphocytosis_moe", trained, data, **NETWORK)


def test_a_package_runs_elsewhere(trained, data, tmp_path):
    assert_package_runs("lymphocytosis_moe", trained, data, tmp_path, **NETWORK)


def test_killed_training_resumes_to_the_same_model(data, tmp_path):
    """The process is killed in the middle of an epoch; what resumes must end where an undisturbed run ends."""
    settings = {**FAST, "dataset_dir": data}
    whole, cut = commands.train_undisturbed_and_killed(tmp_path, **{**settings, "max_epochs": 12})
    assert_equal_states(cut, whole)


def test_paradigm_p2_trains_the_gate_of_experts_that_were_trained_alone(data, tmp_path):
    experts, mixture = tmp_path / "experts", tmp_path / "mixture"
    settings = {**FAST, "dataset_dir": data, "max_epochs": 3}
    run(command("training", ["train"], **settings, **folders(experts), network_name="AveragedClassifier"), tmp_path)
    file = experts / "models" / "model.pt"
    options = {"paradigm": "P2", "image_expert_file": file, "attribute_expert_file": file}
    run(command("training", ["train"], **settings, **folders(mixture), **options), tmp_path)
    before = torch.load(file, weights_only=True)
    after = torch.load(mixture / "models" / "model.pt", weights_only=True)
    assert {key for key in after if key not in before} == {"gate_kernel.weight", "gate_head.weight", "gate_head.bias"}
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("network_name", ["ImageClassifier", "AttributePerceptron"])
def test_one_expert_alone_goes_through_all_stations(data, tmp_path, network_name):
    common = {"dataset_dir": data, **folders(tmp_path), **NETWORK, "network_name": network_name}
    run(command("training", ["train"], **{**common, **FAST, "max_epochs": 2}, pooling="attention"), tmp_path)
    common["pooling"] = "attention"
    run(command("calibrating", ["train", "calibrate"], **common), tmp_path)
    quick = {"output_dir": tmp_path / "eval", "bootstrap_resamples": 20}
    run(command("evaluating", ["train", "evaluate"], **common, **quick), tmp_path)
    table = pd.read_csv(tmp_path / "eval" / "predictions.csv")
    assert "gate" not in table.columns


def test_low_precision_chunks_and_the_paper_s_schedule(data, tmp_path):
    """bfloat16 on the processor, bags larger than a chunk, and the schedule that counts iterations."""
    schedule = {"iterations": 9, "decay_interval": 4, "batch_size": 8, "chunk_size": 16, "amp": True, **NETWORK}
    schedule |= {"normalisation": "group", "pooling": "log_mean_exp", "pooling_options": '{"r": 5}'}
    run(
        command("training", ["train", "paper_schedule"], dataset_dir=data, **folders(tmp_path), **schedule),
        tmp_path,
    )
    state = torch.load(tmp_path / "models" / "training_state.pt", weights_only=True)
    per_epoch = -(-len(read(data, "datalist.json")["training"]) // 8)
    assert state["epoch"] == -(-9 // per_epoch)
    rates = [group["lr"] for group in state["objects"]["optimizer"]["param_groups"]]
    assert rates == pytest.approx([1e-4 * 0.1 ** (state["iteration"] // 4)] * 2)


def test_two_processes(data, tmp_path):
    """Two CPU processes, as ``torchrun`` starts them, train, and two processes evaluate every patient once."""
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
    columns = [*EXPERTS, "probability_tumoral"]
    np.testing.assert_allclose(tables[0][columns], tables[1][columns], atol=1e-5)


class TestBadInput:
    """The last line that is printed names the file or key, what was found and what to do."""

    def test_missing_attribute(self, data, tmp_path):
        content = read(data, "datalist.json")
        del content["training"][0]["lymphocyte_count"]
        for section in ("training", "validation", "test"):
            for record in content[section]:
                record["image"] = [str((data / path).resolve()) for path in record["image"]]
                record.pop("truth", None)
        (tmp_path / "datalist.json").write_text(json.dumps(content))
        line = last_line(command("training", ["train"], dataset_dir=tmp_path, **folders(tmp_path)), tmp_path)
        assert f"patient {content['training'][0]['id']!r}: lymphocyte_count is None" in line

    def test_another_width(self, trained, data, tmp_path):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path, "image_size": 32}
        done = run(command("inferring", ["inference"], **common, width=8), tmp_path, check=False)
        assert "model.pt: width is 4 in the weights, expected 8" in done.stderr.strip().splitlines()[-1]
        assert done.returncode != 0

    @pytest.mark.parametrize(
        ("key", "value", "found"),
        [("pooling", "max", "pooling is 'mean'"), ("log_count", False, "log_count is True")],
    )
    def test_another_setting_that_no_shape_tells(self, trained, data, tmp_path, key, value, found):
        common = {"dataset_dir": data, "ckpt_dir": trained / "models", "output_dir": tmp_path, **NETWORK}
        line = last_line(command("inferring", ["inference"], **common, **{key: value}), tmp_path)
        assert f"model.pt: {found} in the weights, expected {value!r}" in line

    def test_an_option_that_the_operator_does_not_have(self, data, tmp_path):
        settings = {**FAST, "dataset_dir": data, **folders(tmp_path), "pooling_options": '{"r": 5}'}
        line = last_line(command("training", ["train"], **settings), tmp_path)
        assert "pooling_options: mean has no option r; its options: none" in line

    def test_experts_are_missing(self, data, tmp_path):
        settings = {**FAST, "dataset_dir": data, **folders(tmp_path), "paradigm": "P3"}
        line = last_line(command("training", ["train"], **settings), tmp_path)
        assert "paradigm P3 needs image_expert_file and attribute_expert_file" in line
