"""A calibration that was written is applied exactly, and one that belongs to something else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from scipy.special import softmax
from torch import nn

from shared.calibration.calibrated_classifier import CalibratedClassifier, DeferredClassifier
from shared.calibration.calibration_fitter import CalibrationFitter
from shared.calibration.classifier_evaluation import prediction_rows
from shared.calibration.monte_carlo_inferer import DrawForSection, MonteCarloInferer
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.data.errors import DataError

CLASSES = ["cat", "dog", "owl"]
SETTINGS = {"classes": CLASSES, "samples": 8, "seed": 3}


class SmallNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(48, 12), nn.ReLU(), nn.Linear(12, 3))

    def forward(self, image):
        return self.head(self.features(image).flatten(1))


def make_records(count, sections):
    rng = np.random.default_rng(0)
    records = []
    for index in range(count):
        label = int(rng.integers(0, 3))
        image = rng.normal(size=(1, 6, 6))
        image[0, 2 * label : 2 * label + 2] += 1.5
        records.append(
            {
                "id": str(index),
                "label": label,
                "section": sections[index % len(sections)],
                "image": torch.from_numpy(image).float(),
            }
        )
    return records


def evaluate(network, records, handlers, batch_size, **options):
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(records), batch_size=batch_size),
        network=network,
        inferer=MonteCarloInferer(samples=8, seed=3),
        val_handlers=handlers,
        decollate=False,
        **options,
    ).run()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A small network, trained a little, with its calibration; and the outputs that were calibrated."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = SmallNetwork()
    records = make_records(160, ["training", "validation"])
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    images = torch.stack([record["image"] for record in records])
    labels = torch.tensor([record["label"] for record in records])
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[::2]), labels[::2]).backward()
        optimizer.step()
    torch.save(network.state_dict(), folder / "model.pt")
    collector = OutputCollector(records)
    fitter = CalibrationFitter(
        collector,
        CLASSES,
        folder / "model.pt",
        folder / "calibration.json",
        "pets",
        network.head[-1],
        8,
        3,
        minimum_confidence=0.1,
        target_risk=0.1,
    )
    evaluate(network, records, [collector, fitter], batch_size=64)
    return folder, network, collector.collected


def test_logits_of_training_images_are_not_needed(calibrated, tmp_path):
    folder, network, collected = calibrated
    collector = OutputCollector(collected.records)
    settings = {"minimum_confidence": 0.1, "target_risk": 0.1}
    fitter = CalibrationFitter(
        collector,
        CLASSES,
        folder / "model.pt",
        tmp_path / "calibration.json",
        "pets",
        network.head[-1],
        8,
        3,
        **settings,
    )
    evaluate(network, collected.records, [collector, fitter], 64, prepare_batch=DrawForSection("validation"))
    before, after = (json.loads((path / "calibration.json").read_text()) for path in (folder, tmp_path))
    for part in ("temperature", "confidence", "outlier"):
        numbers = {name: value for name, value in before[part].items() if isinstance(value, int | float)}
        assert {name: after[part][name] for name in numbers} == pytest.approx(numbers, rel=1e-6)


def test_only_the_scores_that_decide_and_those_asked_for_are_computed(folder, calibrated):
    rows = load(folder)(calibrated[2].outputs)
    few = load(folder, further_scores=["energy"])(calibrated[2].outputs)
    computed = {name for name in few if name.startswith("outlier_")}
    assert computed == {"outlier_score", "outlier_energy", "outlier_mahalanobis_features"}
    assert len([name for name in rows if name.startswith("outlier_")]) > len(computed)
    assert rows.keys() > few.keys()
    for name, values in few.items():
        np.testing.assert_array_equal(values, rows[name])
    with pytest.raises(DataError, match="no outlier score is called enrgy; choose from maximum_softmax, energy"):
        load(folder, further_scores=["enrgy"])


@pytest.fixture
def folder(calibrated, tmp_path):
    """A copy that a test may spoil."""
    for file in calibrated[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def load(folder, **changes):
    return CalibratedClassifier.load(folder / "calibration.json", folder / "model.pt", **{**SETTINGS, **changes})


def edit(folder, change):
    content = json.loads((folder / "calibration.json").read_text())
    change(content)
    (folder / "calibration.json").write_text(json.dumps(content))


def test_what_was_fitted_is_applied_as_by_hand(calibrated):
    folder, _, collected = calibrated
    content = json.loads((folder / "calibration.json").read_text())
    result = load(folder)(collected.outputs)
    logits = collected.outputs["logits"].astype(np.float64)
    samples = softmax(logits / content["temperature"]["value"], axis=2)
    mean = samples.mean(axis=1)
    assert content["temperature"]["value"] != pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(result["probabilities"], mean, rtol=1e-12)
    np.testing.assert_allclose(result["uncalibrated_probabilities"], softmax(logits, axis=2).mean(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(result["prediction"], mean.argmax(axis=1))
    confidence = (3 * mean.max(axis=1) - 1) / 2
    np.testing.assert_allclose(result["confidence"], confidence, rtol=1e-12)
    np.testing.assert_allclose(result["median"], np.median(samples, axis=1), rtol=1e-12)
    np.testing.assert_allclose(result["standard_deviation"], samples.std(axis=1), rtol=1e-9)
    entropy = -(mean * np.log(mean)).sum(axis=1)
    np.testing.assert_allclose(result["predictive_entropy"], entropy, rtol=1e-10)
    information = entropy + (samples * np.log(samples)).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(result["mutual_information"], information, atol=1e-12)
    assert result["standard_deviation"].max() > 0.05

    expected = np.where(confidence < content["confidence"]["accept"], "defer", "accept").astype(object)
    rejected = (confidence < 0.1) | (result["outlier_score"] > content["outlier"]["threshold"])
    expected[rejected] = "reject"
    np.testing.assert_array_equal(result["decision"], expected)
    assert set(expected) == {"accept", "defer", "reject"}
    members = np.stack([result[f"outlier_{name}"] for name in content["outlier"]["members"]])
    assert members.shape == (len(content["outlier"]["members"]), 160)
    # the combined score is monotone in each member: the largest in all of them is the largest
    assert result["outlier_score"][members.argmax(axis=1)].max() == result["outlier_score"].max()


def test_outputs_are_passed_on_as_they_are(calibrated):
    folder, _, collected = calibrated
    outputs = {**collected.outputs, "gate": np.linspace(0, 1, len(collected.records))}
    result = load(folder, passed_on=["gate"])(outputs)
    np.testing.assert_array_equal(result["extra_gate"], outputs["gate"])
    table = prediction_rows(CollectedOutputs(collected.records, result), CLASSES, labelled=True)
    np.testing.assert_array_equal(table["gate"], outputs["gate"])
    with pytest.raises(KeyError, match="gate"):
        load(folder, passed_on=["gate"])(collected.outputs)


def test_one_sample_gives_what_the_batch_gives(calibrated):
    folder, _, collected = calibrated
    classifier = load(folder)
    together = classifier(collected.outputs)
    for index in (0, 7, 159):
        alone = classifier({name: rows[index : index + 1] for name, rows in collected.outputs.items()})
        assert alone.keys() == together.keys()
        for name, rows in alone.items():
            expected = together[name][index : index + 1]
            if rows.dtype == object or rows.dtype.kind == "i":
                assert rows.tolist() == expected.tolist(), name
            else:
                np.testing.assert_allclose(rows, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_size_of_the_evaluators_batches_does_not_matter(calibrated):
    folder, network, collected = calibrated
    results = []
    for batch_size in (1, 17):
        collector = OutputCollector(collected.records[:20], load(folder))
        evaluate(network, collected.records[:20], [collector], batch_size)
        results.append(collector.collected.outputs)
    for name in ("probabilities", "confidence", "outlier_score", "mutual_information"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert results[0]["decision"].tolist() == results[1]["decision"].tolist()


def test_tensors_and_arrays_give_the_same(calibrated):
    folder, _, collected = calibrated
    classifier = load(folder)
    from_tensors = classifier({name: torch.from_numpy(rows) for name, rows in collected.outputs.items()})
    np.testing.assert_array_equal(from_tensors["probabilities"], classifier(collected.outputs)["probabilities"])


def test_other_classes_samples_and_masks_are_refused(folder):
    for change, message in (
        ({"classes": CLASSES[::-1]}, "classes"),
        ({"samples": 100}, "'samples': 100"),
        ({"seed": 1}, "'seed': 1"),
    ):
        with pytest.raises(DataError, match=rf"calibration\.json: fitted for .*{message}"):
            load(folder, **change)


def test_other_weights_are_refused(folder):
    (folder / "model.pt").write_bytes(b"other")
    with pytest.raises(DataError, match=r"calibration\.json: calibrated for weights .*model\.pt"):
        load(folder)


def test_changed_or_missing_statistics_are_refused(folder):
    statistics = folder / "outlier_statistics.npz"
    content = bytearray(statistics.read_bytes())
    content[len(content) // 2] ^= 1
    statistics.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"outlier_statistics\.npz: its SHA-256"):
        load(folder)
    statistics.unlink()
    with pytest.raises(DataError, match=r"outlier_statistics\.npz: no such file"):
        load(folder)


def test_statistics_are_sought_beside_the_calibration_only(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "outlier_statistics.npz").rename(elsewhere / "outlier_statistics.npz")
    edit(folder, lambda content: content["outlier"].update(statistics=str(elsewhere / "outlier_statistics.npz")))
    with pytest.raises(DataError, match=rf"{folder.name}/outlier_statistics\.npz: no such file"):
        load(folder)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("temperature", "value", 0.0),
        ("temperature", "value", "2"),
        ("temperature", "value", None),
        ("confidence", "minimum", -0.1),
        ("confidence", "accept", 0.05),
        ("confidence", "accept", True),
        ("outlier", "threshold", None),
    ],
)
def test_numbers_that_cannot_be_are_refused(folder, part, key, value):
    edit(folder, lambda content: content[part].update({key: value}))
    with pytest.raises(DataError, match=rf"calibration\.json: .*{part}"):
        load(folder)


@pytest.mark.parametrize(
    ("part", "key"), [("temperature", "value"), ("confidence", "accept"), ("outlier", "statistics"), ("outlier", None)]
)
def test_missing_parts_are_named(folder, part, key):
    edit(folder, lambda content: content.pop(part) if key is None else content[part].pop(key))
    with pytest.raises(DataError, match=rf"calibration\.json: {part}.*run calibrating again"):
        load(folder)


def test_thresholds_in_the_readable_file_decide(folder, calibrated):
    outputs = calibrated[2].outputs
    score = load(folder)(outputs)["outlier_score"]
    middle = float(np.median(score))
    edit(folder, lambda content: content["outlier"].update(threshold=middle))
    edit(folder, lambda content: content["confidence"].update(minimum=0, accept=None))
    result = load(folder)(outputs)
    np.testing.assert_array_equal(result["decision"], np.where(score > middle, "reject", "defer"))


def test_logits_of_another_number_of_classes_are_refused(folder, calibrated):
    outputs = calibrated[2].outputs
    with pytest.raises(ValueError, match="expected logits of the classes cat, dog, owl"):
        load(folder)({**outputs, "logits": outputs["logits"][..., :2]})


def test_a_deferred_classifier_reads_its_files_at_first_use(tmp_path, calibrated):
    source, _, collected = calibrated
    deferred = DeferredClassifier(tmp_path / "calibration.json", tmp_path / "model.pt", **SETTINGS)
    engine = Engine(lambda *_: None)
    OutputCollector(collected.records, deferred).attach(engine)
    with pytest.raises(DataError, match=r"calibration\.json: no such file; run calibrating"):
        deferred(collected.outputs)
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    result = deferred(collected.outputs)
    np.testing.assert_array_equal(result["probabilities"], load(source)(collected.outputs)["probabilities"])
    (tmp_path / "calibration.json").unlink()  # read once
    assert deferred(collected.outputs).keys() == result.keys()
