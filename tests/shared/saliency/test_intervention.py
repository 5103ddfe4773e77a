"""Rank correlations with the strength of a cause: SciPy as the oracle, regions that do not grow with the cause."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_1samp

from shared.saliency.intervention import (
    mean_response,
    rank_response,
    response_rows,
    share_in_cause,
    unaltered_rows,
)

STRENGTHS = (0.0, 0.2, 0.5, 0.7, 1.0)


def test_responses_are_spearmans_correlations():
    values = np.random.default_rng(0).integers(0, 4, (40, 5)).astype(float)  # with ties
    values = values[values.std(axis=1) > 0]
    expected = [spearmanr(line, STRENGTHS).statistic for line in values]
    np.testing.assert_allclose(rank_response(values, STRENGTHS), expected, atol=1e-12)


def test_what_does_not_respond_is_0_and_not_undefined():
    assert rank_response(np.full((2, 5), 3.0), STRENGTHS).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "strengths", "message"),
    [
        (np.zeros((2, 3)), (0, 1), "found"),
        (np.zeros((2, 1)), (0,), "at least two"),
        (np.zeros((2, 3)), (0, 1, 1), "rise"),
        (np.full((2, 2), np.nan), (0, 1), "finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(values, strengths, message):
    with pytest.raises(ValueError, match=message):
        rank_response(values, strengths)


def growing_cause(phantoms=3, size=12):
    """Squares that grow by one pixel from strength to strength, elsewhere in each phantom: ``(P, S, H, W)``."""
    masks = np.zeros((phantoms, len(STRENGTHS), size, size), bool)
    for phantom in range(phantoms):
        for step in range(len(STRENGTHS)):
            masks[phantom, step, phantom : phantom + step + 2, 2 : step + 4] = True
    return masks


def test_the_region_is_that_of_all_strengths():
    masks = growing_cause()
    maps = np.random.default_rng(0).normal(size=masks.shape)
    for sign, part in (("signed", maps), ("absolute", np.abs(maps)), ("positive", maps.clip(0))):
        found = share_in_cause(maps, masks, sign)
        for phantom in range(len(maps)):
            region = masks[phantom].any(axis=0)
            for step in range(len(STRENGTHS)):
                of_map = part[phantom, step]
                assert found[phantom, step] == pytest.approx(of_map[region].sum() / np.abs(of_map).sum())


def test_a_growing_cause_alone_moves_no_constant_map():
    masks = growing_cause()
    constant = share_in_cause(np.ones(masks.shape), masks)
    assert (rank_response(constant, STRENGTHS) == 0).all()
    following = share_in_cause(1.0 + masks, masks)
    assert (rank_response(following, STRENGTHS) == 1).all()
    assert (rank_response(share_in_cause(-1.0 - masks, masks), STRENGTHS) == -1).all()


def test_a_map_that_grows_everywhere_alike_does_not_respond():
    masks = growing_cause()
    pattern = np.random.default_rng(1).random((len(masks), 1, *masks.shape[2:]))
    scaled = pattern * (1 + np.array(STRENGTHS))[None, :, None, None]
    sums = (scaled * masks.any(axis=1, keepdims=True)).sum(axis=(2, 3))
    assert (rank_response(sums, STRENGTHS) == 1).all()
    assert (rank_response(share_in_cause(scaled, masks), STRENGTHS) == 0).all()


def test_instances_are_added_up_like_pixels():
    values = np.array([[[1.0, 2.0, 4.0], [1.0, -3.0, 4.0]]])  # one bag of three instances at two strengths
    causes = np.array([[[False, True, False], [False, True, True]]])
    np.testing.assert_allclose(share_in_cause(values, causes), [[6 / 7, 1 / 8]])


def test_a_map_of_zeros_has_no_share():
    masks = growing_cause()
    assert (share_in_cause(np.zeros(masks.shape), masks) == 0).all()


def test_a_cause_that_is_nowhere_is_refused():
    masks = growing_cause()
    masks[1] = False
    with pytest.raises(ValueError, match="sample 1 is nowhere"):
        share_in_cause(np.zeros(masks.shape), masks)


def test_intervals_are_students():
    values = np.array([0.1, 0.4, -0.2, 0.3, 0.5])
    found, ends = mean_response(values), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found["value"], found["n"]) == (pytest.approx(values.mean()), 5)
    assert found["ci95"] == pytest.approx([ends.low, ends.high])
    assert mean_response([1.0, 0.9, 0.2])["ci95"][1] == 1.0  # no correlation is higher


def test_intervals_of_few_samples_cover_what_they_claim():
    """95 of 100 intervals of three samples hold the mean that the samples were drawn around."""
    drawn = np.random.default_rng(0).normal(0.1, 0.1, (2000, 3))
    held = [low <= 0.1 <= high for low, high in (mean_response(values)["ci95"] for values in drawn)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("values", "word"), [([0.4], "too few"), ([0.4, 0.6], "too few"), ([0.5] * 4, "alike")])
def test_where_there_is_no_interval_the_reason_is_said(values, word):
    found = mean_response(values)
    assert found["value"] == pytest.approx(np.mean(values))
    assert found["ci95"] is None
    assert word in found["reason"]


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        mean_response([])


def test_rows_are_of_all_samples_and_of_each_class():
    responses = {("size", "cat"): [1.0, 0.5], ("size", "dog"): [0.0, 0.2, 0.3], ("mass", None): [1.0, 1.0]}
    rows = response_rows("map_response", responses, "lime", {"size": STRENGTHS, "mass": (0, 1)})
    by_place = {(row["of"], row.get("label")): row for row in rows}
    assert set(by_place) == {("size", None), ("size", "cat"), ("size", "dog"), ("mass", None)}
    whole = by_place["size", None]
    assert (whole["value"], whole["n"], whole["chance"]) == (pytest.approx(0.4), 5, 0.0)
    assert whole["ci95"][0] < 0.4 < whole["ci95"][1]
    assert whole["parameters"] == {"strengths": list(STRENGTHS)}
    assert by_place["size", "dog"]["value"] == pytest.approx(0.5 / 3)
    # two samples: no interval is claimed
    assert by_place["mass", None]["ci95"] is None
    assert "too few" in by_place["mass", None]["reason"]


def test_unaltered_data_say_why():
    rows = unaltered_rows(["lime", "lrp"])
    assert [(row["measure"], row.get("method")) for row in rows] == [
        ("output_response", None), ("map_response", "lime"), ("map_response", "lrp"),
    ]  # fmt: skip
    assert all(row["value"] is None and "phantoms" in row["reason"] for row in rows)
