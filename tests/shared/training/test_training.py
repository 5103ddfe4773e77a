"""Resumed training equals uninterrupted training; the best model is the best; patience survives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Accuracy
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.inferers import SimpleInferer
from monai.transforms import Compose, RandFlipd, RandGaussianNoised

from shared.data.errors import DataError
from shared.training.best_model import BestModel
from shared.training.epoch_seed import EpochSeed
from shared.training.outputs import stack_from_engine
from shared.training.progress import EpochProgress
from shared.training.training_state import TrainingState


class PowerCutError(Exception):
    """Stands for a power cut."""


def make_data(count=24):
    rng = np.random.default_rng(0)
    label = np.arange(count) % 2
    image = rng.normal(size=(count, 1, 6, 6)).astype(np.float32)
    image += label[:, None, None, None]
    return [{"image": torch.from_numpy(i), "label": int(y)} for i, y in zip(image, label, strict=True)]


def make_training(folder, max_epochs, settings=None, stop_in_epoch=None, patience=None, resume=True, workers=0):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    augmentation = Compose([RandFlipd("image", prob=0.5, spatial_axis=0), RandGaussianNoised("image", prob=0.5)])
    dataset = CacheDataset(make_data(), augmentation, progress=False, num_workers=0)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(CacheDataset(make_data(8), None, progress=False, num_workers=0), batch_size=4),
        network=network,
        inferer=SimpleInferer(),
        key_val_metric={"accuracy": Accuracy(output_transform=stack_from_engine("pred", "label"))},
    )
    best = BestModel(evaluator, network, folder / "model.pt", "accuracy", patience)
    objects = {"network": network, "optimizer": optimizer, "best": best}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=max_epochs,
        train_data_loader=DataLoader(dataset, batch_size=8, shuffle=True, num_workers=workers),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.CrossEntropyLoss(),
        inferer=SimpleInferer(),
        train_handlers=[
            TrainingState(folder / "training_state.pt", objects, settings, resume),
            EpochSeed(3, dataset),
            ValidationHandler(1, evaluator),
            best,
            EpochProgress(evaluator, "accuracy"),
        ],
    )
    if stop_in_epoch is not None:

        @trainer.on(Events.ITERATION_COMPLETED)
        def cut(engine):
            if engine.state.epoch == stop_in_epoch and engine.state.iteration % 3 == 2:
                raise PowerCutError

    return trainer, network, best


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_equals_uninterrupted(tmp_path, workers):
    trainer, whole, best_whole = make_training(tmp_path / "whole", 5, workers=workers)
    trainer.run()
    trainer, _, _ = make_training(tmp_path / "cut", 5, stop_in_epoch=3, workers=workers)
    with pytest.raises(PowerCutError):
        trainer.run()
    assert torch.load(tmp_path / "cut" / "training_state.pt", weights_only=True)["epoch"] == 2
    trainer, resumed, best_resumed = make_training(tmp_path / "cut", 5, workers=workers)
    trainer.run()
    assert trainer.state.epoch == 5
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert best_whole.state_dict() == best_resumed.state_dict()
    for file in ("whole", "cut"):
        assert set(torch.load(tmp_path / file / "model.pt", weights_only=True)) == set(whole.state_dict())


def test_epochs_differ_from_each_other(tmp_path):
    """Seeding by epoch must not repeat the same epoch again and again."""
    seen = []
    engine = Engine(lambda engine, batch: seen.append(torch.rand(1).item()))
    EpochSeed(0).attach(engine)
    engine.run([0], max_epochs=3)
    assert len(set(seen)) == 3
    first = list(seen)
    seen.clear()
    torch.rand(7)
    engine.run([0], max_epochs=3)
    assert seen == first


def test_complete_training_is_not_run_again(tmp_path):
    make_training(tmp_path, 2)[0].run()
    trainer, _, _ = make_training(tmp_path, 2)
    iterations = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: iterations.append(1))
    trainer.run()
    assert iterations == []


def test_other_settings_are_refused(tmp_path):
    make_training(tmp_path, 1, {"learning_rate": 0.1})[0].run()
    trainer, _, _ = make_training(tmp_path, 2, {"learning_rate": 0.2})
    with pytest.raises(DataError, match=r"learning_rate: 0\.1 then, 0\.2 now"):
        trainer.run()
    trainer, _, _ = make_training(tmp_path, 1, {"learning_rate": 0.2}, resume=False)
    trainer.run()
    assert trainer.state.epoch == 1


def test_damaged_state_is_named(tmp_path):
    make_training(tmp_path, 1)[0].run()
    file = tmp_path / "training_state.pt"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"training_state\.pt: not a readable training state"):
        make_training(tmp_path, 2)[0].run()


def run_scripted(folder, values, patience, start=0, state=None, **options):
    """Drive :class:`BestModel` with given metric values; the network's weight is the epoch's number."""
    network = torch.nn.Linear(1, 1)
    evaluator = Engine(lambda engine, batch: None)
    trainer = Engine(lambda engine, batch: None)
    best = BestModel(evaluator, network, folder / "model.pt", "f1", patience, **options)
    if state is not None:
        best.load_state_dict(state)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine):
        torch.nn.init.constant_(network.weight, engine.state.epoch)
        evaluator.state.epoch = engine.state.epoch
        evaluator.state.metrics = {"f1": values[engine.state.epoch - 1]}

    best.attach(trainer)
    trainer.run([0], max_epochs=len(values))
    return trainer, best


def test_best_model_and_patience(tmp_path):
    trainer, best = run_scripted(tmp_path, [0.1, 0.5, 0.4, 0.5, 0.3, 0.9], patience=3)
    assert trainer.state.epoch == 5
    assert (best.best_value, best.best_epoch) == (0.5, 2)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 2

    trainer, _ = run_scripted(tmp_path, [0.1] * 4, patience=3, state=best.state_dict())
    assert trainer.state.epoch == 0, "a training whose patience was used up does not go on"


def test_a_loss_is_better_when_smaller(tmp_path):
    trainer, best = run_scripted(tmp_path, [0.9, 0.4, 0.5, float("nan"), 0.3, 0.8], 3, larger_is_better=False)
    assert (best.best_value, best.best_epoch, trainer.state.epoch) == (0.3, 5, 6)
    assert float(torch.load(tmp_path / "model.pt", weights_only=True)["weight"]) == 5


def test_unknown_metric_and_bad_patience(tmp_path):
    evaluator = Engine(lambda engine, batch: None)
    with pytest.raises(ValueError, match="at least 1"):
        BestModel(evaluator, torch.nn.Linear(1, 1), tmp_path / "m.pt", "f1", 0)
    best = BestModel(evaluator, torch.nn.Linear(1, 1), tmp_path / "m.pt", "recall")
    trainer = Engine(lambda engine, batch: None)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: setattr(evaluator.state, "epoch", engine.state.epoch)
    )
    best.attach(trainer)
    evaluator.state.metrics = {"f1": 1.0}
    with pytest.raises(KeyError, match="no metric 'recall'; it has: f1"):
        trainer.run([0], max_epochs=1)
