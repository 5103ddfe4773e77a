"""Packages: what is in them, hashes as MONAI checks them, settings that become their own, equal archives."""

from __future__ import annotations

import json
import zipfile

import pytest
from monai.apps.utils import HashCheckError, check_hash
from monai.bundle import ConfigParser, download_large_files

from shared.data.errors import DataError
from shared.export.package import large_files, stage_bundle, write_package


@pytest.fixture
def bundle(tmp_path):
    """A bundle with a trained model, and with what does not belong into a package."""
    root = tmp_path / "small_bundle"
    files = {
        "configs/metadata.json": '{"version": "0.3.1"}',
        "configs/inference.json": '{"width": 4, "batch_size": 1}',
        "configs/train.json": '{"width": 4, "epochs": 2}',
        "docs/README.md": "A card.",
        "scripts/__init__.py": "",
        "scripts/networks.py": "x = 1\n",
        "scripts/__pycache__/networks.cpython-311.pyc": "cache",
        "LICENSE": "Apache License",
        "models/model.pt": "weights",
        "models/model.onnx": "graph",
        "models/calibration.json": "{}",
        "models/outlier_statistics.npz": "numbers",
        "models/training_state.pt": "all of the optimiser",
        "models/logs/events": "log",
        "data/datalist.json": "patients",
        "eval/predictions.csv": "patients",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def stage(bundle, folder, **settings):
    folder.mkdir()
    return stage_bundle(bundle, folder, bundle / "models", settings)


def test_content(bundle, tmp_path):
    path = write_package(stage(bundle, tmp_path / "a"), tmp_path / "out")
    assert path == tmp_path / "out" / "small_bundle_v0.3.1.zip"
    with zipfile.ZipFile(path) as archive:
        names = {name.removeprefix("small_bundle/") for name in archive.namelist()}
        archive.extractall(tmp_path / "unpacked")
    assert names == {
        *("configs/metadata.json", "configs/inference.json", "configs/train.json", "docs/README.md", "LICENSE"),
        *("scripts/__init__.py", "scripts/networks.py", "large_files.yml"),
        *("models/model.pt", "models/model.onnx", "models/calibration.json", "models/outlier_statistics.npz"),
    }
    pytest.importorskip("yaml", reason="MONAI reads large_files.yml by PyYAML")
    root = tmp_path / "unpacked" / "small_bundle"
    listed = ConfigParser.load_config_file(str(root / "large_files.yml"))["large_files"]
    assert [entry["path"] for entry in listed] == ["models/model.pt", "models/model.onnx"]
    for entry in listed:
        assert set(entry) == {"path", "url", "hash_val", "hash_type"}
        assert check_hash(root / entry["path"], entry["hash_val"], entry["hash_type"])
    assert not check_hash(root / "LICENSE", listed[0]["hash_val"], listed[0]["hash_type"])


def test_equal_bundles_give_equal_archives(bundle, tmp_path):
    first, second = (write_package(stage(bundle, tmp_path / name), tmp_path / f"{name}_out") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    (bundle / "models" / "model.pt").write_text("others")
    assert write_package(stage(bundle, tmp_path / "c"), tmp_path / "c_out").read_bytes() != first.read_bytes()


def test_weights_may_be_left_out_if_they_can_be_fetched(bundle, tmp_path):
    staged = stage(bundle, tmp_path / "a")
    with pytest.raises(DataError, match="needs the URL that they are fetched from; give --url"):
        write_package(staged, tmp_path, with_weights=False)
    path = write_package(staged, tmp_path, url="https://example.org/x/", with_weights=False)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "small_bundle/models/calibration.json" in names
    assert not {"small_bundle/models/model.pt", "small_bundle/models/model.onnx"} & set(names)
    assert large_files(staged, "https://example.org/x/")[0]["url"] == "https://example.org/x/models/model.pt"


def test_monai_fetches_and_checks_the_weights(bundle, tmp_path):
    pytest.importorskip("yaml", reason="MONAI reads large_files.yml by PyYAML")
    staged = stage(bundle, tmp_path / "a")
    path = write_package(staged, tmp_path, url=staged.as_uri(), with_weights=False)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    root = tmp_path / "unpacked" / "small_bundle"
    download_large_files(bundle_path=str(root))
    assert (root / "models" / "model.pt").read_text() == "weights"
    assert (root / "models" / "model.onnx").read_text() == "graph"
    download_large_files(bundle_path=str(root))  # what is there is not fetched again, but checked
    (root / "models" / "model.pt").write_text("other weights")
    with pytest.raises(HashCheckError, match="sha256 hash check of existing file failed"):
        download_large_files(bundle_path=str(root))


def test_monai_takes_the_weights_that_came_along(bundle, tmp_path):
    pytest.importorskip("yaml", reason="MONAI reads large_files.yml by PyYAML")
    with zipfile.ZipFile(write_package(stage(bundle, tmp_path / "a"), tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked")
    download_large_files(bundle_path=str(tmp_path / "unpacked" / "small_bundle"))


def test_settings_become_those_of_every_config_that_has_them(bundle, tmp_path):
    configs = stage(bundle, tmp_path / "a", width=8, epochs=5) / "configs"
    assert json.loads((configs / "inference.json").read_text()) == {"width": 8, "batch_size": 1}
    assert json.loads((configs / "train.json").read_text()) == {"width": 8, "epochs": 5}
    assert json.loads((bundle / "configs" / "train.json").read_text()) == {"width": 4, "epochs": 2}
    with pytest.raises(DataError, match="widht: no config of the bundle has such a key"):
        stage(bundle, tmp_path / "b", widht=8)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("LICENSE", "has no LICENSE; expected a bundle"),
        ("models/model.pt", "no such file; run the bundle's training before"),
        ("models/calibration.json", "no such file; run the bundle's calibrating before"),
    ],
)
def test_what_is_missing_is_named(bundle, tmp_path, missing, message):
    (bundle / missing).unlink()
    with pytest.raises(DataError, match=message):
        stage(bundle, tmp_path / "a")
