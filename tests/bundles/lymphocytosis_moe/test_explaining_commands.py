"""Explaining and repeating as a user types them, on phantoms, with a network that was never trained."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from shared.data.files import sha256_file
from shared.evaluation.interpretability.file import read_interpretability
from shared.saliency.bags.bag_elements import BAG_MEASURES
from tests.bundles.commands import run

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGS = REPOSITORY / "bundles" / "lymphocytosis_moe" / "configs"
SMALL = {"image_size": 32, "width": 4}

pytestmark = pytest.mark.slow


def bundle(run_id, configs, work, **overrides):
    files = str([str(CONFIGS / f"{name}.json") for name in configs])
    settings = {"dataset_dir": work / "data", "ckpt_dir": work / "models", "output_dir": work / "eval"}
    options = [part for key, value in (settings | SMALL | overrides).items() for part in (f"--{key}", value)]
    run(["-m", "monai.bundle", "run", run_id, "--config_file", files, *options], work)


@pytest.fixture(scope="module")
def work(tmp_path_factory, bundle_scripts):
    """Phantoms with five smears each, weights, a calibration, explanations and repeatability."""
    folder = tmp_path_factory.mktemp("work")
    sizes = {"patients": 24, "smears": 5, "image_size": 32, "bag_size": '{"mean": 10, "std": 3, "low": 5, "high": 15}'}
    options = [part for key, value in sizes.items() for part in (f"--phantom#{key}", value)]
    options += ["--smear_pattern", "^(?P<smear>S[0-9]+)_"]
    script = REPOSITORY / "scripts" / "prepare.py"
    run([script, "lymphocytosis_moe", "--phantom", "--output", folder / "data", *options], folder)
    networks = bundle_scripts("lymphocytosis_moe")("networks")
    torch.manual_seed(0)
    image, attributes = networks.ImageClassifier(4, 32, chunk_size=64), networks.AttributePerceptron()
    records = json.loads((folder / "data" / "datalist.json").read_text())["training"]
    attributes.standardisation.fit([[record["age"], record["lymphocyte_count"]] for record in records])
    (folder / "models").mkdir()
    torch.save(networks.MixtureOfExperts(image, attributes).state_dict(), folder / "models" / "model.pt")
    bundle("calibrating", ["train", "calibrate"], folder)
    bundle("evaluating", ["train", "evaluate"], folder, bootstrap_resamples=50)
    bundle("explaining", ["inference", "explain"], folder, shown_cells=2)
    bundle("run", ["inference", "repeatability"], folder, bootstrap_resamples=50)
    return folder


def test_evaluating_checks_for_shortcuts(work):
    metrics = json.loads((work / "eval" / "metrics.json").read_text())
    assert metrics["positive_class"] == "tumoral"
    assert set(metrics["shortcuts"]["checks"]) >= {"number of images", "age", "lymphocyte count"}


def test_explaining_writes_what_its_index_lists(work):
    content = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    assert content["samples"]
    for sample in content["samples"]:
        assert len(pd.read_csv(work / "eval" / sample["bag"]["instances_csv"])) == sample["bag"]["n"]
        for cell in (*sample["bag"]["highest"], *sample["bag"]["lowest"]):
            assert all((work / "eval" / cell[key]).is_file() for key in ("image_png", "overlay_png", "nifti"))
    # what explaining says of each expert is what evaluating put beside its predictions
    rows = pd.read_csv(work / "eval" / "predictions.csv").set_index("id")
    for row in content["experts"]:
        assert row["image"] == pytest.approx(rows.loc[row["id"], "expert_probability_image"], abs=1e-4)
        assert row["gate"] == pytest.approx(rows.loc[row["id"], "gate"], abs=1e-4)


def test_every_measure_of_every_method_is_there_or_says_why(work):
    content = read_interpretability(work / "eval" / "interpretability.json")
    assert content["resampled"]["by"] == "patient"
    index = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    values = {"shapley_mixture", "shapley_image", "random_values", "untrained_values"}
    maps = set(content["methods"]) - values
    assert maps == {name for name in index["methods"] if not name.startswith("shapley")}
    found = {(row["measure"], row["method"]): row for row in content["rows"] if not {"label", "size"} & set(row)}
    assert set(found) >= {(measure, name) for measure in BAG_MEASURES for name in values}
    asked = ("mass_accuracy", "iou", "background_share", "noise_stability", "deletion_auc", "random_logit")
    assert set(found) >= {(measure, name) for measure in (*asked, "map_response", "reader_study") for name in maps}
    assert found["completeness_error", "shapley_mixture"]["value"] < 1e-5
    assert "one logit" in found["random_logit", "shapley_image"]["reason"]
    altered = {row["of"]: row for row in content["rows"] if row["measure"] == "output_response" and "label" in row}
    assert {row["label"] for row in altered.values()} == {"reactive", "tumoral"}
    assert "share of abnormal cells" in altered
    assert len(altered) == 4
    related = {row["of"] for row in content["rows"] if row["measure"] == "physical_correlation"}
    assert {"age (years)", "lymphocyte count (10⁹/L)", "mean area of the nuclei (µm²)"} < related


def test_watched_patients_come_first_and_similar_ones_stand_beside(work):
    content = json.loads((work / "eval" / "explanations" / "index.json").read_text())
    sections = json.loads((work / "data" / "datalist.json").read_text())
    of_section = {record["id"]: name for name in ("training", "validation", "test") for record in sections[name]}
    watched = [sample["id"] for sample in content["samples"] if sample.get("watched")]
    assert [sample["id"] for sample in content["samples"]][: len(watched)] == watched
    assert {of_section[name] for name in watched} == {"validation"}
    assert {of_section[row["id"]] for row in content["experts"]} == {"test"}
    for sample in content["samples"]:
        assert len(sample["similar"]) == 3
        assert {of_section[case["id"]] for case in sample["similar"]} == {"training"}
        assert all((work / "eval" / case["image_png"]).is_file() for case in sample["similar"])


@pytest.mark.parametrize("name", ["repeatability.json", "explanations/index.json"])
def test_files_say_which_data_and_weights_they_come_from(work, name):
    provenance = json.loads((work / "eval" / name).read_text())["provenance"]
    for key, files in (("data", ["data/datalist.json"]), ("weights", ["models/model.pt", "models/calibration.json"])):
        assert [entry["sha256"] for entry in provenance[key]] == [sha256_file(work / file) for file in files]


def test_repeating_takes_the_smears_for_sets(work):
    content = json.loads((work / "eval" / "repeatability.json").read_text())
    assert (
        content["temperature"] == json.loads((work / "models" / "calibration.json").read_text())["temperature"]["value"]
    )
    assert content["origin"] == {"smears": content["n"], "disjoint random subsets": 0}
    assert content["patients"][0]["sets"] == ["S1", "S2", "S3", "S4", "S5"]


def test_page_shows_all_of_it(work):
    page = (work / "eval" / "report.html").read_text(encoding="utf-8")
    for title in (
        "Shortcut check",
        "Repeatability",
        "Explained patients",
        "Interpretability",
        "Two experts and a gate",
    ):
        assert f">{title}<" in page


def test_a_trade_off_is_made_of_the_bundle_s_own_stations(work, tmp_path, monkeypatch):
    """The mixture is there already; an expert alone is trained, calibrated and evaluated, and cell features fitted."""
    spec = importlib.util.spec_from_file_location("trade_off_script", REPOSITORY / "scripts" / "trade_off.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    models = {"mixture": SMALL, "expert on attributes": {"network_name": "AttributePerceptron", **SMALL}}
    fitted = {"cell features": "classical"}
    settings = {"models": models, "not_explained": ["expert on attributes"], "fitted": fitted}
    monkeypatch.setattr(script, "read_settings", lambda _: settings)
    stations = []

    def python(arguments):
        stations.append(arguments[3])
        short = {"training": ["--max_epochs", "2"], "fitting": ["--bootstrap_resamples", "50"]}
        run([*arguments, *short.get(arguments[3], [])], REPOSITORY)

    (tmp_path / "mixture").mkdir()
    for name in ("models", "eval"):
        (tmp_path / "mixture" / name).symlink_to(work / name)
    page, table = script.make(CONFIGS.parent, work / "data", tmp_path, python)
    assert stations == ["training", "calibrating", "evaluating", "fitting"]
    rows = {line.split(" | ")[0].strip("| "): line for line in table.read_text().splitlines() if line.startswith("| ")}
    assert set(rows) >= set(models) | set(fitted)
    assert "Coefficients of the features" in rows["cell features"]
    assert "no method of the bundle explains this model" in rows["expert on attributes"]
    for name in (*models, *fitted):
        assert name in page.read_text()
        numbers = json.loads((tmp_path / script.folder_name(name) / "eval" / "metrics.json").read_text())["metrics"]
        assert f"{numbers['roc_auc']['value']:.3g}" in rows[name]
