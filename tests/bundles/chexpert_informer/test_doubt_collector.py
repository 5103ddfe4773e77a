"""One pass gives every image's logits, distances and draws, the same alone and in a batch, and only what is needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.calibration.output_collector import CollectedOutputs
from shared.saliency.input_gradient import InputXGradient

CLASSES = ["a", "b", "c"]


@pytest.fixture
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture
def network(scripts):
    torch.manual_seed(0)
    return scripts("networks").ChestNetwork(3, init_features=4, growth_rate=2, block_config=(1, 1)).eval()


def doubled(network, images):
    return 2 * network(images).detach()


def counted(network):
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_distances_are_those_of_the_maps_of_each_finding_by_itself(scripts, network):
    images = torch.rand(4, 1, 32, 32)
    inferer = scripts("doubt_collector").DoubtInferer({"ixg": InputXGradient(network)}, {"tta_std": doubled})
    found = inferer(images, network)
    torch.testing.assert_close(found["logits"], network(images).detach())
    torch.testing.assert_close(found["tta_std"], doubled(network, images))
    for index, image in enumerate(images):
        maps = [InputXGradient(network).attribute(image[None], k).double().flatten() for k in range(3)]
        for i in range(3):
            for j in range(3):
                cosine = torch.dot(maps[i], maps[j]) / maps[i].norm() / maps[j].norm()
                assert float(found["distances_ixg"][index, i, j]) == pytest.approx(1 - float(cosine), abs=1e-5)
    alone = torch.cat([inferer(image[None], network)["distances_ixg"] for image in images])
    torch.testing.assert_close(found["distances_ixg"], alone, rtol=0, atol=1e-5)


def test_each_method_takes_one_forward_pass_and_gives_the_logits_too(scripts, network):
    methods = {"first": InputXGradient(network), "second": InputXGradient(network)}
    inferer, calls = scripts("doubt_collector").DoubtInferer(methods), counted(network)
    inferer(torch.rand(2, 1, 32, 32), network)
    assert len(calls) == 2


def test_what_is_not_needed_is_not_computed(scripts, network):
    needed = set()
    inferer = scripts("doubt_collector").DoubtInferer(
        {"ixg": InputXGradient(network)}, {"tta_std": doubled}, needed=lambda: needed
    )
    calls = counted(network)
    assert set(inferer(torch.rand(2, 1, 32, 32), network)) == {"logits"}
    assert len(calls) == 1
    needed.add("tta_std")
    assert set(inferer(torch.rand(2, 1, 32, 32), network)) == {"logits", "tta_std"}
    needed.add("lrp")
    with pytest.raises(ValueError, match="lrp is needed, but only ixg, tta_std can be computed"):
        inferer(torch.rand(2, 1, 32, 32), network)


def test_unknown_labels_and_patients_of_records(scripts):
    outputs = {"logits": np.zeros((2, 3)), "distances_ixg": np.ones((2, 3, 3)), "mc_std": np.ones((2, 3))}
    records = [{"id": "x", "label": [1, None, 0], "patient": "p"}, {"id": "y"}]
    doubts = scripts("doubt_collector").collected_doubts(CollectedOutputs(records, outputs), CLASSES)
    np.testing.assert_array_equal(doubts.label, [[1, np.nan, 0], [np.nan] * 3])
    assert doubts.patient.tolist() == ["p", "y"]
    assert list(doubts.distances) == ["ixg"]
    assert doubts.tta_std is None
    assert doubts.classes == tuple(CLASSES)
