"""From calibrating to the report as a user types it: what is accepted, missed and saved, file against file.

Features are drawn, not extracted: tumour slides hold as many tumour tiles as their largest lesion has room for, so that
small lesions are missed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared.data.datalist import write_datalist
from shared.evaluation.predictions import read_predictions
from tests.bundles import commands

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGS = REPOSITORY / "bundles" / "camelyon_attmil" / "configs"
MPP, SIDE, WIDTH = 0.5, 128.0, 16  # µm per pixel, µm per tile, features
FAST = {
    "max_epochs": 25,
    "learning_rate": 0.003,
    "in_features": WIDTH,
    "embedding": 16,
    "attention_dimension": 8,
    "slide_context": True,
    "bootstrap_resamples": 100,
    "target_sensitivity": 0.8,
    "minimum_confidence": 0.0,
    "target_risk": 0.2,
}

pytestmark = pytest.mark.slow


def write_slide(scripts, folder, name, label, extent_mm, rng):
    """Write a feature file, and the annotation of one round lesion; return the record."""
    tiles = int(rng.integers(60, 90))
    tumour = min(tiles // 2, max(1, round((extent_mm * 1e3 / SIDE) ** 2))) if label else 0
    features = rng.normal(size=(tiles, WIDTH))
    # cells that fill a part of their tile leave a part of their trace
    features[:tumour, 0] += 4.0 * min(1.0, extent_mm * 1e3 / SIDE)
    own = scripts("feature_file")
    attributes = own.FeatureAttributes(
        slide_id=name,
        mpp=MPP,
        tile_size=256,
        level0_tile_size=256.0,
        slide_mpp=MPP,
        encoder="drawn",
        encoder_sha256="0",
    )
    coords = np.stack([256 * np.arange(tiles), np.zeros(tiles)], axis=1).astype(np.int64)
    path = folder / "features" / f"{name}.h5"
    path.parent.mkdir(exist_ok=True)
    own.write_features(path, [(features.astype(np.float16), coords, None)], tiles, attributes)
    record = {"id": name, "patient": name, "features": str(path), "label": label, "tiles": tiles}
    if label:
        annotations = scripts("annotations")
        angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        circle = 20_000 + 500 * extent_mm / MPP * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        xml = folder / f"{name}.xml"
        annotations.write_asap(xml, annotations.Annotation((annotations.Outline("_0", "_0", circle),)))
        record |= {"annotation": str(xml)}
    return record


def run(run_id, config, folder, **overrides):
    """Run a command of the bundle on the drawn data, and return what it logged."""
    given = {"dataset_dir": folder, "ckpt_dir": folder / "models", "output_dir": folder / "eval"}
    known = (CONFIGS / "train.json").read_text() + (CONFIGS / f"{config}.json").read_text()
    options = {**given, **{key: value for key, value in FAST.items() if f'"{key}":' in known}, **overrides}
    configs = str([str(CONFIGS / f"{name}.json") for name in dict.fromkeys(("train", config))])
    arguments = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    done = commands.run(["-m", "monai.bundle", "run", run_id, "--config_file", configs, *arguments], folder)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def evaluated(scripts, tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("slides"), np.random.default_rng(0)
    sections = {}
    for section, count in {"training": 48, "validation": 48, "test": 48}.items():
        records = []
        for number in range(count):
            extent = float(10 ** rng.uniform(-1.5, 0.7))
            name = f"{section}_{number:03d}"
            records.append(write_slide(scripts, folder, name, number % 2, extent, rng))
        sections[section] = records
    module = scripts("prepare")
    write_datalist(folder / "datalist.json", sections, ["normal", "tumour"], {}, module.KEYS_WITH_PATHS)
    run("training", "train", folder)
    run("calibrating", "calibrate", folder)
    run("evaluating", "evaluate", folder)
    return folder


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_nothing_is_accepted_as_normal_above_the_fitted_threshold(evaluated):
    fitted = read(evaluated, "models/calibration.json")["sensitivity"]
    # 24 positive validation slides: k = floor(0.2 * 25) - 1 of them may lie below
    assert (fitted["reached"], fitted["by"], fitted["n_positive"], fitted["missed"]) == (True, "patient", 24, 4)
    table = read_predictions(evaluated / "eval" / "predictions.csv")
    as_normal = table[(table["decision"] == "accept") & (table["prediction"] == "normal")]
    assert len(as_normal) > 0
    assert as_normal["probability_tumour"].max() < fitted["threshold"]
    deferred = table[table["reason"].str.contains("is not below")]
    assert (deferred["probability_tumour"] >= fitted["threshold"]).all()
    assert set(deferred["prediction"]) <= {"normal"}
    measured = read(evaluated, "eval/metrics.json")["wanted_sensitivity"]
    tumour = table["label"] == "tumour"
    found = table["probability_tumour"][tumour] >= fitted["threshold"]
    assert measured["at_threshold"]["sensitivity"]["value"] == pytest.approx(found.mean())
    assert measured["accepted_as_other"]["count"] == (as_normal["label"] == "tumour").sum()


def test_settings_of_the_network_stand_beside_those_of_the_bundle(evaluated):
    model = read(evaluated, "eval/metrics.json")["model"]
    assert model["settings"]["slide_context"] is True
    assert model["default"]["slide_context"] is False
    assert model["settings"]["in_features"] == WIDTH


def test_saved_time_and_misses_are_those_of_the_predictions(evaluated):
    metrics = read(evaluated, "eval/metrics.json")
    table = read_predictions(evaluated / "eval" / "predictions.csv")
    accepted = table["decision"] == "accept"
    saving = metrics["time_saving"]
    assert saving["hours_alone"] == pytest.approx(34 * 1000 / 3600)
    assert saving["decided"]["hours_saved"]["value"] == pytest.approx(accepted.mean() * 34 * 1000 / 3600)
    assert saving["decided"]["n_wrong"] == (accepted & (table["prediction"] != table["label"])).sum()
    assert [entry["target_risk"] for entry in saving["deferral"]] == [0.05, 0.1, 0.2]
    missed = {case["id"] for case in metrics["lesions"]["cases"] if not case["found"]}
    assert missed == set(table["id"][(table["label"] == "tumour") & (table["prediction"] == "normal")])
    kinds = metrics["lesions"]["kinds"]
    assert sum(kind["n"] for kind in kinds.values()) == 24
    assert kinds["macro"]["found"]["value"] > kinds["itc"]["found"]["value"]
    page = (evaluated / "eval" / "report.html").read_text()
    for words in ("Wanted sensitivity", "Reading time", "Lesion size", "Precision-recall curve for tumour"):
        assert words in page
    assert all(name in page for name in missed)


def test_other_times_and_another_sensitivity_by_the_command_line(evaluated, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes((evaluated / "models" / "model.pt").read_bytes())
    places = {"dataset_dir": evaluated, "ckpt_dir": tmp_path / "models", "output_dir": tmp_path / "eval"}
    logged = run("calibrating", "calibrate", evaluated, **places, target_sensitivity=0.99)
    assert "at least 99 positive cases, found 24" in logged
    run("evaluating", "evaluate", evaluated, **places, seconds_per_slide=60, slides_reported=120)
    metrics = read(tmp_path, "eval/metrics.json")
    assert metrics["time_saving"]["hours_alone"] == pytest.approx(2.0)
    assert metrics["time_saving"]["seconds_per_correction"] == 60
    assert metrics["time_saving"]["decided_as"]["normal"]["n_accepted"] == 0
    assert "Not promised." in (tmp_path / "eval" / "report.html").read_text()


def test_slides_that_had_no_part_in_training_make_the_promise_hold(evaluated, tmp_path):
    """The same weights, calibrated on a section of its own: calibration, page and card say which slides they were."""
    content = read(evaluated, "datalist.json")
    for record in (record for name in ("training", "validation", "test") for record in content[name]):
        record |= {key: str(evaluated / record[key]) for key in ("features", "annotation") if key in record}
    content["calibration"], content["test"] = content["test"][:36], content["test"][36:]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes((evaluated / "models" / "model.pt").read_bytes())
    run("calibrating", "calibrate", tmp_path)
    run("evaluating", "evaluate", tmp_path)
    for folder, section, count in ((evaluated, "validation", 24), (tmp_path, "calibration", 18)):
        fitted = read(folder, "models/calibration.json")
        assert (fitted["fitted_on"]["section"], fitted["fitted_on"]["nominal"]) == (section, section == "validation")
        assert (fitted["sensitivity"]["split"], fitted["sensitivity"]["n_positive"]) == (section, count)
        page = (folder / "eval" / "report.html").read_text(encoding="utf-8")
        assert f"The threshold comes from {count} {section} patients with tumour" in page
        assert ("Here it is nominal" in page) == (section == "validation")
        words = " ".join(read(folder, "eval/card.json")["calibration"]["words"])
        assert ("guarantees are nominal" in words) == (section == "validation")
        assert f"Fitted on the section {section}" in words
