"""Rank correlations with the strength of a cause: SciPy as the oracle, regions that do not grow with the cause."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.saliency.intervention import attribution_in_cause, rank_response, response_rows, unaltered_rows

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
        found = attribution_in_cause(maps, masks, sign)
        for phantom in range(len(maps)):
            region = masks[phantom].any(axis=0)
            for step in range(len(STRENGTHS)):
                assert found[phantom, step] == pytest.approx(part[phantom, step][region].sum())


def test_a_growing_cause_alone_moves_no_constant_map():
    masks = growing_cause()
    constant = attribution_in_cause(np.ones(masks.shape), masks)
    assert (rank_response(constant, STRENGTHS) == 0).all()
    following = attribution_in_cause(masks.astype(float), masks)
    assert (rank_response(following, STRENGTHS) == 1).all()


def test_instances_are_added_up_like_pixels():
    values = np.array([[[1.0, 2.0, 4.0], [1.0, 3.0, 4.0]]])  # one bag of three instances at two strengths
    causes = np.array([[[False, True, False], [False, True, True]]])
    assert attribution_in_cause(values, causes).tolist() == [[6.0, 7.0]]


def test_a_cause_that_is_nowhere_is_refused():
    masks = growing_cause()
    masks[1] = False
    with pytest.raises(ValueError, match="sample 1 is nowhere"):
        attribution_in_cause(np.zeros(masks.shape), masks)


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
    # all samples respond alike: no interval is claimed
    assert by_place["mass", None]["ci95"] is None
    assert by_place["mass", None]["reason"] == "all resamples agree"


def test_unaltered_data_say_why():
    rows = unaltered_rows(["lime", "lrp"])
    assert [(row["measure"], row.get("method")) for row in rows] == [
        ("output_response", None), ("map_response", "lime"), ("map_response", "lrp"),
    ]  # fmt: skip
    assert all(row["value"] is None and "phantoms" in row["reason"] for row in rows)
