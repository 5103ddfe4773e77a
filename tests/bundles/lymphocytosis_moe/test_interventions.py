"""Interventions on phantom patients: what follows the altered pixels or cells has 1, what does not has none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from shared.data.generated import generate_once

SIZE, PATIENTS = 48, 2


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


class Brightness:
    """Maps of the mean colour, of its negative as a magnitude, and one that is the same everywhere."""

    methods: ClassVar = {
        "brightness": SimpleNamespace(sign="signed"),
        "darkness": SimpleNamespace(sign="signed"),
        "magnitude": SimpleNamespace(sign="absolute"),
        "nothing": SimpleNamespace(sign="signed"),
    }

    def __call__(self, method, image, target):
        mean = image.double().mean(dim=1).numpy()
        return {"brightness": mean, "darkness": -mean, "magnitude": -mean, "nothing": 0 * mean}[method]


class Values:
    """The logit of tumoral is the mean brightness; a cell has its own, or nothing."""

    def __init__(self):
        self.valuation = SimpleNamespace(logits=self.logits)

    @staticmethod
    def logits(image, attributes, subsets):
        assert attributes.shape == (2,)
        return np.array([image[torch.from_numpy(subset)].double().mean().item() for subset in subsets])

    @staticmethod
    def names():
        return ["darkness_of_cell", "nothing_of_cell"]

    def __call__(self, item, patient=None):
        mean = item["image"].double().mean(dim=(1, 2, 3)).numpy()
        return {"darkness_of_cell": -mean, "nothing_of_cell": 0 * mean}


@pytest.fixture(scope="module")
def found(scripts, tmp_path_factory):
    """The rows of all samples of a class, by measure, method and what is altered."""
    folder = tmp_path_factory.mktemp("data") / "smears"
    generate_once(folder, lambda path: None, {"seed": 4, "parameters": None})
    module = scripts("interventions")
    interventions = module.Interventions(Values(), Brightness(), ["reactive", "tumoral"], PATIENTS, 4, SIZE)
    rows = interventions.rows([{"id": "P0", "image": [str(folder / "images" / "P0" / "0.jpg")]}])
    return {(row["measure"], row["method"], row["of"]): row for row in rows if "label" in row}


def test_output_follows_the_brightness_of_what_is_altered(found):
    paler, darker, larger = "paleness of the nucleoli", "stain of the granules", "radius of the nucleus"
    assert found["output_response", None, paler]["value"] == 1.0
    # granules speak for reactive, whose logit rises as the image darkens
    assert found["output_response", None, darker]["value"] == 1.0
    assert found["output_response", None, larger]["value"] == -1.0
    assert found["output_response", None, darker]["label"] == "reactive"
    assert found["output_response", None, paler]["label"] == "tumoral"
    assert found["output_response", None, paler]["n"] == PATIENTS
    assert found["output_response", None, paler]["parameters"] == {"strengths": [0.0, 0.25, 0.5, 0.75, 1.0]}


def test_maps_follow_in_the_altered_region_by_what_of_them_counts(found):
    expected = {"brightness": 1.0, "darkness": -1.0, "magnitude": 1.0, "nothing": 0.0}
    for name, value in expected.items():
        assert found["map_response", name, "paleness of the nucleoli"]["value"] == value
        assert found["map_response", name, "stain of the granules"]["value"] == -value
        # maps explain one cell, and values say nothing of what is in it
        assert ("map_response", name, "share of abnormal cells") not in found


def test_values_follow_the_cells_that_are_replaced(found):
    # the cells that stay add a constant to the logit, so that it and the values of the others go in opposite directions
    output = found["output_response", None, "share of abnormal cells"]["value"]
    assert output != 0
    assert found["map_response", "darkness_of_cell", "share of abnormal cells"]["value"] == -output
    assert found["map_response", "nothing_of_cell", "share of abnormal cells"]["value"] == 0.0


def test_real_patients_are_not_altered(scripts, tmp_path):
    module = scripts("interventions")
    interventions = module.Interventions(Values(), Brightness(), ["reactive", "tumoral"])
    rows = interventions.rows([{"id": "P0", "image": [str(tmp_path / "P0" / "0.jpg")]}])
    assert {row["method"] for row in rows} == {None, *Brightness.methods, *Values.names()}
    assert all(row["value"] is None and "not generated" in row["reason"] for row in rows)
