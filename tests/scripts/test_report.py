"""``python scripts/report.py``: a bundle or a folder in, the path of the page out, an error without a traceback."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest

from shared.data.files import sha256_file

PREDICTIONS = (
    "id,logit_a,logit_b,probability_a,probability_b,prediction,confidence,decision,reason\n"
    "x,0.0,0.0,0.9,0.1,a,0.8,accept,\n"
)


@pytest.fixture
def report(repository):
    def run(*arguments):
        command = [sys.executable, str(repository / "scripts" / "report.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_prints_the_path_of_the_page_for_a_bundle_and_for_its_folder(report, tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "eval").mkdir(parents=True)
    (bundle / "configs").mkdir()
    (bundle / "configs" / "metadata.json").write_text('{"name": "A model", "intended_use": "Research."}')
    (bundle / "eval" / "predictions.csv").write_text(PREDICTIONS)
    for folder in (bundle, bundle / "eval"):
        done = report(folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(bundle / "eval" / "report.html")
        page = (bundle / "eval" / "report.html").read_text(encoding="utf-8")
        assert "<h1>A model</h1>" in page
        assert "Research." in page


def test_a_bundle_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch, repository):
    specification = importlib.util.spec_from_file_location("report_script", repository / "scripts" / "report.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    monkeypatch.setattr(script, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    eval_dir = tmp_path / "bundles" / "cells" / "eval"
    eval_dir.mkdir(parents=True)
    (eval_dir / "predictions.csv").write_text(PREDICTIONS)
    assert script.main(["cells"]) == 0
    assert (eval_dir / "report.html").is_file()
    assert script.main(["other"]) == 1


def test_calibration_of_results_elsewhere_is_named(report, tmp_path):
    (tmp_path / "predictions.csv").write_text(PREDICTIONS)
    calibration = tmp_path / "own.json"
    calibration.write_text('{"temperature": {"value": 1.75}}')
    done = report(tmp_path, "--calibration-file", calibration)
    assert done.returncode == 0, done.stderr
    assert "1.75" in (tmp_path / "report.html").read_text(encoding="utf-8")
    gone = report(tmp_path, "--calibration-file", tmp_path / "gone.json")
    assert gone.returncode == 1
    assert "gone.json: no such file" in gone.stderr


def test_a_page_is_not_replaced_by_one_that_lacks_the_calibration(report, tmp_path):
    bundle = tmp_path / "bundle"
    for name in ("eval", "models", "elsewhere/models"):
        (bundle / name).mkdir(parents=True)
    (bundle / "eval" / "predictions.csv").write_text(PREDICTIONS)
    named = bundle / "elsewhere" / "models" / "calibration.json"
    for file, temperature in ((named, 1.75), (bundle / "models" / "calibration.json", 2.5)):
        file.write_text(json.dumps({"weights_sha256": "5f2c", "temperature": {"value": temperature}}))
    used = [{"file": "model.pt", "sha256": "5f2c"}, {"file": "calibration.json", "sha256": sha256_file(named)}]
    index = {"samples": [], "methods": {}, "provenance": {"weights": used}}
    (bundle / "eval" / "explanations").mkdir()
    (bundle / "eval" / "explanations" / "index.json").write_text(json.dumps(index))
    page = bundle / "eval" / "report.html"
    page.write_text("old")

    refused = report(bundle)
    assert refused.returncode == 1
    assert "report.html: is kept" in refused.stderr
    assert "--calibration-file" in refused.stderr
    assert page.read_text() == "old"
    assert report(bundle, "--calibration-file", named).returncode == 0
    assert "1.75" in page.read_text(encoding="utf-8")
    assert report(bundle, "--without-calibration").returncode == 0
    assert "1.75" not in page.read_text(encoding="utf-8")
    # beside the results, as with --ckpt_dir and --output_dir in one folder, it is found
    (bundle / "elsewhere" / "eval").mkdir()
    shutil.copytree(bundle / "eval", bundle / "elsewhere" / "eval", dirs_exist_ok=True)
    assert report(bundle / "elsewhere" / "eval", "--bundle-root", bundle).returncode == 0
    assert "1.75" in (bundle / "elsewhere" / "eval" / "report.html").read_text(encoding="utf-8")


def test_empty_folder_is_a_clear_error(report, tmp_path):
    done = report(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "run evaluating or explaining first" in done.stderr
    assert "Traceback" not in done.stderr
