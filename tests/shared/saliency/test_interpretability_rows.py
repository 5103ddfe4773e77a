"""Rows of the interpretability file: every measure once, with what was measured or why not, by class and by size."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evaluation.interpretability.file import read_interpretability, write_interpretability
from shared.evaluation.interpretability.measures import MEASURES
from shared.saliency.interpretability_rows import map_rows, measure_rows
from shared.saliency.map_measures import map_measures
from shared.saliency.overlap import TunedThreshold
from shared.saliency.quality import summarise_quality

OF_MAPS = {
    *("rank_accuracy", "localisation_auc", "mass_accuracy", "pointing_game", "iou"),
    *("sparseness", "entropy", "background_share", "edge_agreement"),
    *("cause_share", "distractor_share", "shortcut_share"),
}
TUNED = TunedThreshold(0.9, 0.5, 12)


def sample(batch=24, side=12, seed=0):
    """Maps, images and masks of growing size; the last sample has no mask."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((batch, side, side), dtype=bool)
    for index in range(batch - 1):
        masks[index, 2 : 4 + index // 4, 3:6] = True
    maps = rng.normal(size=masks.shape) + masks
    return maps, rng.normal(size=masks.shape), masks


def of(rows, measure, **place):
    wanted = {"label": None, "size": None} | place
    (entry,) = [
        entry
        for entry in rows
        if entry["measure"] == measure and all(entry.get(key) == value for key, value in wanted.items())
    ]
    return entry


def test_every_measure_of_maps_has_a_row_whatever_is_given(tmp_path):
    maps, images, masks = sample()
    corner = np.zeros_like(masks)
    corner[:, :2, :2] = True
    everything = map_rows(
        "lime", maps, images=images, masks=masks, background=corner, distractor=corner, shortcut=corner, tuned=TUNED
    )
    nothing = map_rows("lrp", maps)
    for rows in (everything, nothing):
        assert {entry["measure"] for entry in rows if "size" not in entry} == OF_MAPS <= set(MEASURES)
    assert all(entry["value"] is not None for entry in everything)
    assert {entry["measure"] for entry in nothing if entry["value"] is not None} == {"sparseness", "entropy"}
    assert "where the cause is" in of(nothing, "rank_accuracy")["reason"]
    assert "validation" in of(map_rows("lrp", maps, masks=masks), "iou")["reason"]
    described = {name: {"title": name, "control": False, "parameters": {}} for name in ("lime", "lrp")}
    file = write_interpretability(
        tmp_path / "file.json", everything + nothing, described, bundle="b", unit="cell", model={}, provenance={}
    )
    assert len(read_interpretability(file)["rows"]) == len(everything) + len(nothing)


def test_rows_hold_the_means_of_the_measures_with_interval_chance_and_counts():
    maps, images, masks = sample()
    donors = np.arange(len(maps)) // 2
    rows = map_rows("lime", maps, images=images, masks=masks, tuned=TUNED, groups=donors, seed=3, radius=1.5)
    quality = map_measures(maps, images=images, masks=masks, tuned=TUNED, radius=1.5)
    summary = summarise_quality(quality, groups=donors, seed=3)
    for measure, part in quality.items():
        entry = of(rows, measure)
        assert entry["value"] == pytest.approx(np.nanmean(part["value"]))
        assert entry["ci95"] == summary[measure]["ci95"]
        assert entry["ci95"][0] < entry["value"] < entry["ci95"][1]
    assert of(rows, "iou")["chance"] == pytest.approx(np.nanmean(quality["iou"]["chance"]))
    assert (of(rows, "iou")["n"], of(rows, "iou")["n_without_mask"]) == (23, 1)
    assert of(rows, "iou")["parameters"] == {"quantile": 0.9, "iou_of_choice": 0.5, "n_of_choice": 12}
    assert of(rows, "pointing_game")["parameters"] == {"radius": 1.5}
    assert of(rows, "sparseness")["n"] == 24
    assert of(rows, "sparseness")["chance"] is None
    assert "n_without_mask" not in of(rows, "sparseness")
    assert of(rows, "edge_agreement")["chance"] == 0.0


def test_sign_decides_what_of_a_map_counts():
    maps, _, masks = sample()
    signed, absolute = (
        map_rows("lime", -8.0 * masks + maps, masks=masks, sign=sign) for sign in ("signed", "absolute")
    )
    assert of(signed, "localisation_auc")["value"] < 0.2
    assert of(absolute, "localisation_auc")["value"] > 0.9


def test_data_without_marks_name_the_variant_that_has_them():
    """Whether no region is given, or one that is nowhere."""
    maps, _, masks = sample()
    for nowhere in (None, np.zeros_like(masks)):
        rows = map_rows(
            "lime",
            maps,
            distractor=nowhere,
            shortcut=nowhere,
            labels=["a", "b"] * 12,
            variants={"shortcut": "text"},
        )
        assert of(rows, "distractor_share")["reason"] == "the data mark no distractor"
        reason = of(rows, "shortcut_share")["reason"]
        assert reason.startswith("the data mark no shortcut; phantoms of the variant 'text' do")
        assert "--variant text" in reason
        assert sum(row["measure"] == "shortcut_share" for row in rows) == 1


def test_a_tolerance_in_pixels_is_not_one_of_another_grid():
    maps, _, masks = sample()
    elsewhere = {"value": np.full(24, 0.125), "chance": np.full(24, 0.1)}
    known = {"pointing_game": elsewhere, "rank_accuracy": elsewhere}
    strict = map_rows("lime", maps, masks=masks, known=known)
    tolerant = map_rows("lime", maps, masks=masks, known=known, radius=2.0)
    assert of(strict, "pointing_game")["value"] == of(tolerant, "rank_accuracy")["value"] == 0.125
    expected = map_measures(maps, masks=masks, radius=2.0)["pointing_game"]["value"]
    assert of(tolerant, "pointing_game")["value"] == pytest.approx(np.nanmean(expected))


def test_rows_of_classes_and_of_thirds_of_size():
    maps, images, masks = sample()
    labels = [None, *(["a", "b"] * 12)[:23]]
    rows = map_rows("lime", maps, images=images, masks=masks, labels=labels)
    quality = map_measures(maps, images=images, masks=masks)
    area = masks.sum(axis=(1, 2))
    for measure, part in quality.items():
        for label in ("a", "b"):
            chosen = np.array([own == label for own in labels])
            assert of(rows, measure, label=label)["value"] == pytest.approx(np.nanmean(part["value"][chosen]))
    value = quality["cause_share"]["value"]
    # areas 6, 9, … 21: four samples each, three of the last
    for size, chosen in (("small", area < 12), ("medium", (area >= 12) & (area < 18)), ("large", area >= 18)):
        entry = of(rows, "cause_share", size=size)
        assert entry["value"] == pytest.approx(np.nanmean(value[chosen & (area > 0)]))
        assert entry["n"] == (chosen & (area > 0)).sum()
    assert {entry["measure"] for entry in rows if "size" in entry} == OF_MAPS - {
        *("iou", "sparseness", "entropy", "background_share", "edge_agreement", "distractor_share", "shortcut_share")
    }
    one_class = map_rows("lime", maps, labels=["a"] * 24)
    assert not any("label" in entry for entry in one_class)


def test_sizes_may_come_from_elsewhere_and_a_third_may_be_empty():
    quality = {"rank_accuracy": {"value": np.array([0.1, 0.3, 0.8]), "chance": np.full(3, 0.2)}}
    rows = measure_rows("lime", quality, sizes=[5.0, 5.0, np.nan])
    assert of(rows, "rank_accuracy", size="small")["value"] == pytest.approx(0.2)
    assert of(rows, "rank_accuracy", size="large")["value"] is None
    assert of(rows, "rank_accuracy", size="large")["reason"] == "no sample of this size"
    assert of(rows, "rank_accuracy")["value"] == pytest.approx(0.4)


def test_maps_that_leave_a_measure_undefined_are_named():
    maps, images, masks = sample(batch=6)
    maps[1] = 0.0
    entry = of(map_rows("lime", maps, images=images), "sparseness")
    assert entry["n"] == 5
    assert "1 of 6" in entry["reason"]
    nothing = of(map_rows("lime", np.zeros_like(maps), images=images), "edge_agreement")
    assert nothing["value"] is None
    assert nothing["reason"] == "undefined for 6 of 6 samples, whose map is zero or constant"
    empty = map_rows("lime", maps, masks=np.zeros_like(masks))
    assert of(empty, "rank_accuracy")["value"] is None
    assert of(empty, "rank_accuracy")["n_without_mask"] == 6
    assert "neither empty" in of(empty, "rank_accuracy")["reason"]
    assert not any("size" in entry for entry in empty)


def test_one_sample_has_no_interval_and_says_so():
    maps, images, masks = sample(batch=2)
    rows = map_rows("lime", maps[:1], images=images[:1], masks=masks[:1])
    assert of(rows, "sparseness")["ci95"] is None
    assert of(rows, "sparseness")["reason"] == "only one group"


@pytest.mark.parametrize("option", [{"labels": ["a"]}, {"sizes": [1.0]}, {"groups": [1]}])
def test_what_does_not_fit_the_samples_is_refused(option):
    maps, _, masks = sample(batch=4)
    with pytest.raises(ValueError, match=f"{next(iter(option))} must have one entry for each of the 4 samples"):
        map_rows("lime", maps, masks=masks, **option)


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="unknown measure 'nonsense'"):
        measure_rows("lime", {"nonsense": {"value": np.ones(3), "chance": np.ones(3)}})
