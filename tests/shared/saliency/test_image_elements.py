"""One call writes every measure of every method, taken of the samples that it is said to be taken of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.evaluation.interpretability.file import read_interpretability
from shared.evaluation.interpretability.measures import MEASURES
from shared.saliency.altered_images import AlteredImages
from shared.saliency.controls import EdgeMap, RandomMap
from shared.saliency.image_elements import ImageElements
from shared.saliency.image_samples import ImageSamples
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.map_measures import map_measures
from shared.saliency.noise_stability import noise_stability
from shared.saliency.overlap import iou_at, tune_threshold
from shared.saliency.perturbation_curves import deletion_insertion, random_areas
from shared.saliency.sanity.checks import SanityChecks
from shared.saliency.sanity.shuffled import shuffled_likeness
from shared.saliency.untrained import UntrainedMap

# what applies to images; the report adds the readers' study, evaluating what belongs to the model
MEASURED = {
    name
    for name, measure in MEASURES.items()
    if measure.of_method
    and not name.startswith(("instance_", "aupc_", "aopc_"))
    and name not in {"froc", "reader_study"}
}


@pytest.fixture
def samples():
    """20 images of three classes with a cause of changing size, and a background; no marks."""
    rng = np.random.default_rng(0)
    cause = np.zeros((20, 12, 12), bool)
    for sample in range(20):
        cause[sample, 3 : 5 + sample % 4, 3 : 5 + sample % 5] = True
    return ImageSamples(
        images=torch.from_numpy(rng.random((20, 1, 12, 12))),
        targets=torch.from_numpy(rng.integers(0, 3, 20)),
        labels=[["a", "b", "c"][k % 3] for k in range(20)],
        cause=cause,
        background=~cause,
    )


@pytest.fixture
def methods(network):
    gradient = InputXGradient(network)
    controls = {"edge_map": EdgeMap(network), "random_map": RandomMap(network), "untrained": UntrainedMap(gradient)}
    return {"gradient": gradient, **controls}


@pytest.fixture
def measure(methods, samples, tmp_path):
    def run(chosen=samples, further=(), known=None, **options):
        settings = {"checked_samples": 6, "sanity": SanityChecks(stages=1, draws=1), "training_command": "train again"}
        elements = ImageElements(methods, "cats", "cat", tmp_path, **settings | options)
        maps = {name: elements.maps(method, chosen) for name, method in methods.items()}
        content = read_interpretability(elements.write(chosen, maps, further, known))
        return content, {
            (row["measure"], row["method"], row.get("label"), row.get("size"), row.get("of")): row
            for row in content["rows"]
        }

    return run


def test_every_measure_of_images_has_a_row_of_every_method(measure, methods):
    content, rows = measure()
    for name in methods:
        assert {row[0] for row in rows if row[1] == name} == MEASURED
    assert set(content["methods"]) == set(methods)
    assert [name for name, entry in content["methods"].items() if entry["control"]] == [
        "edge_map", "random_map", "untrained",
    ]  # fmt: skip
    assert content["model"]["name"] == "SmallNetwork"
    assert content["unit"] == "cat"


def test_numbers_are_those_of_the_measures(measure, methods, samples):
    _, rows = measure()
    method = methods["gradient"]
    maps = method.attribute(samples.images, samples.targets).sum(dim=1).numpy()
    expected = map_measures(
        maps, images=samples.images.numpy(), masks=samples.cause, background=samples.background, sign="signed"
    )
    for name, part in expected.items():
        assert rows[name, "gradient", None, None, None]["value"] == pytest.approx(np.nanmean(part["value"])), name
    labels = np.array(samples.labels)
    of_class = np.nanmean(expected["cause_share"]["value"][labels == "b"])
    assert rows["cause_share", "gradient", "b", None, None]["value"] == pytest.approx(of_class)


def test_what_explains_again_is_measured_on_some_samples(measure, methods, samples, network):
    _, rows = measure(noise_draws=2, perturbation_steps=4, perturbation_blur=2.0)
    places = samples.draw(6, 0)
    some = samples.subset(places)
    method = methods["gradient"]
    stable = noise_stability(method, some.images, some.targets, draws=2)
    row = rows["noise_stability", "gradient", None, None, None]
    assert (row["n"], row["value"]) == (6, pytest.approx(np.nanmean(stable)))
    assert row["parameters"] == {"noise_level": 0.02, "draws": 2, "seed": 0}
    network.eval()
    maps = method.attribute(some.images, some.targets).sum(dim=1).numpy()
    level = np.nanmean(shuffled_likeness(maps)["structural_similarity"])
    assert row["chance"] == pytest.approx(level)
    assert level != 0
    curves = deletion_insertion(lambda x: network(x).softmax(1), some.images, maps, some.targets, 4, blur_sigma=2.0)
    assert rows["deletion_auc", "gradient", None, None, None]["value"] == pytest.approx(curves.deletion_auc.mean())
    assert rows["insertion_auc", "gradient", None, None, None]["value"] == pytest.approx(curves.insertion_auc.mean())


def test_deletion_is_compared_with_several_random_orders_of_the_same_images(measure, methods, samples, network):
    _, rows = measure(perturbation_steps=4, perturbation_blur=2.0, perturbation_orders=3)
    some = samples.subset(samples.draw(6, 0))
    network.eval()
    maps = methods["gradient"].attribute(some.images, some.targets).sum(dim=1).numpy()

    def probabilities(images):
        return network(images).softmax(dim=1)

    areas = deletion_insertion(probabilities, some.images, maps, some.targets, 4, blur_sigma=2.0).deletion_auc
    random = random_areas(probabilities, some.images, some.targets, 4, orders=3, blur_sigma=2.0)
    row = rows["deletion_auc", "gradient", None, None, None]
    assert row["chance"] == pytest.approx(random.mean())
    assert row["difference"]["value"] == pytest.approx((areas - random).mean())
    low, high = row["difference"]["ci95"]
    assert low <= row["difference"]["value"] <= high
    assert row["parameters"]["random_orders"] == 3
    # the interval is that of the differences, image by image, and not of the areas
    paired = bootstrap_interval(weighted_mean, [areas - random], groups=some.groups)
    assert [low, high] == pytest.approx([float(paired.low), float(paired.high)])


def test_probabilities_of_findings_are_sigmoids(measure, methods, samples, network):
    some = samples.subset(samples.draw(6, 0))
    maps = methods["gradient"].attribute(some.images, some.targets).sum(dim=1).numpy()
    network.eval()
    for activation, probabilities in (
        ("sigmoid", lambda images: network(images).sigmoid()),
        ("softmax", lambda images: network(images).softmax(dim=1)),
    ):
        _, rows = measure(activation=activation, perturbation_steps=4, perturbation_blur=2.0)
        curves = deletion_insertion(probabilities, some.images, maps, some.targets, 4, blur_sigma=2.0)
        for name in ("deletion_auc", "insertion_auc"):
            expected = getattr(curves, name).mean()
            assert rows[name, "gradient", None, None, None]["value"] == pytest.approx(expected), activation


def test_controls_fail_the_sanity_checks_and_say_so(measure):
    content, rows = measure()
    for name in ("edge_map", "random_map"):
        assert rows["cascading_randomisation", name, None, None, None]["value"] == pytest.approx(1)
        assert len(content["methods"][name]["failed"]) == 2
    assert any("biases" in sentence for sentence in content["methods"]["gradient"]["satisfies"])


def test_the_threshold_of_the_iou_is_chosen_on_other_samples(measure, methods, samples):
    others = samples.subset(np.arange(10, 20))
    chosen = samples.subset(np.arange(10))
    _, rows = measure(chosen, tuning=lambda: others)
    maps = [methods["gradient"].attribute(part.images, part.targets).sum(1).numpy() for part in (others, chosen)]
    tuned = tune_threshold(maps[0], others.cause)
    row = rows["iou", "gradient", None, None, None]
    assert row["value"] == pytest.approx(iou_at(maps[1], chosen.cause, tuned.quantile)["value"].mean())
    assert row["parameters"] == {"quantile": tuned.quantile, "iou_of_choice": tuned.iou, "n_of_choice": 10}


def test_samples_are_kept_by_name_also_where_some_are_drawn(measure, samples):
    names = [f"image {place}" for place in range(20)]
    named = replace(samples, names=names)
    assert named.subset(np.array([3, 7])).names == ["image 3", "image 7"]
    with pytest.raises(ValueError, match="1 different names of 20 samples"):
        replace(samples, names=["image"] * 20)
    _, rows = measure(named)
    kept = rows["rank_accuracy", "gradient", None, None, None]["samples"]["ids"]
    assert set(kept) <= set(names)
    drawn = rows["noise_stability", "gradient", None, None, None]["samples"]["ids"]
    assert drawn == [names[place] for place in named.draw(len(drawn))]


def test_what_is_not_known_is_not_measured_and_says_why(measure, samples):
    bare = ImageSamples(samples.images, samples.targets, [None] * 20)
    _, rows = measure(bare, tuning=lambda: None)
    for name, word in (
        ("rank_accuracy", "no masks"),
        ("iou", "no threshold"),
        ("background_share", "background"),
        ("map_response", "phantoms"),
        ("seed_stability", "train again"),
    ):
        row = rows[name, "gradient", None, None, None]
        assert row["value"] is None
        assert word in row["reason"], name
    assert rows["sparseness", "gradient", None, None, None]["value"] > 0


def test_interventions_have_rows_of_output_and_maps(measure, samples):
    images = samples.images[:4].view(2, 2, 1, 12, 12)
    altered = AlteredImages("brightness", "a", 0, (0.0, 1.0), images, np.ones((2, 2, 12, 12), bool))
    _, rows = measure(interventions=lambda: [altered])
    assert rows["output_response", None, "a", None, "brightness"]["n"] == 2
    assert abs(rows["map_response", "edge_map", "a", None, "brightness"]["value"]) <= 1


def test_measures_that_are_known_replace_those_taken_here(measure):
    known = {"gradient": {"rank_accuracy": {"value": np.full(20, 0.25), "chance": np.full(20, 0.1)}}}
    _, rows = measure(known=known)
    assert rows["rank_accuracy", "gradient", None, None, None]["value"] == 0.25
    assert rows["rank_accuracy", "edge_map", None, None, None]["value"] != 0.25


def test_samples_of_different_shapes_are_refused(samples):
    with pytest.raises(ValueError, match="cause: found"):
        ImageSamples(samples.images, samples.targets, samples.labels, cause=np.zeros((20, 5, 5), bool))
    with pytest.raises(ValueError, match="20 images, targets"):
        ImageSamples(samples.images, samples.targets[:3], samples.labels)
