"""Alarms on several labels: what stands in the files is what stands on the page, in tables and in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from shared.data.errors import DataError
from shared.report.build import build_report
from tests.shared.report.conftest import FINDINGS, WEIGHTS
from tests.shared.report.html_page import Page


def entry(value, p=None):
    return {"value": value, "ci95": [value - 0.1, value + 0.1]} | ({} if p is None else {"p": p, "detectable": 0.07})


def each(value, **further):
    return {name: entry(value, **further) for name in (*FINDINGS, "mean")}


def alarm(f1, gain):
    return {
        "flagged": {name: {"n": 6, "share": 0.025, "without_doubt": 1} for name in FINDINGS},
        "swapping": {"f1": each(f1)},
        "deferring": {"coverage": each(0.8), "error_rate": each(0.2), "sensitivity": each(0.7)},
        "differences": {"entropy": {"swapping": {"f1": each(gain, p=0.012)}}},
        "predictive_values": {"Edema": [{"prevalence": 0.02, "ppv": entry(0.31), "npv": entry(0.87)}]},
        "additional_cases": {"entropy": {"Edema": {"incidence": 5000, "gain": 0.01, "cases": {"value": 50}}}},
    }


CURVE = {"coverage": [0.5, 1.0], "risk": [0.1, 0.2]}
LABEL = {"slope": 0.5, "intercept": 0.0, "threshold": 0.123, "temperature": {"loss_before": 0.7, "loss_after": 0.6}}
YOUDEN = {"sensitivity": 0.812, "specificity": 0.745, "n": 99, "n_positive": 33}


@pytest.fixture
def evaluated(write_files, tmp_path):
    """A multi-label bundle with alarms, calibration and flagged images; returns a function that builds its page."""
    folder = write_files.multi(tmp_path / "chexpert_informer", n=60)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics |= {
        "alarm": {"name": "informer_lrp", "action": "defer", "method": "lrp"},
        "alarms": {
            "titles": {"informer_lrp": "INFORMER, LRP", "entropy": "Predictive entropy"},
            "baselines": ["entropy"],
            "findings": {name: {"known": 50, "positive": 11} for name in FINDINGS},
            "resampling": {"by": "patient", "n": 41},
            "before": {"f1": each(0.501)},
            "bootstrapped_sets": {"sets": 30},
            "alarms": {"entropy": alarm(0.511, 0.0), "informer_lrp": alarm(0.622, 0.111)},
        },
        "alarm_figures": {
            "bootstrapped_sets": {"informer_lrp": [0.5, 0.6, 0.7], "entropy": [0.4, 0.5, 0.6]},
            "risk_coverage": {"Edema": {"informer_lrp": CURVE, "entropy": CURVE}},
        },
        "decision_curves": {
            "Edema": {"threshold": [0.1, 0.5], "net_benefit": [0.2, 0.1], "low": [0.1, 0.0], "high": [0.3, 0.2]}
            | {"treat_all": [0.2, -0.4], "n": 50, "prevalence": 0.2}
        },
        "model": {"settings": {"image_size": 96, "growth_rate": 32}, "default": {"image_size": 320, "growth_rate": 32}},
    }
    labels = {FINDINGS[0]: {**LABEL, "youden": YOUDEN, "caveats": ["few samples"]}, FINDINGS[1]: LABEL}
    calibration = {
        "weights_sha256": WEIGHTS,
        "split": "validation",
        "label_calibration": {
            "method": "temperature",
            "labels": labels,
            "undetermined": {FINDINGS[1]: "all are absent"},
        },
    }
    explanations = folder / "explanations"
    explanations.mkdir()
    for name in ("image", *FINDINGS):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(explanations / f"{name}.png")
    flagged = {
        "id": "patient00007/study1",
        "target": "Edema",
        "label": "no Edema",
        "prediction": "Edema",
        "reason": "present: probability 0.6; alarm: too similar",
        "method": "lrp",
        "image_png": "explanations/image.png",
        "maps": {name: f"explanations/{name}.png" for name in ("Edema", *FINDINGS[:2])},
    }
    marker = {"Edema": {"value": 0.4, "ci95": [0.3, 0.5], "chance": 0.01, "n": 12}}
    index = {"samples": [], "flagged": [flagged], "methods": {"lrp": {"title": "LRP", "marker": marker}}}

    def build(change=lambda *_: None):
        change(metrics, calibration, index)
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder.parent / "models").mkdir(exist_ok=True)
        (folder.parent / "models" / "calibration.json").write_text(json.dumps(calibration))
        (explanations / "index.json").write_text(json.dumps(index))
        return Page(build_report(folder, folder.parent).read_text())

    return build


def test_alarms_stand_in_tables_with_their_controls(evaluated):
    page = evaluated()
    f1, differences, kept = [row for row in page.rows if row and row[0].startswith("INFORMER, LRP")]
    assert [cell.split()[0] for cell in kept[1:]] == ["80.0", "20.0", "70.0", "\u2013"]
    assert f1[0] == "INFORMER, LRP (acts)"
    assert f1[1:4] == ["0.622"] * 3
    assert f1[4].split() == ["0.622", "0.522", "to", "0.722"]
    assert f1[5] == "2.5\u202f% 3 without a map"
    assert differences[1].split()[:4] == ["+0.111", "0.011", "to", "0.211;"]
    assert "p = 0.012; detectable 0.070" in differences[1]
    assert "without an alarm the mean is 0.501" in page.text
    assert "flagged predictions are left to a person" in page.text
    assert "31.0 %" in page.text, "positive predictive value"
    assert "+50" in page.text, "additional cases"


def test_alarms_that_never_differ_have_no_test(evaluated):
    def same(metrics, *_):
        f1 = metrics["alarms"]["alarms"]["informer_lrp"]["differences"]["entropy"]["swapping"]["f1"]
        f1["mean"] = {"value": 0.0, "reason": "all resamples agree", "p": 1.0, "detectable": 0.0}

    (_, differences) = [row for row in evaluated(same).rows if row and row[0].startswith("INFORMER, LRP")][:2]
    assert differences[1] == "0.000 no interval: all resamples agree"


def test_figures_say_their_numbers(evaluated):
    labels = [attributes.get("aria-label") or "" for attributes in evaluated().tags("svg")]
    assert "Mean F1 on bootstrapped test sets, medians: INFORMER, LRP 0.600, Predictive entropy 0.500." in labels
    assert any(label.startswith("Curves of risk over coverage of alarms for 1") for label in labels)
    assert "Decision curves of 1 findings." in labels


def test_a_flagged_image_is_shown_with_all_maps(evaluated):
    page = evaluated()
    assert "present: probability 0.6; alarm: too similar. The label is no Edema" in page.text
    assert "Dashed lines" not in page.text, "no confidence decides here"
    assert "the flagged prediction is wrong" in page.text
    pictures = [image["alt"] for image in page.tags("img")]
    assert pictures.index("Map of Edema over patient00007/study1") < pictures.index(
        f"Map of {FINDINGS[0]} over patient00007/study1"
    )


def test_fits_of_each_label_and_why_there_is_none(evaluated):
    page = evaluated()
    row = next(row for row in page.rows if row[0] == FINDINGS[0] and "few samples" in row[-1])
    assert row[1:] == ["0.500", "0.000", "0.700, 0.600", "0.123", "0.812", "0.745", "99 (33)", "few samples"]
    assert any("not fitted: all are absent" in row[-1] for row in page.rows if row and row[0] == FINDINGS[1])


def test_another_network_and_a_marker_are_told(evaluated):
    text = evaluated().text
    assert "Not the bundle's own network: what is measured here has image_size 96 instead of 320." in text
    assert "the mark takes 1.0 % of these 12 images" in text
    assert "40.0 %" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, c, i: m["alarm"].update(name="siren"), "alarm.name: 'siren' is none of the alarms"),
        (lambda m, c, i: m["decision_curves"]["Edema"].update(low=[1]), "decision_curves.Edema.low: expected a list"),
        (lambda m, c, i: c["label_calibration"]["labels"][FINDINGS[0]].update(slope="x"), "slope: found 'x'"),
        (lambda m, c, i: i["flagged"][0].update(image_png="../../secret.png"), "lies outside"),
        (lambda m, c, i: i.update(flagged={}), None),
    ],
)
def test_malformed_entries_are_named(evaluated, change, message):
    if message is None:
        assert "Flagged images" not in evaluated(change).text
        return
    with pytest.raises(DataError, match=message):
        evaluated(change)
