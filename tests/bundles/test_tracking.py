"""``--tracking mlflow``, MONAI's own option: a training is recorded, epoch by epoch, in a data base beside it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from tests.bundles.commands import REPOSITORY, BundleCommands, folders, run

mlflow = pytest.importorskip("mlflow", reason="not installed: pip install -r requirements-mlflow.txt")
pytest.importorskip("sqlalchemy", reason="not installed: pip install -r requirements-mlflow.txt")
pytestmark = pytest.mark.slow

EPOCHS = 2


CLASSES = {
    "leukocyte_qpi": ["monocyte", "lymphocyte", "neutrophil", "eosinophil"],
    "chexpert_informer": ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"],
}
SETTINGS = {
    "leukocyte_qpi": {"patience": EPOCHS, "batch_size": 4},
    "chexpert_informer": {"image_size": 32, "init_features": 4, "growth_rate": 4, "block_config": [1, 1]},
}
METRICS = {
    "leukocyte_qpi": ("val_macro_f1", "val_loss", "val_calibration_error"),
    "chexpert_informer": ("val_mean_auc", "val_loss", "val_auc_edema"),
}


def write_data(folder, bundle):
    """Write a datalist with eight random images in each section, labels spread over the classes."""
    random = np.random.default_rng(0)
    content: dict = {"classes": CLASSES[bundle], "info": {}}
    for section in ("training", "validation", "test"):
        content[section] = []
        for number in range(8):
            name = f"{section}{number}"
            record = {"id": name, "donor": name, "patient": name}
            if bundle == "leukocyte_qpi":
                np.save(folder / f"{name}.npy", random.random((50, 50), np.float32))
                record |= {"image": f"{name}.npy", "label": number % 4}
            else:
                Image.fromarray(random.integers(0, 256, (40, 40), np.uint8)).save(folder / f"{name}.png")
                record |= {"image": f"{name}.png", "label": [(number >> bit) & 1 for bit in (0, 1, 2, 0, 1)]}
            content[section].append(record)
    (folder / "datalist.json").write_text(json.dumps(content))


# one trainer hands on a list of samples, the other a batch
@pytest.mark.parametrize("bundle", CLASSES)
def test_training_is_recorded(bundle, tmp_path, monkeypatch):
    write_data(tmp_path, bundle)
    # MONAI looks for the folder of its own record before it puts the bundle on the path
    path = [str(REPOSITORY / "bundles" / bundle), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    settings = {"max_epochs": EPOCHS, "saliency_interval": EPOCHS + 1, **SETTINGS[bundle]}
    tracked = {"tracking": "mlflow", "output_dir": f"$'{tmp_path}/eval'", "experiment_name": "tracked"}
    command = BundleCommands(bundle).command
    run(command("training", ["train"], dataset_dir=tmp_path, **folders(tmp_path), **settings, **tracked), tmp_path)

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/eval/mlruns.db")
    experiment = client.get_experiment_by_name("tracked")
    (recorded,) = client.search_runs(experiment.experiment_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.params["max_epochs"] == str(EPOCHS)
    for name in METRICS[bundle]:
        history = client.get_metric_history(recorded.info.run_id, name)
        assert [point.step for point in history] == [1, 2], name
        assert all(np.isfinite(point.value) for point in history)
    losses = client.get_metric_history(recorded.info.run_id, "train_loss")
    assert len(losses) >= EPOCHS
    (config,) = [item.path for item in client.list_artifacts(recorded.info.run_id)]
    assert config.startswith("config_")
