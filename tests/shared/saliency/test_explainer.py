"""What explaining writes is what the methods gave, and its quality is measured where it means something."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from shared.data.errors import DataError
from shared.evaluation.bootstrap import bootstrap_interval, weighted_mean
from shared.saliency.base import Attribution
from shared.saliency.explainer import Explainer
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.integrated_gradients import IntegratedGradients
from shared.saliency.lime import LIME, lime_stability
from shared.saliency.quality import map_quality
from shared.saliency.similar_cases import SimilarCases

CLASSES = ["cat", "dog", "owl"]
CAUSE = 8


@pytest.fixture(autouse=True)
def few_donors_will_do(monkeypatch):
    """The sets here are small: resample donors however few they are."""
    monkeypatch.setattr("shared.evaluation.resampling_groups.MINIMUM_GROUPS", 1)


class ImageTimesTarget(Attribution):
    """The image times one more than the target: shows which image was explained for which class."""

    def __init__(self, network, factor=1.0):
        super().__init__(network)
        self.factor = factor
        self.batches = []

    def _attribute(self, images, target):
        self.batches.append(len(images))
        return self.factor * images * (target + 1)[:, None, None, None]


@pytest.fixture
def world(tmp_path):
    """30 samples of known class, the first five wrongly predicted, and 4 outliers of two kinds."""
    rng = np.random.default_rng(0)
    dataset, records, predictions = [], [], []
    for index in range(34):
        label = index % 3
        image = rng.random((1, 12, 12))
        truth = (rng.random((12, 12)) < 0.2).astype(np.uint8) * CAUSE + rng.integers(0, 8, (12, 12), dtype=np.uint8)
        record = {"id": f"s/{index}", "donor": f"D{index % 4}"}
        predicted = label if index >= 5 else (label + 1) % 3
        if index < 30:
            path = tmp_path / f"truth_{index}.npy"
            np.save(path, truth)
            record |= {"label": label, "truth": str(path)}
        else:
            record |= {"kind": "empty" if index % 2 else "blurred"}
        dataset.append({"image": torch.from_numpy(image)})
        records.append(record)
        predictions.append(
            {
                "id": record["id"],
                "prediction": CLASSES[predicted],
                "confidence": 0.5,
                "decision": "defer",
                "reason": "unsure",
            }
        )
    return dataset, records, predictions


def make_explainer(world, network, tmp_path, methods=None, **options):
    dataset, records, _ = world
    methods = {"stub": ImageTimesTarget(network)} if methods is None else methods
    return Explainer(methods, dataset, records, CLASSES, "cpu", tmp_path / "eval", **{"truth_bit": CAUSE, **options})


def explain(world, network, tmp_path, methods=None, **options):
    file = make_explainer(world, network, tmp_path, methods, **options).run(world[2])
    assert file == tmp_path / "eval" / "explanations" / "index.json"
    return json.loads(file.read_text())


def number(entry):
    return int(entry["id"].split("/")[1])


def cause(world, index):
    return (np.load(world[1][index]["truth"]) & CAUSE) > 0


def test_maps_are_written_as_the_method_gave_them(world, network, tmp_path):
    methods = {"gradient": InputXGradient(network), "stub": ImageTimesTarget(network)}
    index = explain(world, network, tmp_path, methods, batch_size=7, pixel_size_um=0.5)
    assert [entry["label"] for entry in index["samples"][:6]] == ["cat", "cat", "dog", "dog", "owl", "owl"]
    assert [entry["kind"] for entry in index["samples"][9:]] == ["blurred", "empty"]
    assert [entry["label"] == entry["prediction"] for entry in index["samples"]] == [True] * 6 + [False] * 5
    for entry in index["samples"]:
        image = world[0][number(entry)]["image"]
        target = CLASSES.index(entry["target"])
        assert entry["target"] == entry["prediction"]
        for name, method in methods.items():
            files = entry["methods"][name]
            nifti = nib.load(tmp_path / "eval" / files["nifti"])
            expected = method.attribute(image[None], torch.tensor([target]))[0, 0].numpy().astype(np.float32)
            np.testing.assert_allclose(nifti.get_fdata()[:, :, 0], expected, rtol=1e-5, atol=1e-7)
            assert nifti.header.get_zooms()[:2] == pytest.approx((0.0005, 0.0005))
            with Image.open(tmp_path / "eval" / files["overlay_png"]) as picture:
                assert min(picture.size) > 300
        with Image.open(tmp_path / "eval" / entry["image_png"]) as picture:
            assert min(picture.size) > 300
    assert len({entry["image_png"] for entry in index["samples"]}) == len(index["samples"])
    assert max(methods["stub"].batches) == 7


def test_a_viewer_gets_the_maps_of_all_other_classes(world, network, tmp_path):
    methods = {"gradient": InputXGradient(network), "stub": ImageTimesTarget(network)}
    index = explain(world, network, tmp_path, methods, batch_size=7, class_methods=["gradient"])
    for entry in index["samples"]:
        image = world[0][number(entry)]["image"]
        others = entry["methods"]["gradient"]["classes"]
        assert set(others) == set(CLASSES) - {entry["target"]}
        assert "classes" not in entry["methods"]["stub"]
        for label, files in others.items():
            expected = methods["gradient"].attribute(image[None], CLASSES.index(label))[0, 0].numpy()
            written = nib.load(tmp_path / "eval" / files["nifti"]).get_fdata()[:, :, 0]
            np.testing.assert_allclose(written, expected, rtol=1e-5, atol=1e-7)
            with Image.open(tmp_path / "eval" / files["layer_png"]) as layer:
                assert layer.size == expected.shape[::-1]
    with pytest.raises(DataError, match="class_methods: 'lrp' is none of the methods gradient, stub"):
        explain(world, network, tmp_path, methods, class_methods=["lrp"])


def test_pictures_carry_proper_names_and_files_the_keys(world, network, tmp_path, monkeypatch):
    captions = {}

    def note_caption(path, *_, subtitle, **__):
        captions[path.name] = subtitle

    monkeypatch.setattr("shared.saliency.explanation_files.write_overlay", note_caption)
    methods = dict.fromkeys(("grad_cam_plus_plus", "evet", "my_own"), ImageTimesTarget(network))
    index = explain(world, network, tmp_path, methods)
    titles = {"grad_cam_plus_plus": "Grad-CAM++", "evet": "EVET", "my_own": "My own"}
    assert captions == {f"{name}.png": title for name, title in titles.items()}
    assert {name: entry["title"] for name, entry in index["methods"].items()} == titles


def test_an_entry_says_what_the_prediction_said(world, network, tmp_path):
    for position, row in enumerate(world[2]):
        row |= {"confidence": position / 40, "decision": ["accept", "reject"][position % 2], "reason": f"r{position}"}
    index = explain(world, network, tmp_path, provenance={"seed": 3})
    assert index["provenance"] == {"seed": 3}
    for entry in index["samples"]:
        row = world[2][number(entry)]
        assert {key: entry[key] for key in row} == row


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


def test_the_gallery_is_seeded(world, network, tmp_path):
    few = {"samples_per_class": 1, "wrong_samples": 1, "samples_per_kind": 0}
    chosen = [
        [entry["id"] for entry in explain(world, network, tmp_path, seed=seed, **few)["samples"]] for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\x00b", "Zelle ☃/é\n", "x" * 300, "C:\\x"])
def test_hostile_ids_stay_inside_the_folder(world, network, tmp_path, name):
    dataset, records, predictions = world
    records[7]["id"] = predictions[7]["id"] = name
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    dataset, records, predictions = [dataset[7]], [records[7]], [predictions[7]]
    index = explain((dataset, records, predictions), network, tmp_path)
    folder = tmp_path / "eval" / "explanations"
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.resolve().is_relative_to(folder) for path in written)
    (entry,) = index["samples"]
    view = entry["view"]
    files = [entry["image_png"], view["image_png"], view["outline_png"], "explanations/index.json"]
    files += [entry["methods"]["stub"][key] for key in ("overlay_png", "layer_png", "nifti")]
    assert written == {tmp_path / "eval" / file for file in files}
    assert entry["id"] == name
    assert (tmp_path / "eval" / entry["image_png"]).resolve() in written


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


def test_similar_training_cases_are_listed_and_drawn(world, network, tmp_path):
    training = [{"image": item["image"] + 0.01} for item in world[0][:12]]
    similar = SimilarCases(
        training,
        [{"id": f"t{place}"} for place in range(12)],
        embed=lambda items: torch.stack([item["image"].flatten() for item in items]),
        label=lambda record: record["id"].upper(),
        count=2,
    )
    index = explain(world, network, tmp_path, similar=similar)
    found = 0
    for entry in index["samples"]:
        first, second = entry["similar"]
        assert first["similarity"] >= second["similarity"]
        assert first["label"] == first["id"].upper()
        assert (tmp_path / "eval" / first["image_png"]).read_bytes().startswith(b"\x89PNG")
        if number(entry) < 12:
            assert first["id"] == f"t{number(entry)}"
            found += 1
    assert found > 0
    assert "similar" not in explain(world, network, tmp_path)["samples"][0]
