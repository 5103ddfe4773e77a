"""The whole page: numbers equal to the files', structure, escaping, missing parts, offline, errors."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.report.build import build_report
from shared.report.curves import wilson
from shared.report.formats import number, percent
from tests.shared.report.html_page import Page

HOSTILE = "<script>alert('x')</script>\"&{{7*7}}"


@pytest.fixture(scope="module")
def html(four_classes) -> str:
    return build_report(four_classes).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def metrics(four_classes) -> dict:
    return json.loads((four_classes / "metrics.json").read_text())


def test_headline_and_class_metrics_are_the_files(page, metrics):
    accuracy = metrics["metrics"]["accuracy"]
    low, high = (number(end) for end in accuracy["ci95"])
    assert page.row("Accuracy") == ["Accuracy", number(accuracy["value"]), f"{low} to {high}"]
    assert f"95 % interval: {low} to {high}; N = {metrics['n']}" in page.text
    header = page.row("Class")
    cell = next(row for row in page.rows if row and row[0] == "neutrophil" and " to " in row[1])
    assert cell[header.index("Sensitivity")].split()[0] == number(metrics["metrics"]["sensitivity_neutrophil"]["value"])


def test_confusion_table_is_the_files(page, metrics):
    for name, counts in zip(metrics["classes"], metrics["confusion_matrix"], strict=True):
        rows = [row for row in page.rows if row and row[0] == name]
        assert [name, *map(str, counts)] in rows


def test_calibration_before_and_after_with_null_band(page, metrics):
    before, after = (metrics["calibration"][stage]["top_label_l1_equal_width"] for stage in ("before", "after"))
    row = page.row("Expected calibration error (top label, equal width)")
    assert row[1].startswith(number(before["value"], 4))
    assert row[2].startswith(number(after["value"], 4))
    assert row[3] == " to ".join(number(end, 4) for end in after["null_band"])
    assert row[4] == ("within" if after["value"] <= after["null_band"][1] else "above") + " the null band"
    assert page.row("Temperature T") == ["Temperature T", "2.345"]
    assert page.row("Split that T was fitted on")[1] == "validation"


def test_decisions_are_counted_from_the_predictions(page, four_classes):
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False)
    known = table[table["kind"] == ""]
    for decision in ("accept", "defer", "reject"):
        chosen = known[known["decision"] == decision]
        right = int((chosen["label"] == chosen["prediction"]).sum())
        row = page.row(decision)
        assert row[1:3] == [str(len(chosen)), percent(len(chosen) / len(known)).replace("\u202f", " ")]
        assert row[4] == percent(right / len(chosen)).replace("\u202f", " ")
        assert row[5].startswith(f"{100 * wilson(right, len(chosen))[0]:.1f} to ")
    deferred = int((known["decision"] == "defer").sum())
    assert page.row("defer")[6] == f"confidence … is below …, which acceptance asks for ({deferred})"


def test_outliers_per_kind_and_score(page, metrics):
    for kind, entry in metrics["outliers"].items():
        rows = [[" ".join(cell.split()) for cell in row] for row in page.rows if row and row[0] == kind]
        assert rows[0][:3] == [kind, "24", percent(entry["caught"]).replace("\u202f", " ")]
        low, high = entry["ci95"]
        reached = "reached" if entry["caught"] >= 0.95 else "missed"
        assert rows[0][4] == reached + (", within the interval" if low <= 0.95 <= high else "")
    assert page.row("Known classes: not rejected") == [
        "Known classes: not rejected",
        str(metrics["n"]),
        percent(0.97).replace("\u202f", " "),
        "94.0 to 99.0 %",
        "reached, within the interval",
    ]
    for score in ("energy", "mahalanobis"):
        rows = [[" ".join(cell.split()) for cell in row] for row in page.rows if row and row[0] == score.capitalize()]
        for row, measure in zip(rows, ("auroc", "fpr95"), strict=True):
            assert row[1:] == [number(entry[measure][score]) for entry in metrics["outliers"].values()]


def test_what_was_resampled_is_said(page):
    assert "The bootstrap behind them resamples 9 donors, drawn whole." in page.text


def test_one_donor_has_no_interval_and_a_fall_back_is_shown(four_classes, tmp_path):
    def change(content):
        content["resampled"] = {"by": "donor", "n": 1}
        content["metrics"]["accuracy"] = {"value": 0.75, "ci95": None, "reason": "only one group"}

    page = Page(build_report(edited(four_classes, tmp_path / "one", "eval/metrics.json", change)).read_text("utf-8"))
    assert page.row("Accuracy") == ["Accuracy", "0.750", "no interval: only one group"]
    assert "There is one donor only" in page.text
    fallen = {"by": "sample", "n": 320, "warning": "7 of 320 records have no 'donor'"}
    eval_dir = edited(four_classes, tmp_path / "two", "eval/metrics.json", lambda c: c.update(resampled=fallen))
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "resamples 320 samples, drawn one by one" in text
    assert "not to be trusted as they stand: 7 of 320 records have no 'donor'." in text
    # beside each of the three headline numbers, not in the small print
    assert text.count("Interval: see the warning above.") == 3


def test_without_a_warning_no_headline_interval_is_doubted(page):
    assert "see the warning" not in page.text
    assert "Warning" not in page.text


def test_calibration_is_told_in_words(page, four_classes, tmp_path):
    assert "of the accepted are wrong (target 5.0 %), at a coverage of 60.0 %." in page.text
    assert "there is no guarantee" in page.text
    assert "Not rejected: 96.8 % of the validation samples (97.0 % were aimed at)." in page.text

    def worse(content):
        content["temperature"]["bound"] = "lower"
        content["confidence"] |= {"reached": False, "accept": None, "risk": None, "coverage": 0.0}

    eval_dir = edited(four_classes, tmp_path / "worse", "models/calibration.json", worse)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Temperature at its bound: the validation samples are separated so well" in text
    assert "Target risk of 5.0 % not reached on the validation samples: nothing is accepted." in text

    def sure(content):
        content["confidence"] |= {"guarantee": 0.1, "risk_bound": 0.048, "divided_by": "donor"}

    eval_dir = edited(four_classes, tmp_path / "sure", "models/calibration.json", sure)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "With probability 90.0 % the true risk is at most 4.8 %, if new samples are of the same kind" in text


def test_temperature_has_names_for_readers_and_four_digits(four_classes, tmp_path):
    def change(content):
        content["temperature"] |= {"value": 999.9999999999998, "gradient": 8.291e-10, "bound": None, "own": 0.5}

    page = Page(build_report(edited(four_classes, tmp_path, "models/calibration.json", change)).read_text("utf-8"))
    assert page.row("Temperature T")[1] == "1000"
    assert page.row("Mean negative log-likelihood at T = 1, in nats")[1] == "0.81"
    assert page.row("Slope of that loss over log T at the fitted T (0 at a minimum)")[1] == "8.291 \u00d7 10⁻¹⁰"
    assert page.row("Bound that stopped the fit")[1] == "none"
    assert page.row("own")[1] == "0.5"
    assert "loss_before" not in page.text


def test_calibration_is_set_apart_from_discrimination(page, four_classes, tmp_path, metrics):
    value = number(metrics["metrics"]["macro_f1"]["value"])
    assert "Calibration says nothing about discrimination" in page.text
    assert f"Read the null bands together with the metrics above: Macro F1 {value}," in page.text
    assert "at its bound" not in page.text
    eval_dir = edited(
        four_classes, tmp_path, "models/calibration.json", lambda c: c["temperature"].update(bound="upper")
    )
    useless = Page(build_report(eval_dir).read_text("utf-8"))
    assert "Warning. Temperature at its bound: on the validation samples the network is no better" in useless.text
    assert len([note for note in useless.tags("p") if note.get("class") == "warning"]) == 1


def test_a_calibration_that_is_not_at_hand_is_named_and_not_fitted_anew(four_classes, tmp_path):
    used = {"file": "models/other.json", "sha256": "ab" * 32}

    def change(content):
        content["provenance"]["weights"].append(used)

    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", change)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "metrics.json was made with models/other.json (SHA-256 abababababab): name that file with" in text
    assert "run calibrating" not in text


def test_results_without_calibration_name_the_command_that_calibrates(four_classes, tmp_path):
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c["calibration"].pop("after"))
    (tmp_path / "bundle" / "models" / "calibration.json").unlink()
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Fitted temperature and thresholds: not measured." in text
    assert "run calibrating" in text


def test_the_evaluated_datalist_stands_beside_the_bundles_data(page, four_classes, tmp_path):
    assert "Evaluated here: which datalist is not recorded in metrics.json, split “test”, N = 320." in page.text
    assert "What the bundle takes in general: Generated phantoms." in page.text

    def change(content):
        content["provenance"]["data"] = [{"file": "mine/datalist.json", "sha256": "cd" * 32}]

    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", change)
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "Evaluated here: mine/datalist.json (SHA-256 cdcdcdcdcdcd ), split “test”, N = 320." in text


def test_without_masks_a_case_says_so_once_and_no_command_is_named(four_classes, tmp_path):
    def change(content):
        for sample in content["samples"]:
            for entry in sample["methods"].values():
                entry["quality"] = {}
        for entry in content["methods"].values():
            entry["quality"] = {"rank_accuracy": {"value": None, "ci95": None, "n": 0, "n_without_mask": 43}}

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    cases = len(json.loads((eval_dir / "explanations" / "index.json").read_text())["samples"])
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert text.count("no mask of the known cause to compare") == cases
    assert "quality not measured" not in text
    assert "None of the explained samples has a mask" in text
    assert "run explaining" not in text


def test_back_ticks_of_the_metadata_are_code(four_classes, tmp_path):
    limits = ["Run `python -m x <y>` first."]
    eval_dir = edited(four_classes, tmp_path, "configs/metadata.json", lambda c: c.update(limits=limits))
    assert "<li>Run <code>python -m x &lt;y&gt;</code> first.</li>" in build_report(eval_dir).read_text("utf-8")


def test_methods_after_an_abstract_are_named(four_classes, tmp_path, page):
    assert "written after the abstract" not in page.text

    def change(content):
        content["methods"]["evet"] = content["methods"]["lime"]

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    assert "EVET is written after the abstract of its paper" in Page(build_report(eval_dir).read_text("utf-8")).text


def test_scores_that_decide_are_named(page):
    assert "The decision rests on: Energy, Mahalanobis." in page.text


def test_gallery_shows_cases_with_reason_and_words(page, four_classes, metrics):
    index = json.loads((four_classes / "explanations" / "index.json").read_text())
    table = pd.read_csv(four_classes / "predictions.csv", keep_default_na=False).set_index("id")
    images = page.tags("img")
    assert len(images) == sum(1 + len(sample["methods"]) for sample in index["samples"])
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    for sample in index["samples"]:
        row = table.loc[sample["id"]]
        assert f"Predicted {sample['prediction']}" in page.text
        assert row["reason"] in page.text
        shares = " ".join(f"{name} {percent(row[f'probability_{name}'])}," for name in metrics["classes"])
        assert shares.replace("\u202f", " ").removesuffix(",") in page.text.replace(" ,", ",")
        if row["decision"] != "reject":
            likely = round(100 * row[f"probability_{row['prediction']}"])
            assert f"about {likely} should be right" in page.text
    assert "in truth no known class but thrombocyte" in page.text


def test_explanation_quality_says_what_chance_would_reach(page):
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    best = next(row for row in rows if row[:2] == ["Rank accuracy", "Grad-CAM++"])
    assert best[2:] == ["0.670", "0.570 to 0.720", "0.100", "40 3 without mask", "above chance"]
    assert next(row for row in rows if row[0] == "Guided backpropagation")[-1] == "includes chance"


def test_structure_is_accessible(page):
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(headings))
    assert all(cell.get("scope") in ("col", "row", "rowgroup") for cell in page.tags("th"))
    assert len(page.tags("caption")) == len(page.tags("table"))
    assert all(drawing.get("role") == "img" and drawing.get("aria-label") for drawing in page.tags("svg"))
    ids = Counter(attributes["id"] for _, attributes in page.elements if attributes.get("id"))
    assert ids.most_common(1)[0][1] == 1
    targets = {link["href"] for link in page.tags("a")}
    assert targets <= {f"#{name}" for name in ids}
    assert page.tags("html")[0]["lang"] == "en"


def test_page_is_offline_without_script_and_light(page, html):
    assert not page.tags("script")
    assert not page.tags("link")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(html) < 5_000_000


def test_hostile_names_are_text(tmp_path, write_files):
    names = [HOSTILE, "lymphocyte", "$\\frac{", "</style><b>"]
    eval_dir = write_files.single(tmp_path / "a<i>b", classes=names, kinds=[f"{HOSTILE} kind"], n=80, cases=2)
    metadata = tmp_path / "a<i>b" / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"name": HOSTILE, "intended_use": HOSTILE, "limits": [HOSTILE]}))
    index_file = eval_dir / "explanations" / "index.json"
    index = json.loads(index_file.read_text())
    index["samples"][0]["id"] = f"{HOSTILE}/x"
    index["samples"][0]["methods"][HOSTILE] = {"quality": {HOSTILE: 0.5}}
    index["methods"][HOSTILE] = {"parameters": {HOSTILE: HOSTILE}, "quality": {HOSTILE: 0.5}}
    index_file.write_text(json.dumps(index))
    page = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert not page.tags("script")
    assert not page.tags("b")
    assert not page.tags("i")
    assert page.text.count(HOSTILE) > 10
    assert f"{HOSTILE}: evaluation report" in page.text


def test_multi_label_has_one_part_for_each_label(multi_label):
    page = Page(build_report(multi_label).read_text(encoding="utf-8"))
    table = pd.read_csv(multi_label / "predictions.csv", dtype=str, keep_default_na=False)
    assert [row[1] for row in page.rows if row and row[0] == "accept"] == [
        str((table[f"decision_{name}"] == "accept").sum()) for name in ("Atelectasis", "Cardiomegaly", "Edema")
    ]
    hits = ((table["label_Edema"] == "1") & (table["prediction_Edema"] == "1")).sum()
    misses = ((table["label_Edema"] == "1") & (table["prediction_Edema"] == "0")).sum()
    assert ["present", str(misses), str(hits)] in page.rows
    assert page.text.count("Expected calibration error (equal width)") == 3
    assert "chexpert_informer" in page.text


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ("metrics.json", ["Decisions", "Explained cases", "Explanation quality"]),
        (
            "predictions.csv",
            ["Metrics", "Calibration errors and reliability", "Outlier detection", "Provenance of the numbers"],
        ),
        ("explanations", ["Metrics", "Decisions", "Risk and coverage curve", "Outlier detection"]),
    ],
)
def test_each_part_alone_makes_a_page_that_says_what_is_missing(four_classes, tmp_path, kept, missing):
    source = four_classes / kept
    (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / kept)
    page = Page(build_report(tmp_path).read_text(encoding="utf-8"))
    assert [what for what in missing if f"{what}: not measured." not in page.text] == []
    assert "python -m monai.bundle run " in page.text
    assert "intended_use in configs/metadata.json (file not found" in page.text


def test_command_for_a_missing_part_names_the_bundle(four_classes, tmp_path):
    bundle = tmp_path / "leukocyte_qpi"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "metadata.json").write_text("{}")
    (bundle / "eval").mkdir()
    shutil.copy(four_classes / "predictions.csv", bundle / "eval")
    text = Page(build_report(bundle / "eval").read_text(encoding="utf-8")).text
    assert (
        "python -m monai.bundle run evaluating --config_file "
        "\"['bundles/leukocyte_qpi/configs/train.json','bundles/leukocyte_qpi/configs/evaluate.json']\""
    ) in text


def edited(four_classes, tmp_path, name, change):
    shutil.copytree(four_classes.parent, tmp_path / "bundle")
    file = tmp_path / "bundle" / name
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return tmp_path / "bundle" / "eval"


def test_another_models_calibration_is_left_out(four_classes, tmp_path, page):
    assert "Contradiction" not in page.text
    assert page.row("Temperature T") == ["Temperature T", "2.345"]
    eval_dir = edited(four_classes, tmp_path, "models/calibration.json", lambda c: c.update(weights_sha256="00" * 32))
    other = Page(build_report(eval_dir).read_text(encoding="utf-8"))
    assert (
        "Contradiction. calibration.json was fitted for other weights (000000000000) than those of metrics"
        in other.text
    )
    assert "Fitted temperature and thresholds: not shown." in other.text
    assert "--calibration-file" in other.text
    assert "run calibrating" not in other.text
    assert "2.345" not in other.text
    assert not [row for row in other.rows if row and row[0] == "calibration.json"]
    # the one that the results were made with may lie elsewhere
    right = four_classes.parent / "models" / "calibration.json"
    mended = Page(build_report(eval_dir, calibration_file=right).read_text(encoding="utf-8"))
    assert "Contradiction" not in mended.text
    assert mended.row("Temperature T") == ["Temperature T", "2.345"]
    with pytest.raises(DataError, match=r"gone\.json: no such file"):
        build_report(eval_dir, calibration_file=tmp_path / "gone.json")


def test_a_calibration_written_anew_is_left_out(four_classes, tmp_path):
    used = {"file": "models/calibration.json", "sha256": sha256_file(four_classes.parent / "models/calibration.json")}
    eval_dir = edited(four_classes, tmp_path, "eval/metrics.json", lambda c: c["provenance"]["weights"].append(used))
    assert "Contradiction" not in build_report(eval_dir).read_text("utf-8")
    file = tmp_path / "bundle" / "models" / "calibration.json"
    file.write_text(file.read_text().replace("2.345", "2.4"))
    text = Page(build_report(eval_dir).read_text("utf-8")).text
    assert "calibration.json is not the calibration that metrics.json was made with, and is left out" in text


def test_results_of_different_weights_are_called_a_contradiction(four_classes, tmp_path):
    def change(content):
        content["provenance"]["weights"] = [{"file": "model.pt", "sha256": "11" * 32}]

    eval_dir = edited(four_classes, tmp_path, "eval/explanations/index.json", change)
    text = Page(build_report(eval_dir).read_text(encoding="utf-8")).text
    assert "Contradiction. These files belong to different weights (metrics.json: " in text
    assert "explanations/index.json: 111111111111)" in text


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        (
            "eval/metrics.json",
            lambda c: c["metrics"].update(accuracy={"value": "x"}),
            r"metrics\.json: metrics\.accuracy",
        ),
        ("eval/metrics.json", lambda c: c["outliers"]["empty"].update(caught=24), r"outliers\.empty\.caught"),
        ("eval/metrics.json", lambda c: c["selective"].pop("risk"), r"metrics\.json: selective"),
        (
            "eval/metrics.json",
            lambda c: c["calibration"]["after"]["reliability"].pop("bins"),
            r"after\.reliability\.bins",
        ),
        ("eval/explanations/index.json", lambda c: c["samples"][1].pop("id"), r"index\.json: samples\[1\]\.id"),
        ("eval/explanations/index.json", lambda c: c.update(samples={}), r"index\.json: samples"),
        (
            "eval/explanations/index.json",
            lambda c: c["samples"][0].update(image_png="../configs/metadata.json"),
            "lies outside",
        ),
        ("eval/explanations/index.json", lambda c: c["samples"][0].update(image_png="gone.png"), r"gone\.png"),
        ("models/calibration.json", lambda c: c["confidence"].update(minimum="low"), r"confidence\.minimum"),
        ("models/calibration.json", lambda c: c.update(temperature=[2.0]), r"calibration\.json: temperature"),
        ("configs/metadata.json", lambda c: c.update(limits=7), r"metadata\.json: limits"),
    ],
)
def test_malformed_file_is_an_error_that_names_file_and_key_and_keeps_the_old_page(
    four_classes, tmp_path, name, change, named
):
    eval_dir = edited(four_classes, tmp_path, name, change)
    (eval_dir / "report.html").write_text("old")
    with pytest.raises(DataError, match=named):
        build_report(eval_dir)
    assert (eval_dir / "report.html").read_text() == "old"
    assert [path.name for path in eval_dir.glob("*.html")] == ["report.html"]


def test_nothing_to_report_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match="run evaluating or explaining first"):
        build_report(tmp_path)


def test_same_files_give_the_same_page(four_classes, html, tmp_path):
    again = build_report(four_classes, output=tmp_path / "sub" / "again.html")
    assert again == tmp_path / "sub" / "again.html"
    assert again.read_text(encoding="utf-8") == html


def test_report_does_not_load_torch():
    code = "import sys, shared.report.build; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
