"""``python scripts/report.py``: a bundle or a folder in, the path of the page out, an error without a traceback."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from shared.data.files import sha256_file
from tests.shared.report.element_files import write_rows
from tests.warm import run_warm

PREDICTIONS = (
    "id,logit_a,logit_b,probability_a,probability_b,prediction,confidence,decision,reason\n"
    "x,0.0,0.0,0.9,0.1,a,0.8,accept,\n"
)


@pytest.fixture
def report(repository):
    def run(*arguments):
        return run_warm([str(repository / "scripts" / "report.py"), *arguments], repository)

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


@pytest.fixture
def script(repository):
    """The command's module."""
    specification = importlib.util.spec_from_file_location("report_script", repository / "scripts" / "report.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_bundle_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch, script):
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


@pytest.fixture
def repository_of_two(script, tmp_path, monkeypatch):
    """A repository with two bundles that have predictions; the first has been explained."""
    monkeypatch.setattr(script, "REPOSITORY", tmp_path)
    monkeypatch.chdir(tmp_path)
    for bundle in ("cells", "chests"):
        eval_dir = tmp_path / "bundles" / bundle / "eval"
        eval_dir.mkdir(parents=True)
        (eval_dir / "predictions.csv").write_text(PREDICTIONS.replace("id,", "id,label,").replace("x,", "x,a,"))
    write_rows(tmp_path / "bundles" / "cells" / "eval")
    return tmp_path


def test_two_runs_are_compared_by_their_names(script, repository_of_two, capsys):
    assert script.main(["compare", "cells", "chests", "--all"]) == 0
    text = capsys.readouterr().out
    assert "The runs are of different bundles: cells and chests." in text
    assert "Localisation AUC · LIME" in text
    for name in ("two.md", "two.html"):
        assert script.main(["compare", "cells", "chests", "--output", name]) == 0
        assert capsys.readouterr().out.strip() == name
        assert "not measured in second" in (repository_of_two / name).read_text(encoding="utf-8")


def test_a_card_stands_for_its_run(script, repository_of_two, capsys):
    assert script.main(["cells"]) == 0
    card = repository_of_two / "bundles" / "cells" / "eval" / "card.json"
    assert script.main(["compare", str(card), "cells", "--all"]) == 0
    text = capsys.readouterr().out
    assert "0 of " in text
    assert "second better" not in text


def test_the_table_is_of_all_bundles_that_were_explained(script, repository_of_two, capsys):
    assert script.main(["table"]) == 0
    text = capsys.readouterr().out
    assert "| cells | where the cause lies | LIME |" in text
    assert "chests" not in text
    assert script.main(["table", "chests", "--output", "table.md"]) == 0
    assert "there is no interpretability.json" in (repository_of_two / "table.md").read_text(encoding="utf-8")
    (repository_of_two / "bundles" / "cells" / "eval" / "interpretability.json").unlink()
    assert script.main(["table"]) == 1
    assert "no bundle has been explained; run ./scripts/demo.sh first" in capsys.readouterr().err


def test_a_trade_off_needs_results(script, repository_of_two, capsys):
    assert script.main(["trade-off", "cells"]) == 1
    assert "no result to set against explanations; run evaluating" in capsys.readouterr().err


def test_a_suffix_that_is_not_written_is_refused(script, repository_of_two, capsys):
    assert script.main(["compare", "cells", "chests", "--output", "two.pdf"]) == 1
    assert "found the suffix '.pdf', expected .md or .html" in capsys.readouterr().err
