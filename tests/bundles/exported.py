"""A trained bundle exported by the command, and read by ONNX Runtime alone, beside its own predictions file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser

from shared.data.files import sha256_file
from shared.export.reader import CalibratedModel, Predictions
from tests.bundles.commands import REPOSITORY, options, run

__all__ = ["assert_export_predicts_alike"]


def assert_export_predicts_alike(name: str, trained: Path, data: Path, **settings: Any) -> None:
    """What the exported file says of the test section is what ``eval/predictions.csv`` says.

    Args:
        name: of the bundle, whose ``scripts`` package is imported.
        trained: folder with ``models`` and ``eval``.
        data: prepared folder.
        settings: that the network was trained with.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    path, weights = trained / "exported.onnx", trained / "models" / "model.pt"
    overrides = options({"ckpt_dir": trained / "models", **settings})
    script = str(REPOSITORY / "scripts" / "export.py")
    said = run([script, name, "--output", str(path), *overrides], trained).stdout
    assert f"{path}: with its calibration" in said
    model = CalibratedModel(path)
    assert model.export["bundle"] == name
    assert model.export["weights_sha256"] == sha256_file(weights)

    parser = ConfigParser()
    parser.read_config(str(REPOSITORY / "bundles" / name / "configs" / "inference.json"))
    parser.update({"dataset_dir": str(data), "ckpt_dir": str(trained / "models"), **settings})
    records, transform = parser.get_parsed_content("records"), parser.get_parsed_content("preprocessing")
    table = pd.read_csv(trained / "eval" / "predictions.csv", keep_default_na=False).set_index("id")
    samples = [_inputs(transform(record)) for record in records]
    rows = table.loc[[record["id"] for record in records]]
    _assert_equal(_merged([model(**{key: value[None] for key, value in one.items()}) for one in samples]), rows, model)
    _assert_equal(model(**_batch(samples[:5], model)), rows[:5], model)


def _inputs(sample: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the network is given of one sample, bag or image: pixels as floats in [0, 1]."""
    image = torch.as_tensor(sample.get("image", sample.get("features")))
    found = {"image": (image.float() / 255 if image.dtype == torch.uint8 else image.float()).numpy()}
    return found | ({"attributes": sample["attributes"].numpy()} if "attributes" in sample else {})


def _batch(samples: list[dict[str, np.ndarray]], model: CalibratedModel) -> dict[str, np.ndarray]:
    """Several samples at once, bags of different sizes padded with what is no instance."""
    batch = {key: np.stack([one[key] for one in samples]) for key in samples[0] if key != "image"}
    if "mask" not in model.export["inputs"]:
        return batch | {"image": np.stack([one["image"] for one in samples])}
    bags = [one["image"] for one in samples]
    mask = np.arange(max(map(len, bags))) < np.array([len(bag) for bag in bags])[:, None]
    image = np.full((*mask.shape, *bags[0].shape[1:]), 7.0, dtype=np.float32)
    image[mask] = np.concatenate(bags)
    return batch | {"image": image, "mask": mask}


def _merged(parts: list[Predictions]) -> Predictions:
    columns = zip(*parts, strict=True)
    return Predictions(*(None if column[0] is None else np.concatenate(column) for column in columns))


def _assert_equal(found: Predictions, rows: pd.DataFrame, model: CalibratedModel) -> None:
    assert len(rows) > 1
    np.testing.assert_allclose(found.probabilities, rows[[f"probability_{name}" for name in model.classes]], atol=1e-5)
    if found.decision is None:
        np.testing.assert_array_equal(found.prediction, rows[[f"prediction_{name}" for name in model.classes]])
        np.testing.assert_allclose(found.confidence, rows[[f"confidence_{name}" for name in model.classes]], atol=2e-5)
        np.testing.assert_allclose(found.logits, rows[[f"logit_{name}" for name in model.classes]], atol=1e-4)
        return
    assert [model.classes[index] for index in found.prediction] == rows["prediction"].tolist()
    np.testing.assert_allclose(found.confidence, rows["confidence"], atol=2e-5)
    for mine, of_bundle in zip(found.decision, rows["decision"], strict=True):
        assert mine == of_bundle or of_bundle == "reject", "only an outlier score may decide otherwise"
