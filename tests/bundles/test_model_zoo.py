"""What the Model Zoo's verification asks of every bundle, and that every command also answers to ``run``."""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from pathlib import Path

import h5py
import jsonschema
import monai.bundle.scripts
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out
from PIL import Image

from shared import __version__
from shared.training.best_model import BestModel
from shared.training.start import data_error_behind
from shared.training.training_state import TrainingState

# a bundle that only prepares data yet has no metadata
BUNDLES = sorted(path.parents[1].name for path in Path(__file__).parents[2].glob("bundles/*/configs/metadata.json"))
MULTI_LABEL = {"chexpert_informer"}  # a label says of each class whether it is true
COMMANDS = {
    "training": ["train"],
    "calibrating": ["train", "calibrate"],
    "evaluating": ["train", "evaluate"],
    "inferring": ["inference"],
    "explaining": ["inference", "explain"],
}


@pytest.fixture(params=BUNDLES)
def bundle(request, repository, bundle_scripts):
    """A bundle's root, its ``scripts`` package being the one that is imported."""
    bundle_scripts(request.param)
    return repository / "bundles" / request.param


@pytest.fixture
def data(bundle, tmp_path):
    """A prepared data folder with two random records in each section, enough for configs to resolve."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    formats = metadata["network_data_format"]
    shape, classes = formats["inputs"]["image"]["spatial_shape"], formats["outputs"]["pred"]["num_channels"]
    sections: dict[str, list] = {}
    for section in ("training", "validation", "test", "outlier"):
        sections[section] = [
            {
                "id": f"{section} {label}",
                "label": [label] * classes if bundle.name in MULTI_LABEL else label,
                **random_input(tmp_path, f"{section}{label}", shape, bundle.name in MULTI_LABEL),
            }
            for label in range(2)
        ]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["a", "b"], "info": {}, **sections}))
    return tmp_path


def random_input(folder, name, shape, picture=False):
    """Write what a record's input consists of: an image, a bag of two with attributes, or a slide's features."""
    pixels = np.random.default_rng(zlib.crc32(name.encode())).random(shape, np.float32)
    if len(shape) == 1:
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"], file["coords"] = np.stack([pixels, 1 - pixels]), np.array([[0, 0], [256, 0]])
            file.attrs["level0_tile_size"] = 256.0
        return {"features": f"{name}.h5", "patient": name}
    if picture:
        Image.fromarray((255 * pixels).astype(np.uint8)).save(folder / f"{name}.png")
        return {"image": f"{name}.png", "patient": name}
    if len(shape) == 2:
        np.save(folder / f"{name}.npy", pixels)
        return {"image": f"{name}.npy"}
    files = [f"{name}_{index}.png" for index in range(2)]
    for file in files:
        Image.fromarray((255 * pixels).astype(np.uint8).transpose(1, 2, 0)).save(folder / file)
    return {"image": files, "patient": name, "age": 60, "lymphocyte_count": 9.5}


def configs(bundle, *names):
    return [str(bundle / "configs" / f"{name}.json") for name in names]


def test_files(bundle):
    expected = {"metadata.json", "logging.conf", "multi_gpu_train.json", "multi_gpu_evaluate.json"}
    expected |= {f"{name}.json" for names in COMMANDS.values() for name in names}
    assert expected <= {path.name for path in (bundle / "configs").iterdir()}
    assert "Apache License" in (bundle / "LICENSE").read_text()
    assert (bundle / "docs" / "README.md").stat().st_size > 1000


def test_metadata(bundle, tmp_path, monkeypatch):
    schema = Path(__file__).with_name("meta_schema.json")

    def download(url, filepath, **_):
        assert url.startswith("https://github.com/Project-MONAI/")
        shutil.copy(schema, filepath)

    monkeypatch.setattr(monai.bundle.scripts, "download_url", download)
    verify_metadata(meta_file=configs(bundle, "metadata")[0], filepath=str(tmp_path / "schema.json"))
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    assert metadata["required_packages_version"]["monai-explainable-bundles"] == __version__
    del metadata["intended_use"]
    with pytest.raises(jsonschema.ValidationError, match="intended_use"):
        jsonschema.validate(metadata, json.loads(schema.read_text()))


def test_pinned_versions_are_those_of_the_metadata(bundle, repository):
    pins = dict(line.split("==") for line in (repository / "requirements.txt").read_text().split() if "==" in line)
    pins = {name.lower(): version for name, version in pins.items()}
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    versions = metadata["required_packages_version"] | {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    del versions["monai-explainable-bundles"]
    assert versions.items() <= pins.items()


@pytest.mark.parametrize(("kind", "names"), [("train", ["train"]), ("infer", ["inference"])])
def test_check_properties(bundle, data, kind, names):
    workflow = ConfigWorkflow(
        config_file=configs(bundle, *names), workflow_type=kind, logging_file=False, dataset_dir=str(data)
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_to_run(bundle, command):
    parser = ConfigParser()
    parser.read_config(configs(bundle, *COMMANDS[command]))
    assert parser["run"] == f"%{command}" or parser["run"] == parser[command]
    assert parser[command], "the command has something to do"
    assert "initialize" not in parser, "imports would then resolve before the bundle's root is on the path"


@pytest.mark.parametrize("command", COMMANDS)
def test_settings_are_checked_before_anything_is_done(bundle, data, command):
    files = configs(bundle, *COMMANDS[command])
    mistakes = {"sed": "did you mean 'seed'"}
    if "network_name" in ConfigParser.load_config_files(files):  # not a bundle of one network
        mistakes["network_name"] = "network_name: scripts.networks has no 'Nothing'"
    for key, message in mistakes.items():
        workflow = ConfigWorkflow(
            files, logging_file=False, workflow_type=None, dataset_dir=str(data), **{key: "Nothing"}
        )
        workflow.initialize()
        with pytest.raises(RuntimeError) as caught:
            workflow.run()
        assert message in str(data_error_behind(caught.value))


def test_what_is_resumed_is_the_handler_that_chooses_the_model(bundle, data):
    parser = ConfigParser()
    parser.read_config(configs(bundle, "train"))
    parser["dataset_dir"] = str(data)
    handlers = parser.get_parsed_content("train#handlers")
    (state,) = (handler for handler in handlers if isinstance(handler, TrainingState))
    assert [handler for handler in handlers if isinstance(handler, BestModel)] == [state.objects["best_model"]]


def test_net_in_out(bundle, data):
    verify_net_in_out(
        "network_def",
        meta_file=configs(bundle, "metadata")[0],
        config_file=configs(bundle, "inference")[0],
        device="cpu",
        dataset_dir=str(data),
    )


def test_ckpt_export(bundle, data, tmp_path):
    parser = ConfigParser()
    parser.read_config(configs(bundle, "inference"))
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "model.pt"),
        meta_file=configs(bundle, "metadata")[0],
        config_file=configs(bundle, "inference")[0],
        key_in_ckpt="",
        use_trace=False,
    )
    image = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["inputs"]["image"]
    inputs = torch.rand(3, image["num_channels"], *image["spatial_shape"])
    exported = torch.jit.load(tmp_path / "model.ts")
    torch.testing.assert_close(exported(inputs), network(inputs))


def test_root_resolves_from_any_folder(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for names in COMMANDS.values():
        parser = ConfigParser()
        parser.read_config(configs(bundle, *names))
        assert parser.get_parsed_content("bundle_root") == str(bundle)
    assert str(bundle) in sys.path
