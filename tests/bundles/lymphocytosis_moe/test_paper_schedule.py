"""The overlay of the paper's schedule sets what the paper's images and memory need."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

LARGEST_BAG = 198


@pytest.fixture(scope="module")
def network(bundle_scripts, repository):
    """The network that the configs build."""
    bundle_scripts("lymphocytosis_moe")("networks")
    configs = repository / "bundles" / "lymphocytosis_moe" / "configs"
    files = [str(configs / f"{name}.json") for name in ("train", "paper_schedule")]
    return ConfigParser(ConfigParser.load_config_files(files)).get_parsed_content("network_def")


def test_the_largest_bag_is_encoded_in_several_chunks(network):
    assert network.image_expert.encoder.chunk_size <= LARGEST_BAG // 4


def test_it_is_the_paper_s_network(network, bundle_scripts):
    """The widest of table 2, which fared best, on images of 224 pixels."""
    encoder = bundle_scripts("lymphocytosis_moe")("resnet").ResNetEncoder(64, 224)
    assert network.image_expert.embedding_size == encoder.embedding_size
    resnet = network.image_expert.encoder.encoder.resnet
    assert [part.shape for part in resnet.parameters()] == [part.shape for part in encoder.parameters()]
