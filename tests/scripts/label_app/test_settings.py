"""What is said at the start: misspelt settings, models that are not trained or not calibrated."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def bundles(tmp_path):
    """Three bundles: one complete, one without calibration, one without anything."""
    for name, files in {
        "complete": ("model.pt", "calibration.json"),
        "uncalibrated": ("model.pt",),
        "untrained": (),
    }.items():
        (tmp_path / name / "configs").mkdir(parents=True)
        (tmp_path / name / "models").mkdir()
        serving = {"staging": {"suffixes": [".png"]}, "takes_folders": name == "complete", "keeps_output": False}
        (tmp_path / name / "configs" / "serve.json").write_text(json.dumps({"serving": serving}))
        for file in files:
            (tmp_path / name / "models" / file).write_text("{}")
    (tmp_path / "no_bundle").mkdir()
    return tmp_path


def test_all_that_are_complete_are_served_unless_some_are_named(lib, bundles):
    models = lib("served_models").find_models(bundles, None)
    assert list(models) == ["complete"]
    assert models["complete"].upload_suffixes == [".zip"]
    assert list(lib("served_models").find_models(bundles, " complete ,")) == ["complete"]


@pytest.mark.parametrize(
    ("name", "missing", "command"),
    [
        ("uncalibrated", "calibration.json", "run calibrating"),
        ("untrained", "model.pt", "run training"),
        ("untrained", "calibration.json", "run calibrating"),
    ],
)
def test_a_named_model_that_is_not_complete_stops_the_start(lib, bundles, name, missing, command):
    with pytest.raises(lib("errors").StartError) as stopped:
        lib("served_models").find_models(bundles, f"complete,{name}")
    assert str(bundles / name / "models" / missing) in str(stopped.value)
    assert command in str(stopped.value)
    assert str(bundles / name / "configs") in str(stopped.value)


def test_what_is_left_out_is_said_with_the_command_that_mends_it(lib, bundles):
    uncalibrated, untrained = lib("served_models").left_out(bundles)
    assert uncalibrated.startswith("uncalibrated is not served:")
    assert "model.pt" not in uncalibrated
    assert str(bundles / "uncalibrated" / "models" / "calibration.json") in uncalibrated
    assert "run calibrating" in uncalibrated
    assert untrained.startswith("untrained is not served:")
    assert "run training" in untrained
    assert "run calibrating" in untrained


def test_an_unknown_model_is_named(lib, bundles):
    with pytest.raises(lib("errors").StartError, match="no bundle 'no_bundle' that can be served; found complete"):
        lib("served_models").find_models(bundles, "no_bundle")


def test_nothing_to_serve(lib, bundles):
    (bundles / "complete" / "models" / "model.pt").unlink()
    with pytest.raises(lib("errors").StartError, match="no bundle is trained and calibrated"):
        lib("served_models").find_models(bundles, None)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"model": "x"}, "did you mean 'models'"),
        ({"max_upload_mb": "much"}, "expected a positive number"),
        ({"timeout_s": "-1"}, "expected a positive number"),
        ({"max_archive_files": "nan"}, "expected a positive number"),
    ],
)
def test_wrong_settings(lib, conf, said):
    with pytest.raises(lib("errors").StartError, match=said):
        lib("settings").AppSettings.of_conf(conf)


def test_settings(lib, tmp_path):
    conf = {"zoo_source": "local", "bundles": str(tmp_path), "max_upload_mb": "0.5", "hosts": "a, b", "timeout_s": "9"}
    settings = lib("settings").AppSettings.of_conf(conf)
    assert (settings.bundles, settings.max_upload, settings.hosts) == (tmp_path, 1 << 19, ("a", "b"))
    assert settings.models is None
    assert settings.timeout == 9
