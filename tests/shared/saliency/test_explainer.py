"""What explaining writes is what the methods gave, and its quality is measured where it means something."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch

from shared.data.errors import DataError
from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.lime import LIME, lime_stability
from shared.saliency.quality import map_quality
from tests.shared.saliency.explained_images import (
    CLASSES,
    ImageTimesTarget,
    cause,
    explain,
    make_explainer,
    number,
)


def test_quality_is_that_of_right_predictions_alone(world, network, tmp_path):
    index = explain(world, network, tmp_path)
    rows = range(5, 30)  # the first five are wrong
    maps = np.stack([world[0][i]["image"][0].numpy() * (i % 3 + 1) for i in rows])
    expected = map_quality(maps, np.stack([cause(world, i) for i in rows]))
    for metric, entry in index["methods"]["stub"]["quality"].items():
        values = expected[metric]["value"]
        assert entry["value"] == pytest.approx(values.mean())
        assert entry["chance"] == pytest.approx(expected[metric]["chance"].mean())
        assert (entry["n"], entry["n_without_mask"]) == (25, 0)
        groups = [f"D{i % 4}" for i in rows]  # whole donors are resampled
        interval = bootstrap_interval(weighted_mean, [values], groups=groups).to_json()
        assert entry["ci95"] == pytest.approx(interval["ci95"])
    for entry in index["samples"]:
        quality = entry["methods"]["stub"]["quality"]
        if number(entry) in rows:
            for metric, values in expected.items():
                assert quality[metric]["value"] == pytest.approx(values["value"][number(entry) - 5])
        else:
            assert quality == {}


def test_a_map_is_measured_by_the_sign_of_its_method(world, network, tmp_path):
    slope = ImageTimesTarget(network, factor=-1.0)
    slope.sign = "absolute"
    index = explain(world, network, tmp_path, {"slope": slope, "effect": ImageTimesTarget(network, factor=-1.0)})
    upright = explain(world, network, tmp_path)
    # the magnitude of the turned map is the map
    assert index["methods"]["slope"]["quality"] == upright["methods"]["stub"]["quality"]
    assert index["methods"]["effect"]["quality"] != upright["methods"]["stub"]["quality"]
    for turned, entry in zip(index["samples"], upright["samples"], strict=True):
        assert turned["methods"]["slope"]["quality"] == entry["methods"]["stub"]["quality"]
    signs = {name: method["parameters"]["sign"] for name, method in index["methods"].items()}
    assert signs == {"slope": "absolute", "effect": "signed"}


def test_the_index_says_what_was_resampled(world, network, tmp_path):
    assert explain(world, network, tmp_path)["resampled"] == {"by": "donor", "n": 4}
    del world[1][10]["donor"]
    fallen = explain(world, network, tmp_path)
    assert fallen["resampled"]["by"] == "sample"
    assert "1 of 25 records have no 'donor', the first is 's/10'" in fallen["resampled"]["warning"]
    singly = explain(world, network, tmp_path, group_key=None)
    assert singly["resampled"] == {"by": "sample", "n": 25}
    assert singly["methods"] == fallen["methods"]


def test_a_cause_that_is_nowhere_is_counted_apart(world, network, tmp_path):
    np.save(world[1][10]["truth"], np.full((12, 12), 7, dtype=np.uint8))
    quality = explain(world, network, tmp_path)["methods"]["stub"]["quality"]
    assert {(entry["n"], entry["n_without_mask"]) for entry in quality.values()} == {(24, 1)}


def test_the_number_of_measured_samples_is_kept(world, network, tmp_path):
    index = explain(world, network, tmp_path, measured_samples=6)
    assert index["methods"]["stub"]["quality"]["rank_accuracy"]["n"] == 6
    assert "quality" not in explain(world, network, tmp_path, truth_bit=None)["methods"]["stub"]


def test_integrated_gradients_say_how_complete_they_are(world, network, tmp_path):
    method = IntegratedGradients(network.eval(), steps=2)
    index = explain(world, network, tmp_path, {"integrated": method}, measured_samples=0, batch_size=4)
    images = torch.stack([world[0][number(entry)]["image"] for entry in index["samples"]])
    targets = torch.tensor([CLASSES.index(entry["target"]) for entry in index["samples"]])
    with torch.no_grad():
        reached, started = (
            logits.gather(1, targets[:, None])[:, 0] for logits in (network(images), network(0 * images))
        )
    gaps = (method.attribute(images, targets).sum(dim=(1, 2, 3)) - (reached - started)).abs()
    found = index["methods"]["integrated"]["completeness_gap"]
    assert found["n"] == len(images)
    assert found["mean_absolute"] == pytest.approx(float(gaps.mean()), abs=1e-6)
    assert found["largest_absolute"] == pytest.approx(float(gaps.max()), abs=1e-6)
    assert found["largest_absolute"] > 0


def test_another_class_can_be_explained(world, network, tmp_path):
    index = explain(world, network, tmp_path, target_class="owl")
    assert {entry["target"] for entry in index["samples"]} == {"owl"}
    for entry in index["samples"]:
        written = nib.load(tmp_path / "eval" / entry["methods"]["stub"]["nifti"]).get_fdata()[:, :, 0]
        np.testing.assert_allclose(written, 3 * world[0][number(entry)]["image"][0], rtol=1e-6)
        # the cause of a cat is not where an owl should be found
        assert bool(entry["methods"]["stub"]["quality"]) == (entry["label"] == entry["prediction"] == "owl")
    owls = [i for i in range(5, 30) if i % 3 == 2]
    maps = np.stack([3 * world[0][i]["image"][0].numpy() for i in owls])
    expected = map_quality(maps, np.stack([cause(world, i) for i in owls]))["rank_accuracy"]["value"]
    quality = index["methods"]["stub"]["quality"]["rank_accuracy"]
    assert (quality["value"], quality["n"]) == (pytest.approx(expected.mean()), len(owls))
    with pytest.raises(DataError, match="target_class 'cow' is none of the classes cat, dog, owl"):
        make_explainer(world, network, tmp_path, target_class="cow")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_text("no array"),
        lambda path: np.save(path, np.zeros((5, 5), dtype=np.uint8)),
        lambda path: np.save(path, np.zeros((12, 12))),
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
        lambda path: np.savez(path.open("wb"), truth=np.zeros((12, 12), dtype=np.uint8)),
    ],
)
def test_a_broken_truth_file_is_named(world, network, tmp_path, spoil):
    spoil(tmp_path / "truth_7.npy")
    with pytest.raises(DataError, match=r"truth_7\.npy: .*prepare the data anew"):
        explain(world, network, tmp_path)


def test_lime_reports_its_stability_over_seeds(world, network, tmp_path):
    lime = LIME(network, segments=8, samples=30)
    index = explain(
        world,
        network,
        tmp_path,
        {"lime": lime},
        samples_per_class=1,
        wrong_samples=0,
        samples_per_kind=0,
        measured_samples=0,
        stability_seeds=(0, 1, 2),
    )
    shown = [number(entry) for entry in index["samples"]]
    images = torch.stack([world[0][i]["image"] for i in shown])
    targets = torch.tensor([i % 3 for i in shown])
    expected = lime_stability(lime, images, targets, (0, 1, 2))
    stability = index["methods"]["lime"]["stability"]
    assert stability["rank_correlation"] == pytest.approx(expected.mean().item())
    assert (stability["n"], stability["seeds"]) == (3, [0, 1, 2])
    assert index["methods"]["lime"]["parameters"]["segments"] == 8


def test_parameters_say_how_a_map_was_made(world, network, tmp_path):
    outer = ImageTimesTarget(network, factor=2.0)
    outer.method = InputXGradient(network)
    parameters = explain(world, network, tmp_path, {"outer": outer})["methods"]["outer"]["parameters"]
    assert parameters["factor"] == 2.0
    assert parameters["class"].endswith("ImageTimesTarget")
    assert parameters["method"] == {"class": "shared.saliency.input_gradient.InputXGradient", "sign": "signed"}


def test_settings_that_cannot_be_met_are_refused(world, network, tmp_path):
    dataset, records, predictions = world
    stub = ImageTimesTarget(network)
    with pytest.raises(ValueError, match="at least one attribution method"):
        make_explainer(world, network, tmp_path, {})
    for name in ("image", "../x", "a b", ""):
        with pytest.raises(ValueError, match="methods must be named by"):
            make_explainer(world, network, tmp_path, {name: stub})
    with pytest.raises(DataError, match="no samples to explain"):
        make_explainer(([], [], []), network, tmp_path)
    with pytest.raises(ValueError, match="found 33 records for 34 images"):
        make_explainer((dataset, records[:-1], predictions), network, tmp_path)
    with pytest.raises(ValueError, match="must be those of the records, in their order"):
        explain((dataset, records, predictions[::-1]), network, tmp_path)
    nothing = {"samples_per_class": 0, "wrong_samples": 0, "samples_per_kind": 0, "measured_samples": 0}
    with pytest.raises(DataError, match="no sample is chosen"):
        explain(world, network, tmp_path, **nothing)


class NotedElements:
    """Stands in the place of what measures, and notes what it is given."""

    pointing_radius = 3.0

    def write(self, images, targets, records, classes, maps, further):
        self.ids = [record["id"] for record in records]
        self.given = images, targets, maps, further
        assert classes == CLASSES

    def physical(self, records, predictions, classes):
        return [len(records), len(predictions), len(classes)]


def test_elements_are_measured_on_the_measured_samples(world, network, tmp_path):
    elements = NotedElements()
    explain(world, network, tmp_path, elements=elements, measured_samples=9)
    images, targets, maps, further = elements.given
    places = [int(name.split("/")[1]) for name in elements.ids]
    assert len(places) == 9
    assert all(5 <= place < 30 for place in places), "neither wrong predictions nor outliers"
    assert targets == [place % 3 for place in places]
    for row, place in enumerate(places):
        np.testing.assert_array_equal(images[row], world[0][place]["image"])
        np.testing.assert_allclose(maps["stub"][row], world[0][place]["image"][0] * (place % 3 + 1))
    assert further == [34, 34, 3]


def test_the_pointing_game_of_the_index_has_the_tolerance_of_the_elements(world, network, tmp_path):
    elements = NotedElements()
    index = explain(world, network, tmp_path, elements=elements, measured_samples=9)
    places = [int(name.split("/")[1]) for name in elements.ids]
    truth = np.stack([cause(world, place) for place in places])
    maps = elements.given[2]["stub"]
    found = index["methods"]["stub"]["quality"]["pointing_game"]
    for name in ("value", "chance"):
        tolerant, strict = (map_quality(maps, truth, radius=radius)["pointing_game"][name] for radius in (3.0, 0.0))
        assert found[name] == pytest.approx(np.nanmean(tolerant))
    # more of the image counts as a hit
    assert np.nanmean(tolerant) > np.nanmean(strict)


def test_without_known_causes_elements_are_measured_on_right_predictions(world, network, tmp_path):
    elements = NotedElements()
    explain(world, network, tmp_path, elements=elements, truth_bit=None, measured_samples=30)
    assert sorted(elements.ids) == sorted(f"s/{index}" for index in range(5, 30))
    for record in world[1]:
        record.pop("label", None)
    explain(world, network, tmp_path, elements=elements, truth_bit=None, measured_samples=40)
    assert sorted(elements.ids) == sorted(f"s/{index}" for index in range(30)), "what is predicted has to do"


def test_watched_samples_are_shown_first_and_measured_nowhere(world, network, tmp_path):
    for place in (8, 20):
        world[1][place]["watched"] = True
    elements = NotedElements()
    index = explain(world, network, tmp_path, elements=elements)
    assert [entry["id"] for entry in index["samples"][:2]] == ["s/8", "s/20"]
    assert [bool(entry.get("watched")) for entry in index["samples"]] == [True] * 2 + [False] * 11
    assert index["methods"]["stub"]["quality"]["rank_accuracy"]["n"] == 23
    assert not {"s/8", "s/20"} & set(elements.ids)
