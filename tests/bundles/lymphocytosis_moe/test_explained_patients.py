"""Patients as sanity checks take them: noise on the cells, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from shared.data.generated import generate_once

SIZE = 32


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture(scope="module")
def items():
    rng = np.random.default_rng(0)
    return [
        {"image": torch.from_numpy(rng.integers(0, 256, (size, 3, SIZE, SIZE), dtype=np.uint8)), "attributes": numbers}
        for size, numbers in ((6, torch.tensor([71.0, 12.5])), (4, torch.tensor([40.0, 6.0])))
    ]


@pytest.fixture(scope="module")
def build(scripts):
    def make(name, pooling="mean"):
        torch.manual_seed(0)
        networks = scripts("networks")
        image = networks.ImageClassifier(width=2, image_size=SIZE, pooling=pooling, chunk_size=4)
        attributes = networks.AttributePerceptron()
        attributes.standardisation.fit([[60.0, 5.0], [80.0, 40.0], [40.0, 9.0]])
        network = networks.assemble(name, image, attributes)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return network.eval()

    return make


@pytest.fixture(scope="module")
def explained(scripts, build, items):
    valuation = scripts("patient_values").PatientValuation(build("MixtureOfExperts", "attention"), max_permutations=20)
    return scripts("explained_patients").ExplainedPatients(scripts("value_methods").ComparedValues(valuation), items)


def test_values_are_those_of_cells_and_there_is_no_other_class(explained):
    own = explained.explain(explained.network)
    assert set(own) == {"shapley_mixture", "shapley_image", "attention_weight", "random_values", "untrained_values"}
    assert explained.explain_other(0) is None
    for patient in range(2):
        for name in ("shapley_mixture", "shapley_image"):
            assert np.abs(own[name][patient]).max() > 1e-4
        assert np.abs(own["untrained_values"][patient] - own["shapley_mixture"][patient]).max() > 1e-4
        assert own["shapley_image"][patient].shape == (len(explained.items[patient]["image"]),)


def test_noise_is_that_of_a_camera(scripts, explained):
    (copy,) = scripts("explained_patients").noisy_patients(explained, noise_level=0.02, draws=1, seed=3)
    for item, noisy in zip(explained.items, copy.items, strict=True):
        inside = (item["image"] > 30) & (item["image"] < 225)
        change = (noisy["image"].float() - item["image"].float())[inside]
        assert noisy["image"].dtype == torch.uint8
        assert float(change.std()) == pytest.approx(0.02 * 255, rel=0.05)
        assert float(change.mean()) == pytest.approx(0, abs=0.1)
        assert torch.equal(noisy["attributes"], item["attributes"])
    with pytest.raises(ValueError, match="at least 1"):
        next(scripts("explained_patients").noisy_patients(explained, draws=0))


def test_similar_patients_are_embedded_as_the_network_pools_them(scripts, build, items):
    module, network = scripts("similar_patients"), build("MixtureOfExperts").train()
    found = module.patient_embedding(network)(items)
    assert network.training
    network.eval()
    for row, item in zip(found, items, strict=True):
        outputs = network.outputs(item["image"], torch.tensor([len(item["image"])]), item["attributes"][None])
        torch.testing.assert_close(row, outputs["embedding"][0], rtol=1e-4, atol=1e-5)
    picture = module.patient_picture(items[0])
    assert picture.shape == (2 * SIZE, 3 * SIZE, 3)
    np.testing.assert_array_equal(picture[SIZE:, :SIZE], items[0]["image"][3].permute(1, 2, 0))


@pytest.fixture
def records(tmp_path):
    """Two generated patients: cells of known area in images of 34 µm."""
    made = []

    def write(folder):
        for patient, radius in enumerate((6, 9)):
            paths = []
            for cell in range(3):
                rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
                inside = np.hypot(rows, columns) < radius
                truth = inside * 1 + (np.hypot(rows, columns) < radius / 2) * (2 + 8 * (cell < patient))
                path = folder / "truth" / f"P{patient}" / f"{cell}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(truth.astype(np.uint8)).save(path)
                paths.append(str(path))
            abnormal = [int(cell < patient) for cell in range(3)]
            known = {"truth": paths, "instance_label": abnormal, "label": patient}
            made.append({"id": f"P{patient}", "age": 50 + patient, "lymphocyte_count": 5.5, **known})

    generate_once(tmp_path / "smears", write, {"parameters": None})
    return made


def test_physical_quantities(scripts, records):
    found = scripts("physical_quantities").patient_quantities(records)
    assert found["age (years)"].tolist() == [50, 51]
    assert found["lymphocyte count (10⁹/L)"].tolist() == [5.5, 5.5]
    np.testing.assert_allclose(found["share of abnormal cells"], [0, 1 / 3])
    area = np.pi * (np.array([6, 9]) * 34 / SIZE) ** 2
    np.testing.assert_allclose(found["mean area of the cells (µm²)"], area, rtol=0.05)
    np.testing.assert_allclose(found["mean area of the nuclei (µm²)"], area / 4, rtol=0.15)
    real = scripts("physical_quantities").patient_quantities([{"id": "P", "age": 50.0, "lymphocyte_count": 7.0}])
    assert set(real) == {"age (years)", "lymphocyte count (10⁹/L)"}


def test_cells_are_drawn_with_the_cause_of_the_explained_class(scripts, build, records):
    network = build("ImageClassifier")
    rng = np.random.default_rng(1)
    dataset = [{"image": rng.integers(0, 256, (3, 3, SIZE, SIZE), dtype=np.uint8)} for _ in records]
    one_cell = scripts("one_cell").OneCell(network)
    draw = scripts("cell_samples").CellSamples(one_cell, ["reactive", "tumoral"])
    samples = draw(records, dataset, [1], [1])
    assert len(samples) == 1
    torch.testing.assert_close(samples.images, one_cell.centred(torch.from_numpy(dataset[1]["image"][:1])))
    assert samples.labels == ["tumoral"]
    assert samples.cause.sum() == (samples.cause & ~samples.background).sum() > 0
    # no cell of the reactive patient shows a cause of its class
    assert draw(records, dataset, [0], [0]) is None
    # where nothing is known any cell will do
    plain = [{"id": record["id"]} for record in records]
    samples = draw(plain, dataset, [0, 1], [0, 1])
    assert len(samples) == 6
    assert samples.cause is None
    assert sorted(samples.groups.tolist()) == [0, 0, 0, 1, 1, 1]
