"""What is shown of explained images is what the methods gave, under names that are safe, beside what is like them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from shared.data.errors import DataError
from shared.saliency.input_gradient import InputXGradient
from shared.saliency.similar_cases import SimilarCases
from tests.shared.saliency.explained_images import (
    CLASSES,
    ImageTimesTarget,
    explain,
    number,
)


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
