"""The repeatability study against the network itself, set by set, and its files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from shared.data.errors import DataError
from shared.data.files import sha256_file, write_json
from shared.report.sections import repeatability_section
from shared.report.sources import read_sources

SIZE, CLASSES = 32, ["reactive", "tumoral"]
TEMPERATURE = 3.0


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def records():
    """Patients with 4 to 31 cells; the second has five smears."""
    sizes = [12, 15, 4, 31, 20]
    made = [
        {"id": f"P{i}", "label": i % 2, "image": [f"{j}.jpg" for j in range(n)], "age": 60.0, "lymphocyte_count": 9.0}
        for i, n in enumerate(sizes)
    ]
    made[1]["smear"] = [f"S{j % 5}" for j in range(15)]
    return made


@pytest.fixture(scope="module")
def dataset(records):
    rng = np.random.default_rng(0)
    return [
        {
            "image": torch.from_numpy(rng.integers(0, 256, (len(record["image"]), 3, SIZE, SIZE), dtype=np.uint8)),
            "attributes": torch.tensor([record["age"], record["lymphocyte_count"]]),
        }
        for record in records
    ]


@pytest.fixture
def build(scripts, tmp_path):
    def make(name="MixtureOfExperts", pooling="mean"):
        torch.manual_seed(1)
        networks = scripts("networks")
        image = networks.ImageClassifier(width=2, image_size=SIZE, pooling=pooling, chunk_size=16)
        attributes = networks.AttributePerceptron()
        attributes.standardisation.fit([[60.0, 5.0], [80.0, 40.0], [40.0, 9.0]])
        network = networks.assemble(name, image, attributes)
        if name != "AttributePerceptron":
            with torch.no_grad():
                # the cells are noise: exaggerated, so that sets disagree
                image.head.weight.mul_(200)
        torch.save(network.state_dict(), tmp_path / "model.pt")
        calibration = {"weights_sha256": sha256_file(tmp_path / "model.pt"), "temperature": {"value": TEMPERATURE}}
        write_json(tmp_path / "calibration.json", calibration)
        return network

    return make


def study(scripts, network, dataset, records, folder, **options):
    settings = {"cell_numbers": [1, 5, 1000], "draws": 3, "resamples": 30, "seed": 4, **options}
    runner = scripts("repeatability").RepeatabilityStudy(
        network,
        folder / "model.pt",
        folder / "calibration.json",
        dataset,
        records,
        CLASSES,
        folder / "eval",
        **settings,
    )
    return json.loads(runner.run().read_text())


def test_every_set_is_what_the_network_says_of_it(scripts, build, dataset, records, tmp_path):
    network = build()
    content = study(scripts, network, dataset, records, tmp_path)
    assert content["origin"] == {"smears": 1, "disjoint random subsets": 3}
    assert [row["id"] for row in content["left_out"]] == ["P2"]
    assert content["n"] == 4
    for patient in content["patients"]:
        index = int(patient["id"][1:])
        sets = scripts("image_sets").image_sets(records[index], 5, np.random.default_rng([4, index]))
        assert patient["images"] == [len(members) for members in sets.members]
        image, attributes = dataset[index]["image"], dataset[index]["attributes"]
        for place, members in enumerate(sets.members):
            found = network.outputs(image[members], torch.tensor([len(members)]), attributes[None])
            said = patient["models"]["mixture"]["probabilities"][place]
            assert said == pytest.approx((found["logits"] / TEMPERATURE).sigmoid().item(), abs=1e-5)
            expert = patient["models"]["image"]["probabilities"][place]
            assert expert == pytest.approx(found["expert_logits"][0, 0].sigmoid().item(), abs=1e-5)
            assert patient["models"]["mixture"]["predictions"][place] == CLASSES[int(said > 0.5)]
    disagreement = scripts("disagreement")
    table = [patient["models"]["image"]["probabilities"] for patient in content["patients"]]
    labels = [CLASSES.index(patient["label"]) for patient in content["patients"]]
    measured = disagreement.disagreement(table, labels, resamples=30, seed=4)["sets_against_majority"]
    assert content["models"]["image"]["measures"]["sets_against_majority"]["value"] == measured["value"]
    assert measured["value"] > 0
    # the attributes are the same whatever the set
    assert content["models"]["attributes"]["measures"]["sets_against_majority"]["value"] == 0


def test_each_cell_is_encoded_once(scripts, build, dataset, records, tmp_path, monkeypatch):
    network = build()
    encoded = []
    original = type(network.image_expert).cell_embeddings

    def counted(self, image):
        encoded.append(len(image))
        return original(self, image)

    monkeypatch.setattr(type(network.image_expert), "cell_embeddings", counted)
    study(scripts, network, dataset, records, tmp_path, draws=7)
    assert sum(encoded) == sum(len(record["image"]) for record in records)


def test_curve_ends_with_all_cells(scripts, build, dataset, records, tmp_path):
    network = build()
    content = study(scripts, network, dataset, records, tmp_path)["cell_numbers"]
    # 1000 cells nobody has; 31 is the largest patient
    assert content["cells"] == [1, 5, 31]
    assert content["patients_with_as_many"] == [5, 4, 1]
    rows = content["models"]["mixture of experts"]
    right = []
    for record, item in zip(records, dataset, strict=True):
        logit = network(item["image"], torch.tensor([len(item["image"])]), item["attributes"][None]).item()
        right.append((logit > 0) == record["label"])
    assert rows[-1]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert [row["cells"] for row in rows] == [1, 5, 31]
    assert "expert on attributes" not in content["models"]


def test_attention_weights_are_measured_for_attention_only(scripts, build, dataset, records, tmp_path):
    network = build("ImageClassifier", "attention")
    content = study(scripts, network, dataset, records, tmp_path)
    bag = content["attention"]["bags"][3]
    weights = network.instance_weights(dataset[3]["image"], torch.tensor([31])).detach().numpy()
    assert bag["id"] == "P3"
    assert bag["effective_instances"] == pytest.approx(1 / np.sum(weights**2), rel=1e-5)
    assert "compared" not in content
    assert "attention" not in study(scripts, build(), dataset, records, tmp_path)


def test_files_are_table_5_and_are_read_by_the_report(scripts, build, dataset, records, tmp_path):
    content = study(scripts, build(), dataset, records, tmp_path)
    table = pd.read_csv(tmp_path / "eval" / "repeatability.csv")
    for row, patient in zip(table.to_dict("records"), content["patients"], strict=True):
        assert row["mixture_sets"].split() == [name[0].upper() for name in patient["models"]["mixture"]["predictions"]]
        assert row["mixture_majority"] == patient["models"]["mixture"]["majority"]
    section = repeatability_section(read_sources(tmp_path / "eval"))
    assert section["titles"] == ["expert on images", "expert on attributes", "mixture of experts"]
    assert len(section["bags"]) == 4


def test_the_expert_on_images_is_calibrated_where_it_is_the_whole_network(scripts, build, dataset, records, tmp_path):
    network = build("ImageClassifier")
    content = study(scripts, network, dataset, records, tmp_path)
    assert content["models"]["image"]["calibrated"]
    assert content["temperature"] == TEMPERATURE
    patient = content["patients"][0]
    sets = scripts("image_sets").image_sets(records[0], 5, np.random.default_rng([4, 0]))
    logit = network(dataset[0]["image"][sets.members[0]], torch.tensor([len(sets.members[0])])).item()
    expected = 1 / (1 + np.exp(-logit / TEMPERATURE))
    assert patient["models"]["image"]["probabilities"][0] == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_repeated_is_refused(scripts, build, dataset, records, tmp_path):
    network = build()
    unlabelled = [{key: value for key, value in record.items() if key != "label"} for record in records]
    with pytest.raises(DataError, match="none of the 5 patients has a label"):
        study(scripts, network, dataset, unlabelled, tmp_path)
    with pytest.raises(DataError, match="no patient has 50 images"):
        study(scripts, network, dataset, records, tmp_path, sets=50)
    with pytest.raises(DataError, match="sees no images"):
        study(scripts, build("AttributePerceptron"), dataset, records, tmp_path)
    with pytest.raises(DataError, match="no such weights"):
        study(scripts, network, dataset, records, tmp_path / "elsewhere")
    build("ImageClassifier")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(DataError, match="run calibrating again for these weights"):
        study(scripts, network, dataset, records, tmp_path)
    (tmp_path / "calibration.json").unlink()
    with pytest.raises(DataError, match="no such file; run calibrating"):
        study(scripts, network, dataset, records, tmp_path)
