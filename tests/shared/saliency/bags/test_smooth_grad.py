import pytest
import torch

from shared.saliency.bags.attention_layers import hidden_layers
from shared.saliency.bags.gradient_x_input import GradientXInput
from shared.saliency.bags.smooth_grad import SmoothGradXInput

LEVEL, DRAWS = 0.2, 4


def gradient(model, bag):
    leaf = bag.clone().requires_grad_()
    model(leaf, torch.tensor([len(leaf)]))[0, 0].backward()
    return leaf.grad


@pytest.mark.parametrize("pooling", ["attention", "gated attention"])
@pytest.mark.parametrize("times", ["noisy", "clean"])
def test_noise_on_projections_is_noise_on_features(pooling, times, build, features, value_of):
    """The draws for the projections, lifted to features: backpropagation through the model sees the same."""
    model = build(pooling)
    values = SmoothGradXInput(model, samples=DRAWS, noise_level=LEVEL, times=times, seed=7).attribute(features)
    model, x = model.double().eval(), features.double()
    rows = [layer.weight for layer in hidden_layers(model.pooling)] + [model.head[1].weight]
    basis = torch.linalg.qr(torch.cat(rows).T).Q.detach()  # (E, D)
    generator = torch.Generator().manual_seed(7)
    expected = torch.zeros(9, dtype=torch.float64)
    for _ in range(DRAWS):
        drawn = torch.randn(9, basis.shape[1], generator=generator).double()
        noisy = x + LEVEL * (x.max() - x.min()) * drawn @ basis.T
        expected += ((noisy if times == "noisy" else x) * gradient(model, noisy)).sum(1) / DRAWS
    torch.testing.assert_close(values, expected)


def test_noise_that_the_model_cannot_see_is_not_drawn_and_the_rest_is_normal(build):
    """Fewer projections than features: the mean over many draws is that of noise on all features."""
    model = build("attention")
    wide = torch.nn.Linear(40, 6)
    model.pooling.hidden[0], model.head[1] = wide, torch.nn.Linear(40, 1)
    features = torch.randn(3, 40, generator=torch.Generator().manual_seed(2))
    settings = {"samples": 4000, "noise_level": 0.1, "times": "clean"}
    values = SmoothGradXInput(model, **settings).attribute(features)
    model, x = model.double().eval(), features.double()
    generator = torch.Generator().manual_seed(11)
    noise = torch.randn(4000, 3, 40, generator=generator, dtype=torch.float64)
    noisy = (x + 0.1 * (x.max() - x.min()) * noise).requires_grad_()
    model(noisy)[:, 0].sum().backward()
    samples = (x * noisy.grad).sum(2)  # (4000, 3)
    error = samples.std(dim=0) / 4000**0.5
    assert ((values - samples.mean(dim=0)) / (error * 2**0.5)).abs().max() < 4


@pytest.mark.parametrize(("encoder", "head"), [(True, "linear"), (False, "deep")])
@pytest.mark.parametrize("times", ["noisy", "clean"])
def test_other_models_get_noise_on_their_features(encoder, head, times, build, features):
    model = build(head=head, encoder=encoder)
    features = features[:, :4] if encoder else features
    values = SmoothGradXInput(model, samples=DRAWS, noise_level=LEVEL, times=times).attribute(features)
    model, x = model.double().eval(), features.double()
    generator = torch.Generator().manual_seed(0)
    expected = torch.zeros(9, dtype=torch.float64)
    for _ in range(DRAWS):
        noisy = x + LEVEL * (x.max() - x.min()) * torch.randn(x.shape, generator=generator)
        expected += ((noisy if times == "noisy" else x) * gradient(model, noisy)).sum(1) / DRAWS
    torch.testing.assert_close(values, expected)


def test_without_noise_it_is_gradient_x_input(build, features):
    values = SmoothGradXInput(build(), samples=2, noise_level=0.0).attribute(features)
    torch.testing.assert_close(values, GradientXInput(build()).attribute(features))
    with pytest.raises(ValueError, match="times"):
        SmoothGradXInput(build(), times="both")
