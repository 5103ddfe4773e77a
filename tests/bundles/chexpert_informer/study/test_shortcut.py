"""Films with and without the text, which of them are tested, and what of a map lies on the text."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def phantoms(scripts):
    return scripts("study.settings").Phantoms([5], {"train": 4, "valid": 4, "test": 6}, None, {}, 1.0)


def test_pairs_differ_in_the_text_only(scripts, phantoms, tmp_path):
    from shared.data.arrays import read_image

    pairs = scripts("study.films").draw_pairs(tmp_path, phantoms, 5, 64, films=3)
    decode = scripts("findings").TRUTH.decode
    studies = scripts("phantom_patients").sample_studies(phantoms.patients, 5, "shortcut")
    tested = [study for study in studies if study.table == "test"][:3]
    for (without, with_text, tied), study in zip(pairs, tested, strict=True):
        marker = decode(read_image(with_text["truth"]), "marker")
        assert marker.any()
        assert not decode(read_image(without["truth"]), "marker").any()
        first, second = (read_image(record["image"]).astype(int) for record in (without, with_text))
        assert (first != second)[marker].any()
        np.testing.assert_array_equal(first[~marker], second[~marker])
        assert without["label"] == with_text["label"] == [int(value) for value in study.present]
        assert without["patient"] == with_text["patient"] == f"patient{study.patient:05d}"
        assert tied == study.marker


def test_mass_on_the_text(scripts):
    rng = np.random.default_rng(0)
    maps, marker = rng.normal(size=(2, 3, 1, 4, 4)), rng.random((2, 4, 4)) < 0.4
    maps[1, 2] = 0
    found = scripts("study.shortcut_run").mass_on_marker(maps, marker)
    for image in range(2):
        for finding in range(3):
            values = maps[image, finding, 0]
            inside = sum(abs(values[i, j]) for i in range(4) for j in range(4) if marker[image, i, j])
            total = np.abs(values).sum()
            expected = inside / total if total else np.nan
            np.testing.assert_allclose(found[image, finding], expected)


@pytest.fixture(scope="module")
def results(scripts, make_doubts):
    """Two networks of one seed: that with the shortcut adds 4 to the logit of effusion where there is text."""
    from dataclasses import replace

    sections, pooled = scripts("study.shortcut_sections"), scripts("study.pooled")
    settings = scripts("study.settings").read_settings("quick")
    fitted = pooled.fit_network(make_doubts(200, 1), settings)
    without = make_doubts(60, 2)
    raised = replace(without, logits=without.logits + np.array([0, 0, 0, 0, 4.0]))
    versions = {
        "shortcut": (fitted.applied(without), fitted.applied(raised)),
        "plain": (fitted.applied(without), fitted.applied(without)),
    }
    tied = np.random.default_rng(0).random(60) < 0.5
    masses = {("shortcut", "lrp"): np.tile([0.1, 0.1, 0.1, 0.1, 0.5], (8, 1)), ("plain", "lrp"): np.full((8, 5), 0.02)}
    return sections.ShortcutResults(4, [tied], [versions], masses, np.full(8, 0.02), {})


def test_a_policy_takes_one_version_of_each_film(results):
    without, with_text = results.versions[0]["shortcut"]
    present = without.label[:, 4] == 1
    expected = {
        "as in training": np.where(results.tied[0], with_text.margin[:, 4], without.margin[:, 4]),
        "on none": without.margin[:, 4],
        "on all": with_text.margin[:, 4],
        "against the finding": np.where(present, without.margin[:, 4], with_text.margin[:, 4]),
    }
    for policy, margin in expected.items():
        applied = results.under(policy, "shortcut")
        np.testing.assert_array_equal(applied.margin[:, 4], margin)
        np.testing.assert_array_equal(applied.prediction[:, 4], margin > 0)
        np.testing.assert_array_equal(applied.margin[:, :4], without.margin[:, :4])


def test_the_text_costs_the_network_that_learned_it(scripts, results):
    rows = scripts("study.shortcut_sections").prediction_section(results, 50).rows
    area = {tuple(row.names.values()): row.cells["AUC, pleural effusion"].value for row in rows}
    learned, random = "trained with the shortcut", "trained with random text"
    assert area[learned, "against the finding"] < area[learned, "on none"] - 0.2
    assert area[random, "against the finding"] == area[random, "on none"] == area[learned, "on all"]
    others = {row.cells["AUC, mean of the others"].value for row in rows}
    assert len(others) == 1


def test_maps_on_the_text_are_told_from_its_area(scripts, results):
    rows = scripts("study.shortcut_sections").map_section(results, 50).rows
    cells = {row.names["network"]: row.cells for row in rows}["trained with the shortcut"]
    assert cells["map of pleural effusion"] == "0.500 (all resamples agree)"
    assert cells["maps of the others"] == "0.100 (all resamples agree)"
    assert cells["area of the text"] == "0.020 (all resamples agree)"


def test_flags_before_and_against_the_text(scripts, results):
    rows = scripts("study.shortcut_sections").revealing_section(results, 50).rows
    usual, misled = (results.under(name, "shortcut") for name in ("as in training", "against the finding"))
    for row, alarm in zip(rows, usual.flags, strict=True):
        for heading, applied in (("text as in training", usual), ("text against the finding", misled)):
            cell = row.cells[f"flagged, {heading}"]
            value = float(cell.split()[0]) if isinstance(cell, str) else cell.value
            assert value == pytest.approx(applied.flags[alarm][:, 4].mean(), abs=5e-4)
