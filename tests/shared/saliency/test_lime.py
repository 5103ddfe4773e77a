import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import Lime as CaptumLime
from scipy.stats import rankdata

from shared.saliency.lime import LIME, lime_stability, superpixels
from tests.oracles.saliency import ridge
from tests.shared.saliency.conftest import SmallNetwork


def region_sums(values, regions):
    """Replace each pixel by the sum over its region."""
    sums = torch.zeros(int(regions.max()) + 1, dtype=values.dtype).index_add_(0, regions.flatten(), values.flatten())
    return sums[regions]


def test_a_linear_network_gives_the_sum_over_each_superpixel(linear, images):
    maps = LIME(linear, segments=9, samples=200, alpha=0.0, baseline=0.4).attribute(images, 1)
    for image, found in zip(images, maps, strict=True):
        regions = superpixels(image, 9, 0.1, 1.0)
        contributions = (image[0] - 0.4) * linear[1].weight[1].detach().view(12, 12)
        torch.testing.assert_close(found[0], region_sums(contributions, regions), rtol=1e-3, atol=1e-4)


def test_equals_a_weighted_ridge_regression_on_the_same_subsets(network, images):
    image = images[:1]
    maps = LIME(network, segments=9, samples=60, kernel_width=0.3, alpha=0.5, seed=4, chunk_size=7).attribute(image, 2)
    regions = superpixels(image[0], 9, 0.1, 1.0)
    subsets = torch.randint(2, (60, int(regions.max()) + 1), generator=torch.Generator().manual_seed(4))
    network.eval()
    with torch.no_grad():
        outputs = [network(image * subset[regions])[0, 2].item() for subset in subsets]
    whole = np.ones(subsets.shape[1])
    nearness = []
    for subset in subsets.numpy():
        length = np.linalg.norm(subset) * np.linalg.norm(whole)
        distance = 1 - (subset @ whole / length if length > 0 else 0.0)
        nearness.append(np.exp(-(distance**2) / 0.3**2))
    expected = ridge(subsets.numpy(), np.array(outputs), np.array(nearness), 0.5)[regions.numpy()]
    np.testing.assert_allclose(maps[0, 0].numpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_captum_with_the_same_subsets_for_every_class(images, channels):
    torch.manual_seed(0)
    network = SmallNetwork(channels).double().eval()
    images = images[:2].expand(2, channels, 12, 12) * torch.arange(1, channels + 1).view(1, -1, 1, 1)
    lime = LIME(network, segments=9, samples=40, kernel_width=0.3, alpha=0.5, seed=4, chunk_size=7, baseline="mean")
    maps = lime.attribute_classes(images).maps

    def subsets(_original, num_interp_features, **_):
        generator = torch.Generator().manual_seed(4)
        yield from torch.randint(2, (40, num_interp_features), generator=generator).split(1)

    def similarity(_original, _perturbed, kept, **_):
        return float(np.exp(-(((1 - kept.double().mean().sqrt()) / 0.3) ** 2)))

    captum = CaptumLime(network, SkLearnRidge(alpha=0.5), similarity_func=similarity, perturb_func=subsets)
    for image, found in zip(images, maps, strict=True):
        for index in range(3):
            expected = captum.attribute(
                image[None],
                baselines=image.mean((1, 2), keepdim=True).expand_as(image)[None],
                target=index,
                feature_mask=superpixels(image, 9, 0.1, 1.0).expand_as(image)[None],
                n_samples=40,
            )
            # captum fits in single precision
            torch.testing.assert_close(found[index], expected[0].double(), rtol=1e-3, atol=1e-4)


def test_superpixels_cover_the_image_and_follow_its_edges():
    image = torch.zeros(1, 30, 30)
    image[:, :, 13:] = 250.0  # the range is brought to [0, 1]
    regions = superpixels(image, 12, 0.1, 0.0)
    assert regions.shape == (30, 30)
    assert regions.unique().tolist() == list(range(int(regions.max()) + 1))
    assert regions.max() > 4
    assert not set(regions[:, :13].unique().tolist()) & set(regions[:, 13:].unique().tolist())
    assert superpixels(image.expand(3, 30, 30), 12, 0.1, 0.0).shape == (30, 30)


def test_stability_is_the_mean_pairwise_rank_correlation(network, images):
    lime = LIME(network, segments=9, samples=20, seed=99)
    stability = lime_stability(lime, images, 1, seeds=(0, 1, 2))
    maps = [LIME(network, segments=9, samples=20, seed=seed).attribute(images, 1) for seed in (0, 1, 2)]
    for i in range(len(images)):
        ranks = np.stack([rankdata(found[i].numpy().ravel()) for found in maps])
        correlation = np.corrcoef(ranks)
        assert stability[i].item() == pytest.approx((correlation[0, 1] + correlation[0, 2] + correlation[1, 2]) / 3)
    assert lime.seed == 99
    assert (stability < 0.999).any()


def test_stability_of_maps_without_chance_is_one(linear, images):
    stability = lime_stability(LIME(linear, segments=9, samples=400, alpha=0.0), images, 0, seeds=(0, 1))
    assert stability.min() > 0.99


def test_stability_of_constant_maps_is_unknown(network, images):
    with torch.no_grad():
        network.head[3].weight.zero_()
    assert lime_stability(LIME(network, segments=9, samples=20), images, 0).isnan().all()


@pytest.mark.parametrize("seeds", [(1,), (2, 2)])
def test_stability_needs_different_seeds(network, images, seeds):
    with pytest.raises(ValueError, match="at least two seeds, all different"):
        lime_stability(LIME(network), images, 0, seeds)


@pytest.mark.parametrize(
    "wrong",
    [{"segments": 1}, {"samples": 1}, {"kernel_width": 0}, {"alpha": -1}, {"compactness": 0}, {"smoothing": -1}],
)
def test_meaningless_parameters_are_refused(network, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LIME(network, **wrong)
