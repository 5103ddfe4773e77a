"""Training in chunks: group normalisation does not notice, batch normalisation sees chunks of mixed patients."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

SIZE, IMAGES, CHUNK = 40, 10, 4


@pytest.fixture(scope="module")
def experts(bundle_scripts):
    return bundle_scripts("lymphocytosis_moe")("experts")


@pytest.fixture
def build(experts):
    def build(normalisation, chunk_size):
        torch.manual_seed(0)
        return experts.ImageClassifier(width=4, image_size=SIZE, normalisation=normalisation, chunk_size=chunk_size)

    return build


@pytest.fixture(scope="module")
def images():
    return torch.rand(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def weighted_sum(embeddings):
    """A loss to which every image and every element contributes differently."""
    weights = torch.linspace(-1, 1, embeddings.numel(), dtype=embeddings.dtype).reshape(embeddings.shape)
    return (weights * embeddings).sum()


def gradients(network, embeddings):
    parameters = list(network.encoder.parameters())
    return torch.autograd.grad(weighted_sum(embeddings), parameters)


def test_group_normalisation_gives_the_same_gradients_in_chunks(build, images):
    whole, chunked = (build("group", size).double().train() for size in (IMAGES, CHUNK))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in chunked.modules())
    embeddings = [network.cell_embeddings(images.double()) for network in (whole, chunked)]
    torch.testing.assert_close(embeddings[1], embeddings[0], rtol=1e-9, atol=1e-9)
    expected, found = (gradients(*pair) for pair in zip((whole, chunked), embeddings, strict=True))
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
        assert other.abs().max() > 0


def test_group_normalisation_is_the_same_in_training_and_evaluation(build, images):
    network = build("group", CHUNK)
    torch.testing.assert_close(network.train().cell_embeddings(images), network.eval().cell_embeddings(images))


def test_batch_normalisation_is_that_of_each_chunk(build, images):
    """Values, gradients and running statistics equal those of the encoder on each chunk of the dealt images."""
    images = images.double()
    chunked, reference = build("batch", CHUNK).double().train(), build("batch", IMAGES).double().train()
    torch.manual_seed(7)
    found = chunked.cell_embeddings(images)
    torch.manual_seed(7)
    order = torch.randperm(IMAGES)
    encoder = copy.deepcopy(reference.encoder.encoder.resnet)
    parts = [encoder(chunk) for chunk in images[order].tensor_split(3)]
    expected = torch.empty_like(found)
    expected[order] = torch.cat(parts)
    torch.testing.assert_close(found, expected)
    theirs = torch.autograd.grad(weighted_sum(expected), list(encoder.parameters()))
    for one, other in zip(gradients(chunked, found), theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
    ours = chunked.encoder.encoder.resnet.state_dict()
    assert all(torch.allclose(ours[key], value) for key, value in encoder.state_dict().items())


class TestDealing:
    """Which images an encoder sees together."""

    def seen(self, network):
        """Return chunks as they reach the encoder: the patient of each image, and its place."""
        batches = []
        network.encoder.encoder.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0][:, 0, 0, 0]))
        image = torch.arange(IMAGES).float()[:, None, None, None].expand(-1, 3, SIZE, SIZE) / IMAGES
        with torch.no_grad():
            network.cell_embeddings(image)
        return [(batch * IMAGES).round().int().tolist() for batch in batches]

    def test_images_are_dealt_at_random_in_training_only(self, build):
        neighbours = [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
        torch.manual_seed(3)
        dealt = self.seen(build("batch", CHUNK).train())
        assert dealt != neighbours
        assert sorted(itertools.chain(*dealt)) == list(range(IMAGES))
        assert self.seen(build("batch", CHUNK).eval()) == neighbours
        assert self.seen(build("group", CHUNK).train()) == neighbours
        assert self.seen(build("batch", IMAGES).train()) == [list(range(IMAGES))]

    def test_a_seed_repeats_it(self, build):
        network = build("batch", CHUNK).train()
        torch.manual_seed(3)
        first = self.seen(network)
        torch.manual_seed(3)
        assert self.seen(network)[:3] == first
        assert self.seen(network)[:3] != first


@pytest.mark.parametrize("training", [False, True])
def test_no_float_copy_of_a_whole_bag_is_made(build, experts, training):
    """Integers reach the encoder's module as they are, and only there become floats."""
    network = build("batch", CHUNK).train(training)
    kinds = []
    network.encoder.encoder.register_forward_pre_hook(
        lambda _, inputs: kinds.append((inputs[0].dtype, len(inputs[0]) <= CHUNK))
    )
    network.cell_embeddings(torch.zeros(IMAGES, 3, SIZE, SIZE, dtype=torch.uint8))
    assert set(kinds) == {(torch.uint8, True)}
