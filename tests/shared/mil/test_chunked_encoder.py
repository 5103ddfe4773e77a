import copy

import pytest
import torch
from torch import nn

from shared.mil.chunked_encoder import ChunkedEncoder


def encoder(normalisation=nn.Identity, dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), normalisation(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(4 * 36, 5)
    ).double()


def group_norm(channels):
    return nn.GroupNorm(2, channels)


@pytest.fixture
def images():
    return torch.randn(11, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gradients(network, images, encode):
    """Return outputs, and the gradients of a function in which every instance meets every other."""
    images = images.clone().requires_grad_()
    embeddings = encode(images)
    loss = (embeddings.mean(0) ** 2).sum() + (embeddings.softmax(0) * embeddings).sum()
    return embeddings, torch.autograd.grad(loss, [*network.parameters(), images])


@pytest.mark.parametrize("normalisation", [nn.Identity, group_norm, nn.BatchNorm2d])
@pytest.mark.parametrize("chunk_size", [1, 3, 4, 10, 11, 50])
def test_outputs_and_gradients_equal_the_unchunked_ones(images, normalisation, chunk_size):
    network = encoder(normalisation)
    if normalisation is nn.BatchNorm2d:
        network[1].running_mean.normal_()
        network.eval()
    expected, expected_gradients = gradients(network, images, network)
    chunked = ChunkedEncoder(network, chunk_size)
    embeddings, found = gradients(network, images, chunked)
    torch.testing.assert_close(embeddings, expected)
    for gradient, expected_gradient in zip(found, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(("chunk_size", "sizes"), [(4, [4, 4, 3]), (10, [6, 5]), (3, [3, 3, 3, 2]), (11, [11])])
def test_batch_normalisation_uses_the_statistics_of_each_chunk_and_updates_the_running_ones_once(
    images, chunk_size, sizes
):
    network = encoder(nn.BatchNorm2d, dropout=0.3)
    reference = copy.deepcopy(network)
    torch.manual_seed(2)
    embeddings, found = gradients(network, images, ChunkedEncoder(network, chunk_size))

    def chunk_by_chunk(instances):
        return torch.cat([reference(chunk) for chunk in instances.split(sizes)])

    torch.manual_seed(2)
    expected, expected_gradients = gradients(reference, images, chunk_by_chunk)
    torch.testing.assert_close(embeddings, expected)
    for gradient, expected_gradient in zip(found, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)
    assert network[1].num_batches_tracked == len(sizes)
    for buffer, expected_buffer in zip(network.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected_buffer)


def test_ghost_batch_normalisation_by_its_formula(images):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()).double()
    found = ChunkedEncoder(network, 6)(images).reshape(images.shape)
    for chunk, result in zip(images.split([6, 5]), found.split([6, 5]), strict=True):
        mean, variance = chunk.mean((0, 2, 3)), chunk.var((0, 2, 3), unbiased=False)
        expected = (chunk - mean[:, None, None]) / (variance[:, None, None] + network[0].eps).sqrt()
        torch.testing.assert_close(result, expected)


class Watched(nn.Module):
    """Counts the images it is given, and the greatest number at a time."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        return self.linear(x)


def test_all_chunks_but_the_last_are_computed_again_in_the_backward_pass():
    watched = Watched()
    output = ChunkedEncoder(watched, 4)(torch.zeros(11, 2))
    assert watched.calls == [4, 4, 3]
    output.sum().backward()
    assert sorted(watched.calls[3:]) == [4, 4]
    watched.calls.clear()
    with torch.no_grad():
        ChunkedEncoder(watched, 4)(torch.zeros(11, 2))
    assert watched.calls == [4, 4, 3]


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_bag():
    network = encoder().float()

    def kept(instances, module):
        """Return the bytes kept beside the input and the parameters."""
        known = {p.untyped_storage().data_ptr() for p in network.parameters()} | {
            instances.untyped_storage().data_ptr()
        }
        storages = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = module(instances)
        assert output.requires_grad
        return sum(storages.values())

    chunked = ChunkedEncoder(network, 8)
    one_chunk = kept(torch.randn(8, 3, 8, 8), network)
    assert one_chunk > 0
    assert kept(torch.randn(80, 3, 8, 8), network) == 10 * one_chunk
    assert kept(torch.randn(80, 3, 8, 8), chunked) == one_chunk


def test_one_encoder_may_serve_two_batches_of_one_graph(images):
    network = encoder(nn.BatchNorm2d)
    chunked = ChunkedEncoder(network, 4)
    (chunked(images).sum() * chunked(images + 1).sum()).backward()
    assert network[1].num_batches_tracked == 6


def test_scripted_encoder_gives_the_same(images):
    chunked = ChunkedEncoder(encoder(nn.BatchNorm2d), 4).eval()
    scripted = torch.jit.script(chunked)
    torch.testing.assert_close(scripted(images), chunked(images))
    torch.testing.assert_close(scripted(images[:1]), chunked(images[:1]))


def test_the_state_dict_is_that_of_the_encoder():
    network = encoder(nn.BatchNorm2d)
    assert set(ChunkedEncoder(network, 2).state_dict()) == {f"encoder.{key}" for key in network.state_dict()}


def test_refuses_nothing_to_encode_and_chunks_of_nothing(images):
    with pytest.raises(ValueError, match="no instance"):
        ChunkedEncoder(encoder(), 2)(images[:0])
    with pytest.raises(ValueError, match="chunk_size"):
        ChunkedEncoder(encoder(), 0)
