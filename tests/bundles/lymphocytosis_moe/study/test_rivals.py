"""The classical route: images read once, a seed for each repeat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest


class StubFeatures:
    """Stands for the features of images: a row that tells the file, and how often they were asked for."""

    def __init__(self):
        self.calls = 0

    def many(self, paths, workers=1, cache=None):
        self.calls += 1
        return np.stack([np.full(94, float(path)) for path in paths])


@pytest.fixture
def with_stub(study, workshop, monkeypatch):
    records, number = [], 0
    for record in workshop.patients.records:
        size = 3 + record["age"] % 1 * 4  # 3 or 5 cells
        records.append({**record, "image": [str(number + k) for k in range(int(size))]})
        number += len(records[-1]["image"])
    stub = StubFeatures()
    monkeypatch.setattr(study("rivals"), "FeatureExtraction", lambda: stub)
    study("rivals")._features.cache_clear()
    yield dataclasses.replace(workshop, patients=dataclasses.replace(workshop.patients, records=records)), stub
    study("rivals")._features.cache_clear()


def test_images_are_read_once_for_all_runs_of_a_process(study, with_stub):
    workshop, stub = with_stub
    bags = study("rivals")._bags
    plain, joined = bags(workshop, with_attributes=False), bags(workshop, with_attributes=True)
    assert stub.calls == 1
    other = dataclasses.replace(workshop, patients=dataclasses.replace(workshop.patients, sha256="1" * 64))
    bags(other, with_attributes=False)
    assert stub.calls == 2  # of other contents they are not the same
    for record, bag, both in zip(workshop.patients.records, plain, joined, strict=True):
        rows = [[float(path)] * 94 for path in record["image"]]
        np.testing.assert_array_equal(bag, rows)
        attributes = [record["age"], np.log(record["lymphocyte_count"])]
        np.testing.assert_array_equal(both, [row + attributes for row in rows])


def test_each_repeat_has_a_seed_of_its_own(study, workshop):
    models, make = workshop.settings.models, study("rivals").bag_classifier
    for name, model in models.items():
        if model["kind"] == "classical":
            made = [make(model["classifier"], repeat) for repeat in range(3)]
            has_seed = "seed" in made[0].get_params()
            assert [classifier.get_params().get("seed") for classifier in made] == [0, 1, 2] if has_seed else [None] * 3
            assert has_seed == ("em_dd" in name or "spec_mil" in name)
