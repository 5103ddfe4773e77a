"""Explained cells in TensorBoard: which cells, centred as the encoder sees them, and only where there are any."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SIZE = 32
LABELS = [1, 1, 1, 0, 0]


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")


@pytest.fixture
def build(scripts):
    def build(name):
        torch.manual_seed(0)
        networks = scripts("networks")
        image_expert = networks.ImageClassifier(width=4, image_size=SIZE)
        image_expert.centring.mean_image.fill_(0.25)
        return networks.assemble(name, image_expert, networks.AttributePerceptron())

    return build


@pytest.fixture(scope="module")
def patients():
    generator = torch.Generator().manual_seed(0)
    return [
        {"image": torch.randint(256, (3, 3, SIZE, SIZE), generator=generator).byte(), "label": torch.tensor(label)}
        for label in LABELS
    ]


def train(scripts, network, patients, folder, epochs=4):
    """Run epochs that do nothing; returns the pictures' tags and epochs."""
    handler = scripts("cell_saliency").CellSaliencyHandler(
        network, patients, [3, 0, 4], ["reactive", "tumoral"], folder, interval=2
    )
    trainer = Engine(lambda engine, batch: None)
    handler.attach(trainer)
    trainer.run([0], max_epochs=epochs)
    if handler.handler is not None:
        handler.handler.close()
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}


@pytest.mark.parametrize("name", ["ImageClassifier", "MixtureOfExperts"])
def test_pictures_at_the_interval_and_nothing_else_changes(scripts, build, patients, tmp_path, name):
    network = build(name).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert train(scripts, network, patients, tmp_path) == {"guided_backpropagation_x_input": [2, 4]}
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(module.training for module in network.modules() if not isinstance(module, torch.nn.Identity))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_without_cells_there_is_nothing_to_show(scripts, build, patients, tmp_path):
    assert train(scripts, build("AttributePerceptron"), patients, tmp_path) == {}


def test_cells_of_the_chosen_patients_centred(scripts, build, patients):
    one_cell = scripts("one_cell").OneCell(build("MixtureOfExperts"))
    cells = scripts("cell_saliency").CentredCells(patients, one_cell, [3, 0])
    assert [cell["label"] for cell in cells] == [0, 1]
    torch.testing.assert_close(cells[1]["image"], patients[0]["image"][0] / 255 - 0.25)
