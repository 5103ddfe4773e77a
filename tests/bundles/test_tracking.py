"""``--tracking mlflow``, MONAI's own option: a training is recorded, epoch by epoch, in a data base beside it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from tests.bundles.commands import REPOSITORY, BundleCommands, folders, run

mlflow = pytest.importorskip("mlflow", reason="not installed: pip install -r requirements-mlflow.txt")
pytest.importorskip("sqlalchemy", reason="not installed: pip install -r requirements-mlflow.txt")
pytestmark = pytest.mark.slow

EPOCHS = 2


@pytest.fixture
def data(tmp_path):
    """A datalist with random crops, two of each class in each section."""
    random = np.random.default_rng(0)
    content: dict = {"classes": ["monocyte", "lymphocyte", "neutrophil", "eosinophil"], "info": {}}
    for section in ("training", "validation", "test"):
        content[section] = []
        for number in range(8):
            name = f"{section}{number}"
            np.save(tmp_path / f"{name}.npy", random.random((50, 50), np.float32))
            content[section].append({"id": name, "image": f"{name}.npy", "label": number % 4, "donor": name})
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path


def test_training_is_recorded(data, tmp_path, monkeypatch):
    # MONAI looks for the folder of its own record before it puts the bundle on the path
    path = [str(REPOSITORY / "bundles" / "leukocyte_qpi"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    settings = {"max_epochs": EPOCHS, "patience": EPOCHS, "batch_size": 4, "saliency_interval": EPOCHS + 1}
    tracked = {"tracking": "mlflow", "output_dir": f"$'{tmp_path}/eval'", "experiment_name": "leukocytes"}
    command = BundleCommands("leukocyte_qpi").command
    run(command("training", ["train"], dataset_dir=data, **folders(tmp_path), **settings, **tracked), tmp_path)

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/eval/mlruns.db")
    experiment = client.get_experiment_by_name("leukocytes")
    (recorded,) = client.search_runs(experiment.experiment_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.params["max_epochs"] == str(EPOCHS)
    for name in ("val_macro_f1", "val_loss", "val_calibration_error"):
        history = client.get_metric_history(recorded.info.run_id, name)
        assert [point.step for point in history] == [1, 2], name
        assert all(np.isfinite(point.value) for point in history)
    losses = client.get_metric_history(recorded.info.run_id, "train_loss")
    assert len(losses) >= EPOCHS
    (config,) = [item.path for item in client.list_artifacts(recorded.info.run_id)]
    assert config.startswith("config_")
