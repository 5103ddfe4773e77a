"""The TensorBoard handler shows maps at the chosen epochs and leaves training as it was."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from shared.saliency.base import Attribution
from shared.saliency.handlers import SaliencyTensorBoardHandler, saliency_grid

CLASSES = ["cat", "dog", "owl"]


class Intrusive(Attribution):
    """Positive on the left half, negative on the right; does to the process all that a careless method might do."""

    def attribute(self, inputs, target=None):
        random.random()
        np.random.rand(3)  # noqa: NPY002
        torch.rand(3)
        self.network.eval()
        self.seen_target = target
        maps = torch.ones_like(inputs)
        maps[..., inputs.shape[-1] // 2 :] = -1
        return maps

    def _attribute(self, images, target):
        raise NotImplementedError


def dataset():
    generator = torch.Generator().manual_seed(0)
    return [{"image": torch.rand(1, 8, 8, generator=generator), "label": i % 3} for i in range(9)]


def make_network():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 3))
    network[1].eval()  # a frozen layer must stay frozen
    return network


def train(log_dir=None, epochs=4, **options):
    """Train with dropout and shuffling by Python's, NumPy's and torch's generators."""
    network, data = make_network(), dataset()
    optimiser = torch.optim.Adam(network.parameters())
    network.train()
    network[1].eval()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    modes = []

    def step(engine, batch):
        modes.append([module.training for module in network.modules()])
        order = np.random.permutation(len(data))  # noqa: NPY002
        order = random.sample(order.tolist(), 4)
        optimiser.zero_grad()
        images = torch.stack([data[i]["image"] for i in order])
        nn.functional.cross_entropy(network(images), torch.tensor([data[i]["label"] for i in order])).backward()
        optimiser.step()

    trainer = Engine(step)
    method = Intrusive(network)
    if log_dir is not None:
        handler = SaliencyTensorBoardHandler(method, data, [0, 4], CLASSES, log_dir=str(log_dir), **options)
        handler.attach(trainer)
        handler.attach(trainer)
    trainer.run(range(3), max_epochs=epochs)
    if log_dir is not None:
        handler.close()
    return network, modes, method


def test_training_is_not_altered(tmp_path):
    plain, plain_modes, _ = train()
    watched, watched_modes, _ = train(tmp_path)
    assert plain_modes == watched_modes
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_pictures_at_the_chosen_epochs(tmp_path):
    *_, method = train(tmp_path, epochs=5, interval=2, tag="explained")
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["explained"]
    # once per epoch although attached twice
    assert [event.step for event in events.Images("explained")] == [2, 4]
    assert events.Images("explained")[0].encoded_image_string.startswith(b"\x89PNG")
    assert method.seen_target.shape == (2,)


def test_explains_the_predicted_class_or_the_one_asked_for(tmp_path):
    network, data = make_network(), dataset()
    with SummaryWriter(str(tmp_path)) as writer:
        for target in (None, 1):
            method = Intrusive(network)
            handler = SaliencyTensorBoardHandler(method, data, range(9), CLASSES, summary_writer=writer, target=target)
            engine = Engine(lambda engine, batch: None)
            handler.attach(engine)
            engine.run([0])
            network.eval()
            predicted = network(torch.stack([item["image"] for item in data])).argmax(1)
            expected = predicted if target is None else torch.ones(9, dtype=torch.long)
            assert torch.equal(method.seen_target, expected)


def test_epoch_of_the_trainer_when_attached_to_the_validator(tmp_path):
    trainer, validator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
    handler = SaliencyTensorBoardHandler(
        Intrusive(make_network()),
        dataset(),
        [1],
        CLASSES,
        log_dir=str(tmp_path),
        interval=3,
        global_epoch_transform=lambda: trainer.state.epoch,
    )
    handler.attach(validator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: validator.run([0]))
    trainer.run([0], max_epochs=7)
    handler.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Images("saliency")] == [3, 6]


def test_grid_shows_image_above_and_signed_colours_below():
    images = np.full((2, 8, 8), 0.5)
    maps = np.ones((2, 8, 8))
    maps[:, :, 4:] = -1
    maps[1] *= -1
    picture = saliency_grid(images, maps, ["a\nb", "$c"]).astype(int)
    height, width = picture.shape[:2]
    upper, lower = picture[height // 2 - 40], picture[height - 60]
    quarters = [width // 8, 3 * width // 8, 5 * width // 8, 7 * width // 8]
    assert [int(np.sign(lower[x, 0] - lower[x, 2])) for x in quarters] == [1, -1, -1, 1]
    assert all(len(set(upper[x].tolist())) == 1 for x in quarters)


@pytest.mark.parametrize(
    ("indices", "interval", "message"),
    [([], 1, "indices"), ([9], 1, "0 to 8, found \\[9\\]"), ([-1], 1, "indices"), ([0], 0, "interval")],
)
def test_refused(tmp_path, indices, interval, message):
    with pytest.raises(ValueError, match=message):
        SaliencyTensorBoardHandler(
            Intrusive(make_network()), dataset(), indices, CLASSES, log_dir=str(tmp_path), interval=interval
        )


@pytest.mark.parametrize(
    ("label", "truth"),
    [
        (torch.tensor(2), "owl"),
        (torch.tensor([1.0, 0.0, 1.0]), "cat, owl"),
        (torch.tensor([0.0, torch.nan, 0.0]), "none of them"),
    ],
)
def test_captions_name_what_is_true(tmp_path, monkeypatch, label, truth):
    captions = []
    monkeypatch.setattr(
        "shared.saliency.handlers.saliency_grid",
        lambda images, maps, names, percentile: captions.extend(names) or np.zeros((4, 4, 3), np.uint8),
    )
    data = [{**dataset()[0], "label": label}]
    handler = SaliencyTensorBoardHandler(Intrusive(make_network()), data, [0], CLASSES, log_dir=str(tmp_path))
    engine = Engine(lambda *_: None)
    handler.attach(engine)
    engine.run([0], max_epochs=1)
    handler.close()
    assert captions[0].split("\ntruth: ")[1] == truth


def test_each_sample_can_have_its_own_class(tmp_path):
    method = Intrusive(make_network())
    handler = SaliencyTensorBoardHandler(method, dataset(), [0, 4, 5], CLASSES, log_dir=str(tmp_path), target=[2, 0, 1])
    engine = Engine(lambda *_: None)
    handler.attach(engine)
    engine.run([0])
    assert method.seen_target.tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="one class for each of the 3 samples, found 2"):
        SaliencyTensorBoardHandler(method, dataset(), [0, 4, 5], CLASSES, target=[2, 0])
