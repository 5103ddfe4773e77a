import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from shared.calibration import dropout_head, monte_carlo_dropout
from shared.calibration.dropout_head import split_head
from shared.calibration.feature_statistics import feature_statistics
from shared.calibration.monte_carlo_dropout import MonteCarloDropout, naive_logits
from tests.oracles.monte_carlo_dropout import masked_logits

IMAGE = (1, 6, 6)


def network(head, seed=0, dtype=torch.float64):
    """A small network whose weights are large enough that dropout matters; 32 units reach the head."""
    torch.manual_seed(seed)
    module = nn.Module()
    module.features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    module.head = nn.Sequential(*head)
    module.forward = lambda image: module.head(module.features(image).flatten(1))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.to(dtype)


def late_head(p=0.5, q=0.3):
    """Dropout after the first linear layer, as in LeNet-5."""
    layers = [nn.Linear(32, 20), nn.ReLU(), nn.Dropout(p), nn.Linear(20, 15), nn.ReLU(), nn.Dropout(q)]
    return [*layers, nn.Linear(15, 3)]


def early_head(p=0.5, q=0.3):
    """Dropout before the first and second linear layer and none before the last, as in AlexNet."""
    layers = [nn.Dropout(p), nn.Linear(32, 50), nn.ReLU(), nn.Dropout(q), nn.Linear(50, 15), nn.ReLU()]
    return [*layers, nn.Linear(15, 3)]


def dropout_first_head():
    """Dropout before the rectifier, and a linear layer without bias."""
    layers = [nn.Linear(32, 20), nn.Dropout(0.4), nn.ReLU(), nn.Linear(20, 9, bias=False)]
    return [*layers, nn.Dropout(0.2), nn.Linear(9, 3)]


HEADS = [late_head, early_head, dropout_first_head]


@pytest.fixture(params=["grouped", "gathered"])
def way(request, monkeypatch):
    """Both ways of computing the samples, whatever the sizes."""
    gathered = request.param == "gathered"
    monkeypatch.setattr(monte_carlo_dropout, "IMAGES_WORTH_GATHERING", 0 if gathered else 10**9)
    monkeypatch.setattr(monte_carlo_dropout, "WEIGHTS_WORTH_GATHERING", 0)
    monkeypatch.setattr(dropout_head, "ROWS_AT_ONCE", 16)
    return request.param


@pytest.mark.parametrize("head", HEADS)
def test_equals_slow_loop_with_the_same_masks(head, way):
    model = network(head())
    images = torch.randn(5, *IMAGE, dtype=torch.float64)
    dropout = MonteCarloDropout(model, samples=11, seed=3)
    expected = masked_logits(model, images, [mask for mask in dropout.masks() if mask is not None])
    assert expected.std(dim=1).min() > 1e-3
    torch.testing.assert_close(dropout.logits(images), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["LeNet5", "AlexNet"])
def test_bundle_networks_equal_slow_loop_in_single_precision(name, way, bundle_scripts):
    torch.manual_seed(0)
    model = getattr(bundle_scripts("leukocyte_qpi")("networks"), name)()
    images = torch.rand(3, 1, 50, 50)
    dropout = MonteCarloDropout(model, samples=3)
    expected = masked_logits(model, images, [mask for mask in dropout.masks() if mask is not None])
    assert expected.std(dim=1).min() > 1e-4
    torch.testing.assert_close(dropout.logits(images), expected, rtol=1e-4, atol=1e-6)


def test_given_masks_are_used(way):
    model = network(late_head(0.5, 0.0))
    image = torch.randn(1, *IMAGE, dtype=torch.float64)
    masks = [torch.ones(2, 20, dtype=torch.bool), None]
    masks[0][1] = False
    logits = MonteCarloDropout(model, samples=2, masks=masks).logits(image)[0]
    hidden = model.head[:2](model.features(image).flatten(1))
    torch.testing.assert_close(logits[0], model.head[3:](2 * hidden)[0])
    torch.testing.assert_close(logits[1], model.head[3:](0 * hidden)[0])
    with pytest.raises(ValueError, match="the head needs"):
        MonteCarloDropout(model, samples=2, masks=[torch.ones(2, 19, dtype=torch.bool), None])


def disagreement(ours, naive):
    """Of two sets of logit samples ``(S, K)``: smallest p-value per class, largest difference of covariances in SE."""
    p_value = min(ks_2samp(ours[:, k], naive[:, k]).pvalue for k in range(3))
    both = []
    for samples in (ours, naive):
        centred = samples - samples.mean(0)
        products = centred[:, :, None] * centred[:, None, :]
        both.append((products.mean(0), products.std(0) / np.sqrt(len(samples))))
    (covariance, error), (reference, reference_error) = both
    return p_value, (np.abs(covariance - reference) / np.hypot(error, reference_error)).max()


def naive_samples(model, image, samples):
    """Naive passes over copies of one image, since their masks are independent: ``(S, K)``."""
    torch.manual_seed(0)
    return naive_logits(model, image.expand(samples, -1, -1, -1), 1)[:, 0].numpy()


@pytest.mark.parametrize("head", HEADS)
def test_distribution_of_each_image_equals_naive_passes(head, way):
    model = network(head())
    images = torch.randn(3, *IMAGE, dtype=torch.float64)
    ours = MonteCarloDropout(model, samples=5000, seed=1).logits(images).numpy()
    for image, samples in zip(images, ours, strict=True):
        p_value, difference = disagreement(samples, naive_samples(model, image, 20000))
        assert p_value > 1e-3
        assert difference < 4


def test_the_statistical_test_notices_a_slightly_different_rate():
    image = torch.randn(1, *IMAGE, dtype=torch.float64)
    ours = MonteCarloDropout(network(late_head(0.45)), samples=5000).logits(image)[0].numpy()
    p_value, difference = disagreement(ours, naive_samples(network(late_head(0.5)), image[0], 20000))
    assert p_value < 1e-3
    assert difference > 4


def test_masks_are_independent_bernoulli():
    masks = MonteCarloDropout(network(late_head(0.5, 0.3)), samples=3000).masks()
    for mask, keep in zip(masks, (0.5, 0.7), strict=True):
        values = mask.numpy().astype(float)
        error = np.sqrt(keep * (1 - keep) / len(values))
        assert np.abs(values.mean(0) - keep).max() < 5 * error
        correlation = np.corrcoef(values.T) - np.eye(values.shape[1])
        assert np.abs(correlation).max() < 5 / np.sqrt(len(values))
    across = np.corrcoef(np.hstack([masks[0], masks[1]]).astype(float).T)[:20, 20:]
    assert np.abs(across).max() < 5 / np.sqrt(3000)


def test_seed_reproduces_and_leaves_the_global_generator_alone():
    model = network(late_head())
    images = torch.randn(2, *IMAGE, dtype=torch.float64)
    state = torch.random.get_rng_state()
    first = MonteCarloDropout(model, samples=20, seed=5).logits(images)
    assert torch.equal(first, MonteCarloDropout(model, samples=20, seed=5).logits(images))
    assert not torch.equal(first, MonteCarloDropout(model, samples=20, seed=6).logits(images))
    assert torch.equal(state, torch.random.get_rng_state())
    # the first samples do not depend on how many follow
    torch.testing.assert_close(MonteCarloDropout(model, samples=30, seed=5).logits(images)[:, :20], first)


def test_an_image_gets_the_same_samples_in_any_batch(bundle_scripts):
    torch.manual_seed(0)
    model = bundle_scripts("leukocyte_qpi")("networks").AlexNet()
    images = torch.rand(40, 1, 50, 50)
    dropout = MonteCarloDropout(model, samples=4)
    together = dropout.logits(images)
    torch.testing.assert_close(dropout.logits(images.flip(0)).flip(0), together, rtol=1e-4, atol=1e-6)
    # one image goes the dense way, forty the gathered one
    torch.testing.assert_close(dropout.logits(images[17:18]), together[17:18], rtol=1e-4, atol=1e-6)


class LargestTensor(TorchDispatchMode):
    """Record the size of the largest storage that any operation returns."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def test_activation_memory_does_not_grow_with_the_samples(way, monkeypatch):
    monkeypatch.setattr(dropout_head, "ACTIVATIONS_AT_ONCE", 40 * 50 * 4)  # four samples at once
    model = network(early_head(), dtype=torch.float32)
    images = torch.randn(40, *IMAGE)
    largest = {}
    for samples in (10, 1000):
        dropout = MonteCarloDropout(model, samples)
        with LargestTensor() as record:
            dropout.logits(images)
        largest[samples] = record.bytes
    result = 40 * 1000 * 3 * 4
    masks = 50 * 1000
    assert largest[10] >= 40 * 50 * 4
    assert largest[1000] <= max(largest[10], result, masks)


@pytest.mark.parametrize("head", [late_head, early_head])
def test_sample_gives_embedding_without_dropout_and_statistics(head):
    model = network(head()).train()
    images = torch.randn(4, *IMAGE, dtype=torch.float64)
    dropout = MonteCarloDropout(model, samples=6)
    output = dropout.sample(images)
    assert torch.equal(output.logits, dropout.logits(images))
    torch.testing.assert_close(model.head[-1](output.embedding), model.eval()(images))
    torch.testing.assert_close(output.feature_statistics, feature_statistics(model.features, images)[1])


def test_changed_weights_and_rates_are_noticed():
    model = network(early_head())
    images = torch.randn(40, *IMAGE, dtype=torch.float64)
    dropout = MonteCarloDropout(model, samples=3)
    dropout.logits(images)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)  # leaves no trace in autograd's version counter
    model.head[0].p = 0.2
    torch.testing.assert_close(dropout.logits(images), MonteCarloDropout(model, samples=3).logits(images))
    expected = masked_logits(model, images[:1], [mask for mask in dropout.masks() if mask is not None])
    torch.testing.assert_close(dropout.logits(images)[:1], expected)


def test_network_is_left_as_it_was():
    model = network([*late_head()])
    model.features.append(nn.BatchNorm2d(8, dtype=torch.float64))
    model.train()
    model.head[2].eval()
    modes = [module.training for module in model.modules()]
    mean = model.features[-1].running_mean.clone()
    MonteCarloDropout(model, samples=2).sample(torch.randn(2, *IMAGE, dtype=torch.float64))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model.features[-1].running_mean, mean)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_dropout_there_is_one_deterministic_sample():
    model = network(late_head(0.0, 0.0))
    images = torch.randn(4, *IMAGE, dtype=torch.float64)
    logits = MonteCarloDropout(model, samples=1).logits(images)
    torch.testing.assert_close(logits[:, 0], model.eval()(images))
    with pytest.raises(ValueError, match="use samples=1"):
        MonteCarloDropout(model, samples=100)


def test_empty_batch():
    assert MonteCarloDropout(network(late_head()), samples=5).logits(torch.zeros(0, *IMAGE).double()).shape == (0, 5, 3)


def test_autocast(way):
    model = network(late_head(), dtype=torch.float32)
    images = torch.randn(4, *IMAGE)
    dropout = MonteCarloDropout(model, samples=8)
    exact = dropout.logits(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = dropout.sample(images)
    assert mixed.logits.dtype == torch.float32
    assert (mixed.logits - exact).abs().max() < 0.05 * exact.abs().max()
    assert not torch.equal(mixed.logits, exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_processor(bundle_scripts):
    torch.manual_seed(0)
    model = bundle_scripts("leukocyte_qpi")("networks").AlexNet()
    images = torch.rand(40, 1, 50, 50)
    expected = MonteCarloDropout(model, samples=10).logits(images)
    found = MonteCarloDropout(model.cuda(), samples=10).logits(images.cuda())
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_successive_dropouts_are_one():
    _, stages = split_head(nn.Sequential(nn.Dropout(0.5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(3, 2)))
    assert stages[0].rectify
    assert stages[0].rate == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [
        (
            [nn.Dropout(0.5), nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)],
            TypeError,
            r"head\.2 is a BatchNorm1d",
        ),
        ([nn.AlphaDropout(0.5), nn.Linear(32, 3)], TypeError, r"head\.0 is a AlphaDropout"),
        ([nn.Dropout(0.5), nn.Linear(32, 3), nn.ReLU()], ValueError, r"must end in nn\.Linear"),
        ([nn.Dropout(1.0), nn.Linear(32, 3)], ValueError, r"head\.0 drops units with probability 1"),
    ],
)
def test_refuses_heads_it_cannot_repeat(head, error, message):
    with pytest.raises(error, match=message):
        MonteCarloDropout(network(head))


def test_refuses_other_networks():
    model = network(late_head())
    model.features.append(nn.Dropout2d(0.1))
    with pytest.raises(ValueError, match=r"features\.3 is dropout"):
        MonteCarloDropout(model)
    with pytest.raises(TypeError, match="no module `features`"):
        MonteCarloDropout(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="at least 1"):
        MonteCarloDropout(network(late_head()), samples=0)
