"""Training by several processes whose shares of the validation patients differ in size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from tests.bundles.commands import TWO_PROCESSES, run

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGS = REPOSITORY / "bundles" / "lymphocytosis_moe" / "configs"
SIZE = 32

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small phantom with nine validation patients: two processes get five and four, so two batches and one."""
    folder = tmp_path_factory.mktemp("data")
    options = {"patients": 40, "image_size": SIZE, "bag_size": '{"mean": 6, "std": 2, "low": 5, "high": 9}'}
    arguments = [part for key, value in options.items() for part in (f"--phantom#{key}", str(value))]
    prepare = [str(REPOSITORY / "scripts" / "prepare.py"), "lymphocytosis_moe", "--phantom", "--output", str(folder)]
    run([*prepare, *arguments], folder)
    file = folder / "datalist.json"
    content = json.loads(file.read_text())
    held_out = content["validation"] + content["test"]
    content["validation"], content["test"] = held_out[:9], held_out[9:]
    file.write_text(json.dumps(content))
    return folder


def values_of_one_process(scripts, data, weights):
    """Return area and loss on the validation patients, one at a time."""
    networks, read = scripts("networks"), scripts("network_input").network_input(SIZE)
    image_expert = networks.ImageClassifier(width=4, image_size=SIZE)
    network = networks.assemble("MixtureOfExperts", image_expert, networks.AttributePerceptron())
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    labels, probabilities = [], []
    for record in json.loads((data / "datalist.json").read_text())["validation"]:
        bag = read({**record, "image": [data / path for path in record["image"]]})
        with torch.no_grad():
            logit = network(bag["image"], torch.tensor([len(bag["image"])]), bag["attributes"][None])
        labels.append(record["label"])
        probabilities.append(float(logit.double().sigmoid()))
    return roc_auc_score(labels, probabilities), log_loss(labels, probabilities)


def test_validation_equals_that_of_one_process(bundle_scripts, data, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    files = str([str(CONFIGS / "train.json"), str(CONFIGS / "multi_gpu_train.json")])
    settings = {"dataset_dir": data, "ckpt_dir": tmp_path, "tensorboard_dir": tmp_path / "logs"}
    settings |= {"image_size": SIZE, "width": 4, "max_epochs": 3, "batch_size": 4, "learning_rate": 0.003}
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    run([*TWO_PROCESSES, "-m", "monai.bundle", "run", "training", "--config_file", files, *options], tmp_path)
    best = torch.load(tmp_path / "training_state.pt", weights_only=True)["objects"]["best_model"]
    area, loss = values_of_one_process(bundle_scripts("lymphocytosis_moe"), data, tmp_path / "model.pt")
    assert best["best_value"] == pytest.approx(loss, rel=1e-4)
    shown = {}
    for file in (tmp_path / "logs").rglob("events*"):
        events = accumulator.EventAccumulator(str(file)).Reload()
        if "val_auc" in events.Tags()["scalars"]:
            shown |= {event.step: event.value for event in events.Scalars("val_auc")}
    assert shown[best["best_epoch"]] == pytest.approx(area, abs=1e-6)
