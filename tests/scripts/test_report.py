"""``python scripts/report.py``: a bundle or a folder in, the path of the page out, an error without a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
    (bundle / "eval" / "predictions.csv").write_text(
        "id,logit_a,logit_b,probability_a,probability_b,prediction,confidence,decision,reason\n"
        "x,0.0,0.0,0.9,0.1,a,0.8,accept,\n"
    )
    for folder in (bundle, bundle / "eval"):
        done = report(folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(bundle / "eval" / "report.html")
        page = (bundle / "eval" / "report.html").read_text(encoding="utf-8")
        assert "<h1>A model</h1>" in page
        assert "Research." in page


def test_empty_folder_is_a_clear_error(report, tmp_path):
    done = report(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "run evaluating or explaining first" in done.stderr
    assert "Traceback" not in done.stderr
