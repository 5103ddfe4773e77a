"""What records say of images becomes what the measures take: regions, labels, donors, physical quantities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from shared.saliency.labelled_elements import LabelledElements, TuningSamples
from shared.saliency.truth_regions import TruthRegions

CLASSES = ("cat", "dog")


class Brightness(nn.Module):
    """Class 1 where an image is bright."""

    def forward(self, images):
        level = images.mean(dim=(1, 2, 3))
        return torch.stack([0.5 - level, level - 0.5], dim=1)


class Noted:
    """Stands in the place of the measures."""

    seed = 0

    def write(self, samples, maps, further):
        self.samples, self.maps, self.further = samples, maps, further
        return "file"


@pytest.fixture
def records(tmp_path):
    """20 records with a quantity; of the even ones the truth is known, the last is an outlier."""
    made = []
    for place in range(20):
        truth = np.zeros((4, 4), np.uint8)
        truth[0, place % 4] = 9
        np.save(tmp_path / f"{place}.npy", truth)
        record = {"id": str(place), "donor": f"d{place % 12}", "mass": float(place), "label": place % 2}
        made.append(record | ({"truth": str(tmp_path / f"{place}.npy")} if place % 2 == 0 else {}))
    del made[19]["label"]
    made[19]["kind"] = "empty"
    return made


def test_samples_are_as_their_records_say(records):
    noted = Noted()
    elements = LabelledElements(noted, TruthRegions(cause=8, inside=1))
    images = torch.rand(20, 1, 4, 4)
    maps = {"lime": np.zeros((20, 4, 4))}
    assert elements.write(images, [record.get("label", 0) for record in records], records, CLASSES, maps, [7]) == "file"
    samples = noted.samples
    assert samples.labels == ["cat", "dog"] * 9 + ["cat", None]
    assert len(set(samples.groups)) == 12
    assert samples.cause[2].nonzero()[1].tolist() == [2]
    assert samples.background[2].sum() == 15
    assert not samples.cause[1].any(), "its truth is not known"
    assert samples.distractor is None
    assert (noted.maps, noted.further) == (maps, [7])
    assert samples.resampled == {"by": "donor", "n": 12}


def test_samples_of_few_donors_carry_the_warning(records):
    for place, record in enumerate(records):
        record["donor"] = f"d{place % 4}"
    noted = Noted()
    LabelledElements(noted).write(torch.rand(20, 1, 4, 4), [0] * 20, records, CLASSES, {})
    assert noted.samples.groups is None
    assert "the samples are of 4 donors, too few to resample" in noted.samples.resampled["warning"]
    assert noted.samples.subset(np.arange(3)).resampled is None


def test_the_logit_of_a_samples_own_class_goes_with_its_quantities(records):
    rng = np.random.default_rng(0)
    predictions = [
        {"prediction": "cat", "logit_cat": rng.normal(), "logit_dog": rng.normal()} for _ in range(len(records))
    ]
    records[3]["watched"] = True
    elements = LabelledElements(Noted(), quantities={"mass (pg)": "mass", "age (years)": "age"}, group_key=None)
    rows = elements.physical(records, predictions, CLASSES)
    assert {row["of"] for row in rows} == {"mass (pg)"}, "no record has an age"
    members = [place for place in range(19) if place != 3]
    by_label = {row.get("label"): row for row in rows}
    assert set(by_label) == {"cat", "dog"}, "logits of different classes are not pooled"
    for label, name in enumerate(CLASSES):
        of_class = [place for place in members if place % 2 == label]
        expected = spearmanr(of_class, [predictions[place][f"logit_{name}"] for place in of_class]).statistic
        assert (by_label[name]["value"], by_label[name]["n"]) == (pytest.approx(expected), len(of_class))


def test_without_quantities_nothing_is_related(records):
    predictions = [{"prediction": "cat", "logit_cat": 1.0, "logit_dog": 0.0}] * 20
    (row,) = LabelledElements(Noted(), quantities={"age (years)": "age"}).physical(records, predictions, CLASSES)
    assert row["value"] is None
    assert "no physical measurement" in row["reason"]


def test_thresholds_are_chosen_on_samples_whose_class_is_found(records):
    images = [{"image": torch.full((1, 4, 4), 0.1 if place < 10 else 0.9)} for place in range(20)]
    tuning = TuningSamples(images, records, TruthRegions(cause=8), Brightness(), count=20)
    samples = tuning()
    # of the even records, all of class 0, the dark half is found
    assert len(samples) == 5
    assert samples.targets.tolist() == [0] * 5
    assert samples.cause.any(axis=(1, 2)).all()
    assert float(samples.images.max()) == pytest.approx(0.1)
    assert len(TuningSamples(images, records, TruthRegions(cause=8), Brightness(), count=3)()) <= 3


def test_without_known_causes_there_are_no_such_samples(records):
    images = [{"image": torch.full((1, 4, 4), 0.9)}] * 20
    assert TuningSamples(images, records, TruthRegions(cause=8), Brightness())() is None, "no class is found"
    for record in records:
        record.pop("truth", None)
    assert TuningSamples(images, records, TruthRegions(cause=8), Brightness())() is None
    assert TuningSamples([], [], TruthRegions(cause=8), Brightness())() is None
