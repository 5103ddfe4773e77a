"""Explaining and repeating on patients whose red cells decide, by a network that sees nothing but red."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from shared.data.errors import DataError
from shared.evaluation.instance_ranking import instance_ranking
from shared.report.bags import read_bags, read_experts
from shared.report.sources import read_sources
from shared.saliency.controls import RandomMap
from shared.saliency.guided_backpropagation_x_input import GuidedBackpropagationXInput

SIZE, CLASSES = 24, ["reactive", "tumoral"]
SHOWN = "guided_backpropagation_x_input"


class RedSpots(nn.Module):
    """How much red there is beyond a threshold: the embedding ``(T, 1)``."""

    def __init__(self):
        super().__init__()
        self.colour = nn.Conv2d(3, 1, 1)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.colour.weight.copy_(torch.tensor([1.0, -0.5, -0.5]).view(1, 3, 1, 1))
            self.colour.bias.fill_(-0.1)

    def forward(self, image):
        return 100 * self.relu(self.colour(image)).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture
def build(scripts):
    def make(name="MixtureOfExperts", pooling="mean"):
        torch.manual_seed(0)
        networks, linear = scripts("networks"), scripts("linear")
        image = networks.ImageClassifier(width=2, image_size=SIZE, pooling=pooling, chunk_size=8)
        image.encoder.encoder.resnet, image.head, image.embedding_size = RedSpots(), linear.FullPrecisionLinear(1, 1), 1
        if pooling == "attention":
            image.pooling = scripts("pooling").make_pooling(pooling, 1)
        attributes = networks.AttributePerceptron()
        attributes.standardisation.fit([[60.0, 5.0], [80.0, 40.0], [40.0, 9.0]])
        network = networks.assemble(name, image, attributes)
        with torch.no_grad():
            image.head.weight.fill_(1.5)
            image.head.bias.fill_(-2.0)
            if name == "MixtureOfExperts":
                network.gate_kernel.weight.fill_(0.1)
                network.gate_head.weight.copy_(torch.tensor([[1.0, 0.2, 0.2]]))
        return network.eval()

    return make


def write_cell(folder, index, abnormal, rng):
    """A grey cell; an abnormal one with a red spot, whose place is the truth."""
    image = rng.integers(110, 140, (SIZE, SIZE, 3), dtype=np.uint8)
    truth = np.full((SIZE, SIZE), 1, np.uint8)
    if abnormal:
        row, column = rng.integers(3, SIZE - 9, 2)
        image[row : row + 6, column : column + 6] = (230, 40, 40)
        truth[row : row + 6, column : column + 6] |= 8
    paths = [folder / f"{index:03d}.png", folder / f"{index:03d}_truth.png"]
    for path, values in zip(paths, (image, truth), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Six patients: tumoral ones have red cells."""
    root, rng, made = tmp_path_factory.mktemp("smears"), np.random.default_rng(0), []
    for number in range(6):
        label, n = number % 2, 9 + number
        abnormal = (rng.random(n) < 0.5 * label) | (np.arange(n) < 2 * label)
        files = [write_cell(root / f"P{number}", i, flag, rng) for i, flag in enumerate(abnormal)]
        made.append(
            {
                "id": f"P{number}",
                "patient": f"P{number}",
                "image": [image for image, _ in files],
                "truth": [truth for _, truth in files],
                "instance_label": abnormal.astype(int).tolist(),
                "label": label,
                "age": 50.0 + 5 * number,
                "lymphocyte_count": 5.0 + number,
            }
        )
    return made


@pytest.fixture(scope="module")
def dataset(scripts, records):
    transform = scripts("network_input").network_input(SIZE, keys=("image", "attributes", "id"))
    return [transform(record) for record in records]


def predictions(network, dataset):
    rows = []
    for item in dataset:
        logit = network(item["image"], torch.tensor([len(item["image"])]), item["attributes"][None]).item()
        confidence = abs(2 / (1 + np.exp(-logit)) - 1)
        named = {"id": item["id"], "prediction": CLASSES[int(logit > 0)], "confidence": confidence}
        rows.append({**named, "decision": "accept", "reason": "", **experts_said(network, item)})
    return rows


def experts_said(network, item):
    """The columns that inferring adds to the predictions of two experts."""
    outputs = network.outputs(item["image"], torch.tensor([len(item["image"])]), item["attributes"][None])
    if "gate" not in outputs:
        return {}
    image, attributes = outputs["expert_logits"].sigmoid()[0].tolist()
    said = {"expert_probability_image": image, "expert_probability_attributes": attributes}
    return said | {"gate": outputs["gate"].item()}


def explain(scripts, network, dataset, records, output, **options):
    """Explain with few samples; options go to whichever component has them, as the keys of explain.json do."""
    settings = {"cells": 3, "standard_error": 0.02, **options}
    explainer = build_explainer(scripts, network, dataset, records, output, **settings)
    return json.loads(explainer.run(predictions(network, dataset)).read_text())


def build_explainer(scripts, network, dataset, records, output, shown_method=SHOWN, cells=8, **options):
    one = scripts("one_cell").OneCell(network)
    maps = scripts("cell_maps").CellMaps(one, {SHOWN: GuidedBackpropagationXInput(one), "random_map": RandomMap(one)})
    chosen = {
        key: options.pop(key) for key in ("samples_per_class", "wrong_samples", "measured_samples") & options.keys()
    }
    valuation = scripts("patient_values").PatientValuation(network, **options)
    files = scripts("cell_files").CellFiles(output)
    return scripts("explanations").BagExplainer(
        valuation,
        scripts("patient_choice").PatientChoice(**chosen),
        scripts("shown_patients").ShownPatients(files, maps, shown_method, cells),
        scripts("explanation_quality").ExplanationQuality(valuation.parts, maps),
        dataset,
        records,
        CLASSES,
    )


@pytest.fixture
def explained(scripts, build, dataset, records, tmp_path):
    network = build()
    return network, explain(scripts, network, dataset, records, tmp_path / "eval"), tmp_path / "eval"


def test_red_cells_rank_first_and_maps_point_at_the_spots(explained):
    methods = explained[1]["methods"]
    for name in ("shapley_mixture", "shapley_image"):
        for measure in ("instance_auc", "instance_ndcg"):
            assert methods[name]["quality"][measure]["value"] == pytest.approx(1)
            assert methods[name]["quality"][measure]["n"] == 3
    guided, noise = (methods[name]["quality"] for name in ("guided_backpropagation_x_input", "random_map"))
    assert guided["localisation_auc"]["value"] > 0.95
    assert guided["pointing_game"]["value"] == 1
    assert noise["localisation_auc"]["value"] == pytest.approx(0.5, abs=0.1)
    assert guided["rank_accuracy"]["chance"] == pytest.approx(36 / SIZE**2)
    assert "attention_weight" not in methods


def test_table_holds_the_shapley_values_of_all_cells(scripts, explained, dataset, records):
    network, content, output = explained
    for sample in content["samples"]:
        index = int(sample["id"][1:])
        table = pd.read_csv(output / sample["bag"]["instances_csv"])
        assert len(table) == sample["bag"]["n"] == len(records[index]["image"])
        assert table["rank"].tolist() == list(range(1, len(table) + 1))
        assert table["shapley_mixture"].is_monotonic_decreasing
        game = sample["bag"]["shapley"]
        assert table["shapley_mixture"].sum() == pytest.approx(game["whole"] - game["empty"], abs=1e-4)
        assert table["standard_error_mixture"].max() <= 0.02
        embeddings = scripts("embedded_bags").embed_cells(network, dataset[index]["image"])
        exact = scripts("cell_values").image_expert_values(network.image_expert, embeddings).values
        names = [Path(path).name for path in records[index]["image"]]
        np.testing.assert_allclose(table.set_index("instance")["shapley_image"][names], exact, atol=1e-9)
        abnormal = table.set_index("instance")["truth"][names] == "abnormal"
        assert abnormal.astype(int).tolist() == records[index]["instance_label"]


def test_experts_are_those_of_the_network(explained, dataset):
    network, content, output = explained
    assert len(content["experts"]) == len(dataset)
    for row, item in zip(content["experts"], dataset, strict=True):
        found = network.outputs(item["image"], torch.tensor([len(item["image"])]), item["attributes"][None])
        assert row["gate"] == pytest.approx(found["gate"].item(), abs=1e-6)
        expected = found["expert_logits"].sigmoid()[0].tolist()
        assert [row["image"], row["attributes"]] == pytest.approx(expected, abs=1e-6)
        assert row["whole"] == pytest.approx(found["logits"].sigmoid().item(), abs=1e-6)
    assert pd.read_csv(output / "explanations" / "experts.csv")["id"].tolist() == [item["id"] for item in dataset]


def test_cells_are_shown_with_their_maps(scripts, explained, dataset, records):
    network, content, output = explained
    sample = next(sample for sample in content["samples"] if sample["label"] == "tumoral")
    item = dataset[int(sample["id"][1:])]
    cell = sample["bag"]["highest"][0]
    place = [Path(path).name for path in records[int(sample["id"][1:])]["image"]].index(cell["id"])
    picture = np.asarray(Image.open(output / cell["image_png"]))
    np.testing.assert_array_equal(picture, item["image"][place].permute(1, 2, 0))
    one = scripts("one_cell").OneCell(network)
    expected = GuidedBackpropagationXInput(one).attribute(one.centred(item["image"][[place]]), 1).sum(dim=1)[0]
    written = nibabel.load(output / cell["nifti"]).get_fdata()[..., 0]
    np.testing.assert_allclose(written, expected, atol=1e-6)
    overlay = np.asarray(Image.open(output / cell["overlay_png"]))
    assert (overlay == (240, 228, 66)).all(axis=2).any()  # the known cause is outlined
    ranks = [entry["rank"] for side in ("highest", "lowest") for entry in sample["bag"][side]]
    assert ranks[:3] == [1, 2, 3]
    assert ranks[3:] == [item["image"].shape[0] - turn for turn in range(3)]


def test_report_reads_what_explaining_writes(explained):
    _, content, output = explained
    sources = read_sources(output)
    bags = read_bags(sources)
    assert [bag.case.id for bag in bags] == [sample["id"] for sample in content["samples"]]
    assert bags[0].highest[0].image is not None
    assert len(read_experts(sources)) == 6


def test_attention_weights_are_ranked_too_and_values_of_the_expert_are_exact(
    scripts, build, dataset, records, tmp_path
):
    network = build("ImageClassifier", "attention")
    content = explain(scripts, network, dataset, records, tmp_path)
    assert set(content["methods"]) >= {"shapley_image", "attention_weight"}
    assert content["experts"] == []
    assert all(sample["bag"]["shapley"]["exact"] for sample in content["samples"])
    table = pd.read_csv(tmp_path / content["samples"][0]["bag"]["instances_csv"])
    assert table["attention_weight"].sum() == pytest.approx(1)


def test_patients_without_truth_are_explained_and_not_measured(scripts, build, dataset, records, tmp_path):
    unknown = [
        {key: value for key, value in record.items() if key not in ("truth", "instance_label", "label")}
        for record in records
    ]
    content = explain(scripts, build(), dataset, unknown, tmp_path, cells=20)
    assert "shapley_mixture" not in content["methods"]
    assert "quality" not in content["methods"]["random_map"]
    for sample in content["samples"]:
        assert sample["label"] is None
        # fewer cells than would be shown: each once
        shown = [cell["id"] for side in ("highest", "lowest") for cell in sample["bag"][side]]
        assert sorted(shown) == sorted({*shown})
        assert len(shown) == sample["bag"]["n"]


def test_settings_that_cannot_work_are_refused(scripts, build, dataset, records, tmp_path):
    with pytest.raises(DataError, match="no patient is chosen"):
        explain(scripts, build(), dataset, records, tmp_path, samples_per_class=0, wrong_samples=0, measured_samples=0)
    with pytest.raises(DataError, match="no patients to explain"):
        explain(scripts, build(), [], [], tmp_path)
    with pytest.raises(ValueError, match="shown_method 'lime' is none"):
        explain(scripts, build(), dataset, records, tmp_path, shown_method="lime")
    explainer = build_explainer(scripts, build(), dataset, records, tmp_path)
    rows = predictions(build(), dataset)
    del rows[0]["gate"]
    with pytest.raises(ValueError, match="predictions of a mixture have no gate"):
        explainer.run(rows)
    with pytest.raises(ValueError, match="those of the records"):
        explainer.run(rows[1:])


def test_only_patients_that_are_shown_or_measured_are_encoded_again(
    scripts, build, dataset, records, tmp_path, monkeypatch
):
    network, encoded = build(), []
    explainer = build_explainer(
        scripts, network, dataset, records, tmp_path, samples_per_class=1, wrong_samples=0, measured_samples=0
    )
    rows = predictions(network, dataset)
    original = type(network.image_expert).cell_embeddings

    def counted(self, image):
        encoded.append(len(image))
        return original(self, image)

    monkeypatch.setattr(type(network.image_expert), "cell_embeddings", counted)
    content = json.loads(explainer.run(rows).read_text())
    assert 0 < len(content["samples"]) < len(records)
    assert sum(encoded) == sum(sample["bag"]["n"] for sample in content["samples"])
    # what the experts say is told of all patients, even so
    assert len(content["experts"]) == len(records)


def test_sampled_values_of_the_expert_have_their_errors_in_the_table(scripts, build, dataset, records, tmp_path):
    network = build("ImageClassifier", "log_mean_exp")
    content = explain(scripts, network, dataset, records, tmp_path, exact_dimensions=0, max_permutations=64)
    sample = content["samples"][0]
    table = pd.read_csv(tmp_path / sample["bag"]["instances_csv"])
    assert not sample["bag"]["shapley"]["exact"]
    assert sample["bag"]["highest"][0]["standard_error"] == pytest.approx(table["standard_error_image"][0])
    assert table["standard_error_image"].max() > 0


def test_ranking_leaves_out_patients_of_one_kind(scripts):
    ranking = scripts("explanation_quality").CellRanking(["image"])
    values, abnormal = np.array([0.3, 0.1, 0.2]), np.array([True, False, True])
    ranking.add({"shapley_image": values}, abnormal)
    ranking.add({"shapley_image": values}, np.zeros(3, bool))
    ranking.add({"shapley_image": values}, None)
    quality = ranking.summary(0)["shapley_image"]["quality"]["instance_auc"]
    assert (quality["n"], quality["value"]) == (1, instance_ranking(values, abnormal, [3])["instance_auc"]["value"][0])


def test_cause_is_that_of_the_class_and_of_the_networks_size(scripts, records):
    truth = scripts("cell_truth")
    tumoral = records[1]
    abnormal = np.flatnonzero(tumoral["instance_label"])
    assert truth.cells_with_cause(tumoral, 1).tolist() == abnormal.tolist()
    assert set(truth.cells_with_cause(tumoral, 0)) == set(range(len(tumoral["image"]))) - set(abnormal.tolist())
    path = tumoral["truth"][abnormal[0]]
    whole, half = truth.cause_mask(path, 8, (SIZE, SIZE)), truth.cause_mask(path, 8, (SIZE // 2, SIZE // 2))
    assert whole.sum() == 36
    assert half.shape == (SIZE // 2, SIZE // 2)
    assert half.sum() == 9
    assert truth.cause_mask(path, 4, (SIZE, SIZE)) is None
