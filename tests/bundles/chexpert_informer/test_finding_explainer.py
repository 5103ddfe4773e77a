"""Maps of findings on the grid of the image: files, choice of cases, and what is measured of them."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from shared.data.errors import DataError
from shared.saliency.base import Attribution
from shared.saliency.similar_cases import SimilarCases

CLASSES = ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
SHAPE = (40, 60)  # wider than high: the network's square has zeros above and below


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


class Painted(Attribution):
    """The map of class k is 1 in the k-th fifth of the columns and 0 elsewhere."""

    def _attribute(self, images, target):
        maps = torch.zeros_like(images)
        width = images.shape[-1] // 5
        maps[..., target * width : (target + 1) * width] = 1
        return maps


class Zeros(torch.nn.Module):
    def forward(self, images):
        return torch.zeros(len(images), 5)


@pytest.fixture
def records(tmp_path):
    """Three images; the mask of finding k is the k-th fifth of the columns, the marker the top left corner."""
    rng, made = np.random.default_rng(0), []
    truth = np.zeros(SHAPE, np.uint8)
    for k in range(5):
        truth[:, 12 * k : 12 * (k + 1)] |= 1 << k
    truth[:8, :12] |= 32
    Image.fromarray(truth).save(tmp_path / "truth.png")
    for i, label in enumerate(([1, 1, 0, 0, 0], [0, 0, 1, None, 0], [0, 0, 0, 0, 1])):
        Image.fromarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)).save(tmp_path / f"{i}.png")
        paths = {"image": str(tmp_path / f"{i}.png"), "truth": str(tmp_path / "truth.png")}
        made.append({"id": f"image {i}", "patient": f"p{i}", "label": label, **paths})
    return made


def predictions(records, flagged=()):
    table = pd.DataFrame({"id": [record["id"] for record in records]})
    for k, name in enumerate(CLASSES):
        table[f"prediction_{name}"] = [int(record["label"][k] or 0) for record in records]
        table[f"alarm_{name}"] = [int((i, k) in flagged) for i in range(len(records))]
        table[f"confidence_{name}"] = 0.5
        table[f"logit_{name}"] = np.arange(len(records)) / 7
        table[f"decision_{name}"] = "accept"
        table[f"reason_{name}"] = "for no reason"
    return table


@pytest.fixture
def explain(scripts, records, tmp_path):
    def run(flagged=(), **options):
        images = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30)
        options = {"compared_method": "painted", "samples_per_finding": 1, "wrong_samples": 0, **options}
        explainer = scripts("finding_explainer").FindingExplainer(
            {"painted": Painted(Zeros())}, images, "cpu", tmp_path / "eval", batch_size=2, **options
        )
        explainer.run(predictions(records, flagged))
        return json.loads((tmp_path / "eval" / "explanations" / "index.json").read_text())

    return run


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.4, 0.3]}, (0.4, 0.3)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({}, (1, 1)),
    ],
)
def test_maps_lie_on_the_grid_of_a_dicom_image(explain, records, write_dicom, tmp_path, elements, expected):
    write_dicom(tmp_path / "a.dcm", 3, **elements)
    records[:] = [{"id": "a", "label": [1, 0, 0, 0, 0], "image": str(tmp_path / "a.dcm")}]
    explain()
    maps = [nibabel.load(path) for path in sorted((tmp_path / "eval").rglob("*.nii.gz"))]
    assert maps
    for one in maps:
        assert one.shape == (40, 48, 1)
        down, right = one.affine @ [1, 0, 0, 0], one.affine @ [0, 1, 0, 0]
        assert (np.linalg.norm(down), np.linalg.norm(right)) == pytest.approx(expected)


def test_maps_lie_on_the_grid_of_the_image(explain, tmp_path):
    index = explain()
    assert [sample["target"] for sample in index["samples"]] == [
        "atelectasis", "cardiomegaly", "consolidation", "pleural_effusion",
    ]  # fmt: skip
    for sample in index["samples"]:
        values = nibabel.load(tmp_path / "eval" / sample["methods"]["painted"]["nifti"]).get_fdata()[..., 0]
        assert values.shape == SHAPE
        k = CLASSES.index(sample["target"])
        assert values[20, 12 * k + 6] == pytest.approx(1)
        assert values[20, (12 * k + 36) % 60] == pytest.approx(0)
        others = sample["methods"]["painted"]["classes"]
        assert set(others) == set(CLASSES) - {sample["target"]}
        for name, files in others.items():
            other = nibabel.load(tmp_path / "eval" / files["nifti"]).get_fdata()[..., 0]
            assert other[20, 12 * CLASSES.index(name) + 6] == pytest.approx(1)
    folders = {sample["methods"]["painted"]["overlay_png"].rsplit("/", 1)[0] for sample in index["samples"]}
    assert len(folders) == 4, "two findings of one image do not overwrite one another"


def test_a_map_that_points_at_its_finding_alone_leads(explain):
    index = explain()
    quality = index["methods"]["painted"]["quality"]
    assert quality["localisation_auc"]["n"] == 4
    assert quality["localisation_auc"]["value"] > 0.95
    # the other maps of the image are 0 on the mask and 1 on another fifth: AUC (0.75 * 0.5 + 0.25 * 0)
    assert quality["localisation_lead"]["value"] == pytest.approx(
        quality["localisation_auc"]["value"] - 0.375, abs=0.05
    )
    assert set(index["methods"]["painted"]["by_finding"]) == {
        "atelectasis", "cardiomegaly", "consolidation", "pleural_effusion",
    }  # fmt: skip


def test_the_lead_is_the_difference_of_rank_areas(scripts, records):
    original = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30).original(0)
    maps = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32)
    quality = scripts("finding_quality").FindingQuality(CLASSES, "signed")
    quality.add(records[0], original, maps, [1])
    mask = original.mask(1).ravel()
    areas = [roc_auc_score(mask, attribution.ravel()) for attribution in maps]
    expected = areas[1] - np.mean([areas[k] for k in (0, 2, 3, 4)])
    assert quality.summary(None, 0)["quality"]["localisation_lead"]["value"] == pytest.approx(expected)


def test_the_share_on_the_marker_reveals_which_finding_looks_there(explain):
    marker = explain()["methods"]["painted"]["marker"]
    area = 8 * 12 / (40 * 60)
    assert marker["atelectasis"]["chance"] == pytest.approx(area)
    assert marker["atelectasis"]["value"] == pytest.approx(8 / 40, abs=0.03), "the first fifth of the columns"
    assert marker["edema"]["value"] == pytest.approx(0, abs=0.01)
    assert marker["atelectasis"]["n"] == 3


def test_a_flagged_prediction_is_shown_with_the_maps_of_all_findings(explain, tmp_path):
    (case,) = explain(flagged=[(2, 3)], samples_per_finding=0)["flagged"]
    assert (case["id"], case["target"], case["label"], case["prediction"]) == (
        "image 2",
        "edema",
        "no edema",
        "no edema",
    )
    assert list(case["maps"]) == ["edema", *(name for name in CLASSES if name != "edema")]
    assert all((tmp_path / "eval" / path).is_file() for path in case["maps"].values())


def test_boxes_are_drawn_on_every_picture_of_their_finding_and_change_no_number(explain, records, tmp_path):
    def pictures(index):
        """All pictures of image 1, its 4th finding's, as arrays."""
        (case,) = (sample for sample in index["samples"] if (sample["id"], sample["target"]) == ("image 1", "edema"))
        paths = [case["image_png"], case["methods"]["painted"]["overlay_png"]]
        return [np.asarray(Image.open(tmp_path / "eval" / path)).astype(int) for path in paths]

    del records[1]["truth"]
    nothing = {"samples_per_finding": 0, "flagged_samples": 1, "measured_samples": 0}
    plain = explain(flagged=[(1, 3)], **nothing)
    without = pictures(plain)
    records[1]["boxes"] = {"edema": [[0.1, 0.25, 0.5, 0.5]]}
    boxed = explain(boxed_samples=3, **nothing)
    assert [(sample["id"], sample["target"]) for sample in boxed["samples"]] == [("image 1", "edema")]
    # the picture is 350 pixels wide, the image 60: the box begins at 0.1 of the width, and ends at 0.6
    left = (14 + 0.1 * 350, 14 + 0.6 * 350)
    for before, after in zip(without, pictures(boxed), strict=True):
        changed = (np.abs(after - before)[70:280, :365].sum(axis=2) > 60).sum(axis=0)
        columns = np.flatnonzero(changed > 60)
        assert [columns.min(), columns.max()] == pytest.approx(left, abs=4)
    assert "quality" not in boxed["methods"]["painted"]
    records[1]["boxes"] = {"edema": [[0.1, 0.25]]}
    with pytest.raises(DataError, match=r"record 'image 1': boxes are .*expected for each finding a list of \[left"):
        explain(boxed_samples=3, **nothing)


def test_what_cannot_be_explained_is_refused(scripts, explain, records, tmp_path):
    with pytest.raises(DataError, match="compared_method is 'lime', expected one of painted"):
        explain(compared_method="lime")
    with pytest.raises(DataError, match="no finding is chosen"):
        explain(samples_per_finding=0, measured_samples=0)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "truth.png")
    with pytest.raises(DataError, match=r"truth\.png: is uint8 \(5, 5\), expected a bit image"):
        explain()


def test_what_was_watched_is_shown_first_and_measured_nowhere(explain, records):
    records[2]["watched"] = [4]
    index = explain()
    first, *others = index["samples"]
    assert (first["id"], first["target"], first["watched"]) == ("image 2", "pleural_effusion", True)
    assert [sample["target"] for sample in others] == ["atelectasis", "cardiomegaly", "consolidation"]
    assert "image 2" not in {sample["id"] for sample in others}
    assert not any("watched" in sample for sample in others)
    painted = index["methods"]["painted"]
    assert painted["quality"]["localisation_auc"]["n"] == 3
    assert painted["marker"]["atelectasis"]["n"] == 2


class NotedElements:
    """Measures nothing, and notes what it is given."""

    methods = ("painted",)
    pointing_radius = 0.0

    def write(self, samples, maps, further, known):
        self.samples, self.maps, self.further, self.known = samples, maps, further, known


def test_elements_are_measured_on_the_measured_findings(scripts, explain, records):
    noted = NotedElements()
    index = explain(elements=scripts("finding_elements").FindingElements(noted, group_key=None))
    samples = noted.samples
    assert samples.resampled == {"by": "sample", "n": 4}
    assert samples.targets.tolist() == [0, 1, 2, 4]
    assert samples.labels == [CLASSES[k] for k in (0, 1, 2, 4)]
    shown = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30)
    np.testing.assert_array_equal(samples.images.numpy(), shown.inputs([0, 0, 1, 2]).numpy())
    for row, finding in enumerate((0, 1, 2, 4)):
        assert noted.maps["painted"][row].sum() == 30 * 6
        assert (noted.maps["painted"][row][15] == 1).nonzero()[0].tolist() == list(range(6 * finding, 6 * finding + 6))
        assert (samples.cause[row, 15]).nonzero()[0].tolist() == list(range(6 * finding, 6 * finding + 6))
    quality = index["methods"]["painted"]["quality"]["localisation_auc"]
    assert noted.known["painted"]["localisation_auc"]["value"].mean() == pytest.approx(quality["value"])
    assert "localisation_lead" not in noted.known["painted"]


def test_without_masks_elements_are_measured_on_predicted_findings(scripts, explain, records):
    for record in records:
        del record["truth"]
    records[2]["label"] = [0, 0, 0, 0, None]
    noted = NotedElements()
    explain(elements=scripts("finding_elements").FindingElements(noted, group_key=None))
    assert noted.samples.targets.tolist() == [0, 1, 2]
    assert noted.samples.cause is None
    assert noted.samples.background.any(), "the padding"
    (row,) = noted.further
    assert "no masks" in row["reason"]


def test_similar_training_films_are_listed_and_drawn(scripts, explain, records, tmp_path):
    shown = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30)
    similar = SimilarCases(
        [{"image": image} for image in shown.inputs([2, 0, 1])],
        [{"id": f"t{place}", "label": [1, 0, None, 0, 1]} for place in (2, 0, 1)],
        embed=lambda items: torch.stack([item["image"].flatten() for item in items]),
        label=lambda record: scripts("findings").label_words(record["label"]),
        count=1,
    )
    for sample in explain(similar=similar)["samples"]:
        (case,) = sample["similar"]
        assert case["id"] == f"t{sample['id'].split()[1]}"
        assert case["label"] == "atelectasis, pleural effusion"
        assert (tmp_path / "eval" / case["image_png"]).is_file()


def test_a_logit_goes_with_the_area_of_its_finding(scripts, tmp_path):
    rng, records, areas = np.random.default_rng(0), [], []
    for place in range(12):
        truth = np.zeros((10, 10), np.uint8)
        truth[: 1 + place % 7, :5] = 1 << 3
        areas.append(float((truth > 0).mean()))
        Image.fromarray(truth).save(tmp_path / f"{place}.png")
        records.append({"id": str(place), "image": "none", "truth": str(tmp_path / f"{place}.png")})
    records.append({"id": "unknown", "image": "none"})
    table = pd.DataFrame({"id": [record["id"] for record in records]})
    for name in CLASSES:
        table[f"logit_{name}"] = rng.normal(size=13)
    images = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30)
    rows = {row["of"]: row for row in scripts("finding_elements").physical_relations(images, table)}
    expected = spearmanr(areas, table["logit_edema"][:12]).statistic
    assert rows["area of edema"]["value"] == pytest.approx(expected)
    assert rows["area of edema"]["n"] == 12
    assert rows["area of atelectasis"]["value"] is None
    assert "known of 0 samples" in rows["heart-to-chest ratio"]["reason"]


def test_thresholds_are_chosen_on_findings_that_are_present(scripts, records):
    shown = scripts("explained_images").ExplainedImages(records, CLASSES, image_size=30)
    samples = scripts("finding_elements").TuningFindings(shown, count=9)()
    assert samples.targets.tolist() == [0, 1, 2, 4]
    assert samples.cause.any(axis=(1, 2)).all()
    for record in records:
        del record["truth"]
    assert scripts("finding_elements").TuningFindings(shown, count=9)() is None


class TestChoice:
    @pytest.fixture
    def cases(self, scripts):
        return scripts("finding_cases")

    def test_shown_cases_are_what_their_group_says(self, cases):
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 2, (40, 3)).astype(float)
        labels[rng.random((40, 3)) < 0.2] = np.nan
        predictions, flagged = rng.integers(0, 2, (40, 3)), rng.random((40, 3)) < 0.1
        boxed = rng.random((40, 3)) < 0.2
        limits = {"per_finding": 2, "wrong": 3, "flagged_cases": 4, "boxed_cases": 5}
        chosen = cases.choose_shown(labels, predictions, flagged, boxed, **limits, seed=0)
        assert len(chosen) == len(set(chosen)) == 2 * 3 + 3 + 4 + 5
        for k in range(3):
            for image, finding in chosen[2 * k : 2 * k + 2]:
                assert finding == k
                assert predictions[image, k] == 1
                assert labels[image, k] != 0
        for image, finding in chosen[6:9]:
            assert labels[image, finding] == 1 - predictions[image, finding]
        assert all(flagged[case] for case in chosen[9:13])
        assert all(boxed[case] for case in chosen[13:])
        assert chosen == cases.choose_shown(labels, predictions, flagged, boxed, **limits, seed=0)

    def test_measured_cases_are_true_and_found_and_spread_over_the_findings(self, cases):
        rng = np.random.default_rng(2)
        labels, predictions = np.ones((30, 3)), np.ones((30, 3), dtype=int)
        labels[3:, 2] = 0  # three images with the last finding
        known = np.arange(30) % 2 == 0
        chosen = cases.choose_measured(labels, predictions, known, count=8, seed=0)
        assert all(known[image] and labels[image, finding] == 1 for image, finding in chosen)
        assert np.bincount([finding for _, finding in chosen]).tolist() == [3, 3, 2]
        predictions = rng.integers(0, 2, (30, 3))
        every = cases.choose_measured(labels, predictions, known, count=1000, seed=0)
        assert every == [tuple(case) for case in np.argwhere((labels == 1) & (predictions == 1) & known[:, None])]

    def test_watched_cases_are_present_and_found_again(self, cases):
        rng = np.random.default_rng(3)
        records = [{"id": i, "label": [None, 0, 1][i % 3 :] + [int(rng.integers(2))] * (i % 3)} for i in range(30)]
        records.append({"id": 30})
        chosen = cases.watched_cases(records, per_finding=2, seed=1)
        assert [finding for _, finding in chosen] == [0, 0, 1, 1, 2, 2]
        assert all(records[index]["label"][finding] == 1 for index, finding in chosen)
        marked = cases.watched_records(records, per_finding=2, seed=1)
        assert sorted((record["id"], k) for record in marked for k in record["watched"]) == sorted(chosen)
        assert cases.watched_records(records, per_finding=2, seed=1, besides=records) == []
        assert cases.watched_cases([{"id": 0}]) == []
