"""The models of a bundle's trade-off: which commands are run, in which order, and what is left as it is."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from shared.data.errors import DataError
from shared.data.files import read_json

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLES = sorted(path.parents[1].name for path in (REPOSITORY / "bundles").glob("*/configs/trade_off.json"))
METRICS = {
    "bundle": "leukocyte_qpi",
    "split": "test",
    "n": 40,
    "classes": ["lymphocyte", "monocyte", "neutrophil"],
    "metrics": {"macro_f1": {"value": 0.8, "ci95": [0.7, 0.9]}},
    "calibration": {},
    "provenance": {},
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("trade_off_script", REPOSITORY / "scripts" / "trade_off.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("bundle", BUNDLES)
def test_what_differs_between_the_models_are_keys_of_the_bundle(script, bundle):
    configs = REPOSITORY / "bundles" / bundle / "configs"
    settings = script.read_settings(configs / "trade_off.json")
    assert len(settings["models"]) > 1
    for overrides in settings["models"].values():
        assert set(overrides) <= set(read_json(configs / "train.json")) & set(read_json(configs / "inference.json"))
    for config in settings["fitted"].values():
        assert "fitting" in read_json(configs / f"{config}.json")


def test_no_model_stands_twice(script):
    """The mean of the logits of a linear head is the logit of the mean embedding: one function under two names."""
    settings = script.read_settings(REPOSITORY / "bundles" / "camelyon_attmil" / "configs" / "trade_off.json")
    models = [json.dumps(overrides, sort_keys=True) for overrides in settings["models"].values()]
    assert len(set(models)) == len(models)
    names = {overrides["network_name"] for overrides in settings["models"].values()}
    assert not {"mean_embedding", "mean_instance"} <= names


def test_every_bundle_has_models():
    trained = {path.parents[1].name for path in (REPOSITORY / "bundles").glob("*/configs/train.json")}
    assert set(BUNDLES) == trained


def _bundle(folder, settings):
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "trade_off.json").write_text(json.dumps(settings))
    (folder / "data").mkdir()
    (folder / "data" / "datalist.json").write_text("{}")
    return folder


def test_stations_are_run_once_and_the_picture_holds_all_models(script, tmp_path):
    settings = {"models": {"small": {"width": 16}, "attributes": {}}, "not_explained": ["attributes"], "fitted": {}}
    root, output, commands = _bundle(tmp_path / "leukocyte_qpi", settings), tmp_path / "out", []

    def run(given):
        commands.append(given)
        folder = Path(given[given.index("--output_dir") + 1]).parent
        product = folder / script.STATIONS[given[3]][1]
        product.parent.mkdir(parents=True, exist_ok=True)
        if product.parent.name == "models":
            product.write_text("")
        elif given[3] == "evaluating":
            product.write_text(json.dumps(METRICS))
        else:
            content = {"format": 1, "bundle": "b", "unit": "cell", "model": {}, "methods": {}, "rows": []}
            product.write_text(json.dumps(content))

    written = script.make(root, root / "data", output, run)
    assert [(given[3], Path(given[-1]).name) for given in commands if "--width" in given] == [
        (station, "16") for station in script.STATIONS
    ]
    assert [given[3] for given in commands if "--width" not in given] == ["training", "calibrating", "evaluating"]
    assert [path.name for path in written] == ["trade_off.html", "trade_off.md"]
    text = written[1].read_text()
    assert "| small |" in text
    assert "| attributes |" in text
    assert "no method of the bundle explains this model" in text
    assert "run explaining" not in text
    commands.clear()
    script.make(root, root / "data", output, run)
    assert commands == []


def test_settings_and_data_that_are_missing_are_named(script, tmp_path):
    root = _bundle(tmp_path / "a", {"models": {}, "not_explained": ["x"], "fitted": {}})
    with pytest.raises(DataError, match="not_explained: found 'x'"):
        script.make(root, root / "data", tmp_path, print)
    (root / "configs" / "trade_off.json").write_text("[]")
    with pytest.raises(DataError, match="expected an object with models"):
        script.make(root, root / "data", tmp_path, print)
    root = _bundle(tmp_path / "b", {"models": {}, "not_explained": [], "fitted": {}})
    with pytest.raises(DataError, match=r"no datalist\.json; run python scripts/prepare.py b --phantom"):
        script.make(root, tmp_path, tmp_path, print)


def test_a_bundle_that_has_no_settings_is_refused_with_those_that_have(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["nobundle"])
    said = capsys.readouterr().err
    assert "nobundle" in said
    assert all(name in said for name in BUNDLES)
