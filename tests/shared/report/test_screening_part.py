"""Wanted sensitivity, reading time, lesion sizes and the precision-recall curve on the page: the files' numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from shared.calibration.classifier_evaluation import evaluate_predictions, prediction_rows
from shared.calibration.confidence import chance_corrected_confidence
from shared.calibration.decision import decide, defer_possible_misses
from shared.calibration.decision_fits import deferral_entries, sensitivity_entry
from shared.calibration.decision_measures import SensitivityCheck, TimeSaving
from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.data.files import write_json
from shared.evaluation.metrics_file import write_metrics
from shared.evaluation.predictions import write_predictions
from shared.evaluation.proportion import wilson_interval
from shared.report.build import build_report
from shared.report.formats import number, percent
from tests.shared.report.edited_files import edited
from tests.shared.report.html_page import Page

CLASSES = ["normal", "tumour"]
HOSTILE = "<b>T&1</b>"


def share(count, total):
    return {"count": count, "value": count / total, "ci95": [float(end) for end in wilson_interval(count, total)]}


def draw(rng, n, prefix):
    """Slides whose probability grows with the size of their largest lesion, as those of a weak network do."""
    labels = (np.arange(n) % 5 < 2).astype(int)
    size = np.where(labels == 1, 10 ** rng.uniform(-1.2, 1.0, n), 0.0)
    logits = np.where(labels == 1, 1.2 + 2.0 * np.log10(np.maximum(size, 1e-3)), -1.8) + rng.normal(0, 1.1, n)
    tumour = expit(1.3 * logits)
    records = [
        {"id": f"{prefix}_{i:03d}", "patient": f"{prefix}{i}", "label": int(label)} for i, label in enumerate(labels)
    ]
    return records, size, np.stack([1 - tumour, tumour], axis=1)


def write_slides(bundle, target=0.9, n=150):
    """Write what calibrating and evaluating of a bundle of slides leave; return eval."""
    rng = np.random.default_rng(1)
    known, _, fitted = draw(rng, n, "V")
    records, size, probabilities = draw(rng, n, "T")
    records[0]["id"] = HOSTILE
    confidence = chance_corrected_confidence(fitted)
    wrong = fitted.argmax(axis=1) != [record["label"] for record in known]
    calibration = {
        "sensitivity": sensitivity_entry(fitted[:, 1], known, CLASSES, target, "patient"),
        "deferral": deferral_entries(confidence, wrong, confidence >= 0.1, [0.05, 0.1, 0.2]),
        "confidence": {"minimum": 0.1, "accept": 0.5, "target_risk": 0.1},
        "weights_sha256": "ab" * 32,
    }
    path = bundle / "models" / "calibration.json"
    write_json(path, calibration)
    threshold = calibration["sensitivity"]["threshold"]
    sure = chance_corrected_confidence(probabilities)
    decided = decide(sure, np.zeros(n), minimum_confidence=0.1, accept_confidence=0.5, outlier_threshold=1.0)
    decided = defer_possible_misses(
        decided,
        probabilities[:, 1],
        probabilities[:, 1] > 0.5,
        threshold=-np.inf if threshold is None else threshold,
        name="tumour",
    )
    columns = {
        "probabilities": probabilities,
        "uncalibrated_probabilities": probabilities,
        "prediction": probabilities.argmax(axis=1),
        "confidence": sure,
        "decision": np.array([decision for decision, _ in decided], dtype=object),
        "reason": np.array([reason for _, reason in decided], dtype=object),
        "outlier_score": np.zeros(n),
        "median": probabilities,
        "standard_deviation": 0 * probabilities,
        "predictive_entropy": np.zeros(n),
        "mutual_information": np.zeros(n),
    }
    collected = CollectedOutputs(records, columns)
    few = {"resamples": 60, "group_key": "patient"}
    content = evaluate_predictions(collected, CLASSES, n_bins=8, **few)
    content["wanted_sensitivity"] = SensitivityCheck(path, **few)(collected)
    content["time_saving"] = TimeSaving(path, CLASSES, **few)(collected)
    content["lesions"] = lesions(records, size, columns)
    eval_dir = bundle / "eval"
    provenance = {"weights": [{"file": "models/model.pt", "sha256": "ab" * 32}]}
    write_metrics(
        eval_dir / "metrics.json", {"bundle": bundle.name, "split": "test", **content, "provenance": provenance}
    )
    write_predictions(eval_dir / "predictions.csv", prediction_rows(collected, CLASSES, labelled=True))
    return eval_dir


def lesions(records, size, columns):
    cases = []
    for i in np.flatnonzero([record["label"] == 1 for record in records]):
        kind = "macro" if size[i] > 2 else "micro" if size[i] > 0.2 else "itc"
        cases.append(
            {
                "id": records[i]["id"],
                "kind": kind,
                "lesions": 1 + int(i) % 3,
                "largest_mm": float(size[i]),
                "area_mm2": float(0.6 * size[i] ** 2),
                "partial": False,
                "reason": None,
                "probability": float(columns["probabilities"][i, 1]),
                "prediction": CLASSES[columns["prediction"][i]],
                "decision": columns["decision"][i],
                "found": bool(columns["prediction"][i]),
            }
        )
    cases.sort(key=lambda case: case["largest_mm"])
    cases[-1] |= {"largest_mm": None, "area_mm2": None, "lesions": None, "reason": "no annotation", "kind": "unknown"}
    kinds = {}
    for kind in ("macro", "micro", "itc", "unknown"):
        of_kind = [case for case in cases if case["kind"] == kind]
        unseen = sum(case["decision"] == "accept" and not case["found"] for case in of_kind)
        kinds[kind] = {
            "title": {"unknown": "size not known"}.get(kind, f"{kind} lesion"),
            "n": len(of_kind),
            "found": share(sum(case["found"] for case in of_kind), len(of_kind)),
            "accepted_as_other": share(unseen, len(of_kind)),
        }
    return {"class": "tumour", "kinds": kinds, "cases": cases}


@pytest.fixture(scope="module")
def eval_dir(tmp_path_factory):
    return write_slides(tmp_path_factory.mktemp("bundles") / "camelyon_attmil")


@pytest.fixture(scope="module")
def metrics(eval_dir):
    return json.loads((eval_dir / "metrics.json").read_text())


@pytest.fixture(scope="module")
def page(eval_dir):
    return Page(build_report(eval_dir).read_text(encoding="utf-8"))


def in_percent(entry):
    return percent(entry["value"]).replace("\u202f", " ")


def change(eval_dir, tmp_path, changed):
    return Page(build_report(edited(eval_dir, tmp_path, "eval/metrics.json", changed)).read_text("utf-8"))


def test_the_promise_and_what_came_of_it(page, metrics):
    wanted = metrics["wanted_sensitivity"]
    at = wanted["at_threshold"]
    assert f"only if its probability of tumour is below {number(wanted['threshold'])}" in page.text
    assert (
        f"comes from {wanted['n_groups']} validation patients with tumour, of which {wanted['missed']} lie" in page.text
    )
    assert f"the share missed stays below {in_percent({'value': wanted['miss_rate_bound']})}" in page.text
    assert page.row("Tumour at or above the threshold")[1] == in_percent(at["sensitivity"])
    assert page.row("Normal below the threshold")[1] == in_percent(at["specificity"])
    unseen = wanted["accepted_as_other"]
    row = page.row(f"Tumour accepted as normal, seen by nobody: {unseen['count']} of {wanted['n_positive_here']}")
    assert row[1] == in_percent(unseen)
    assert "agrees with the 90 % wanted" in page.text


def test_too_few_cases_promise_nothing_and_accept_nothing(tmp_path):
    few = write_slides(tmp_path / "camelyon_attmil", target=0.99)
    page = Page(build_report(few).read_text("utf-8"))
    text = page.text
    assert "Not promised." in text
    assert "at least 99 validation patients with tumour; there are 60. Therefore nothing is accepted as normal" in text
    assert page.row("Only those accepted as normal")[1].startswith("0 of 150")


def test_time_is_the_files(page, metrics):
    saving = metrics["time_saving"]
    assert "34 s for each of 1000 patients, all take 9.44 h" in page.text
    for title, entry in (
        ("All accepted", saving["decided"]),
        ("Only those accepted as normal", saving["decided_as"]["normal"]),
        ("Only those accepted as tumour", saving["decided_as"]["tumour"]),
    ):
        row = page.row(title)
        assert row[1] == f"{entry['n_accepted']} of 150 {in_percent(entry['accepted_share'])}"
        assert row[2].startswith(f"{entry['n_wrong']} {in_percent(entry['error_rate'])}, ")
        low, high = (number(end, 2) for end in entry["hours_saved"]["ci95"])
        assert row[3] == f"{number(entry['hours_saved']['value'], 2)} h {low} to {high}"
        assert row[4].startswith(f"{number(entry['hours_after_correction']['value'], 2)} h")
    header = page.row("Error rate e")
    rows = [[" ".join(cell.split()) for cell in cells] for cells in page.rows if len(cells) == len(header)]
    row = next(cells for cells in rows if cells[0] == "10 %")
    entry = saving["deferral"][1]
    assert row[header.index("Confidence from")] == number(entry["threshold"])
    assert row[header.index("1 \u2212 e")] == "90 %"
    assert row[header.index("Deferred")] == in_percent({"value": 1 - entry["accepted_share"]["value"]})
    assert "it would promise " + in_percent({"value": 1 - saving["error_rate"]["value"]}) in page.text


def test_the_samples_that_confidences_were_chosen_on_are_named(page, eval_dir, tmp_path):
    assert "the confidence was chosen on validation samples" in page.text
    own = {"section": "calibration", "n": 150, "nominal": False, "note": "no part in training"}
    changed = edited(eval_dir, tmp_path, "models/calibration.json", lambda content: content.update(fitted_on=own))
    text = Page(
        build_report(changed, calibration_file=changed.parent / "models" / "calibration.json").read_text("utf-8")
    ).text
    assert "the confidence was chosen on calibration samples" in text
    assert "on validation samples" not in text


def test_false_negatives_are_listed_with_their_sizes(page, metrics):
    cases = metrics["lesions"]["cases"]
    missed = [case for case in cases if not case["found"]]
    unseen = sum(case["decision"] == "accept" for case in missed)
    assert 0 < unseen < len(missed) < len(cases)
    assert f"False negatives: {len(missed)} of {len(cases)}, of which {unseen} " in page.text
    smallest = page.row(missed[0]["id"])
    assert smallest[1] == f"{missed[0]['largest_mm']:.3f} mm"
    assert smallest[3] == str(missed[0]["lesions"])
    assert smallest[5] == number(missed[0]["probability"])
    for case in missed:
        nobody = "seen by nobody" in page.row(case["id"])[6]
        assert nobody == (case["decision"] == "accept")
    itc = metrics["lesions"]["kinds"]["itc"]
    assert page.row("itc lesion")[2].startswith(f"{itc['found']['count']} of {itc['n']}, ")
    unknown = next(case for case in cases if case["largest_mm"] is None)
    assert page.row(unknown["id"])[1:3] == ["not known", "size not known no annotation"]
    assert "but for 1 whose lesions have no known size" in page.text
    assert HOSTILE in page.text


def test_figures_say_their_numbers(page, metrics):
    labels = [svg.get("aria-label") or "" for svg in page.tags("svg")]
    area = metrics["metrics"]["average_precision"]["value"]
    assert any(f"Precision-recall curve for tumour: this model, area {area:.3f}" in text for text in labels)
    decided = metrics["time_saving"]["decided"]
    wrong = f"{1000 * decided['n_wrong'] / 150:.1f} wrong per 1000 cases"
    assert any("nobody looks at over the reading time saved" in text and wrong in text for text in labels)
    found = sum(case["found"] and case["largest_mm"] is not None for case in metrics["lesions"]["cases"])
    assert any(f"Probability of tumour over lesion size: {found} found" in text for text in labels)


def test_broken_promises_and_partial_annotations_are_said(eval_dir, tmp_path):
    def spoil(content):
        content["wanted_sensitivity"]["at_threshold"]["sensitivity"] = {"value": 0.6, "ci95": [0.5, 0.7]}
        content["lesions"]["cases"][0] |= {"partial": True, "largest_mm": 0.1234, "found": False}

    page = change(eval_dir, tmp_path, spoil)
    assert "below the 90 % wanted: these cases are not like the validation ones" in page.text
    name = json.loads((eval_dir / "metrics.json").read_text())["lesions"]["cases"][0]["id"]
    assert page.row(name)[1] == "at least 0.12 mm"


def test_pages_without_these_parts_have_no_trace_of_them(four_classes):
    text = Page(build_report(four_classes).read_text("utf-8")).text
    for words in ("Wanted sensitivity", "Reading time", "Lesion size", "Precision and recall"):
        assert words not in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c["wanted_sensitivity"]["at_threshold"].update(confusion_matrix=[[1]]), "expected 2 by 2 counts"),
        (lambda c: c["lesions"].update(cases=None), "lesions.cases: found None"),
        (lambda c: c["time_saving"]["decided"].pop("n_wrong"), "time_saving.decided.n_wrong: found None"),
        (lambda c: c["precision_recall_curve"].update(recall=[]), "expected the lists recall, precision"),
    ],
)
def test_malformed_files_are_named(eval_dir, tmp_path, spoil, message):
    with pytest.raises(DataError, match=message):
        build_report(edited(eval_dir, tmp_path, "eval/metrics.json", spoil))
