"""A study whose patients, folds and results are made by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest


@pytest.fixture(scope="module")
def study(bundle_scripts):
    load = bundle_scripts("lymphocytosis_moe")
    return lambda name: load(f"study.{name}")


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).permutation(np.repeat([0, 1], [20, 40]))


@pytest.fixture
def workshop(study, labels, tmp_path):
    settings = study("settings").read_settings()
    settings = dataclasses.replace(settings, folds=2, image_sets=5, cell_numbers={"sizes": [1, 3], "draws": 2})
    records = [
        {"id": f"P{i}", "label": int(label), "image": ["x"] * 8, "age": 50 + i / 2, "lymphocyte_count": 5 + i}
        for i, label in enumerate(labels)
    ]
    patients = study("patients").Patients(records, ("reactive", "tumoral"), "0" * 64)
    return study("workshop").Workshop(tmp_path, patients, settings)


@pytest.fixture
def write_result(workshop):
    """Write the result of a run; returns its arrays."""

    def write(run, seed, calibrate=True, **more):
        split, labels = workshop.split(run), workshop.patients.labels
        rng = np.random.default_rng(seed)
        arrays = {"validation_index": split.validation, "test_index": split.test}
        for section, index in (("validation", split.validation), ("test", split.test)):
            arrays[f"{section}_logits"] = 3 * rng.normal(size=len(index)) + 2 * (2 * labels[index] - 1)
        arrays |= {name: make(rng, len(split.test)) for name, make in more.items()}
        workshop.write_result(run, arrays, {"calibrate": calibrate}, seconds=1.0)
        return arrays

    return write
