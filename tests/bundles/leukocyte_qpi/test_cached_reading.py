"""Training reads each image once, whatever is drawn at random afterwards."""

from __future__ import annotations

import json

from monai.bundle import ConfigParser
from monai.transforms import RandomizableTrait


def test_everything_before_the_augmentation_is_cached(repository, bundle_scripts):
    # CacheDataset caches up to the first random transform, and takes a Compose within another for one
    load = bundle_scripts("leukocyte_qpi")
    config = json.loads((repository / "bundles/leukocyte_qpi/configs/train.json").read_text())
    parser = ConfigParser({"preprocessing": config["preprocessing"], "phase_range": [0, 1], "train": config["train"]})
    transform = parser.get_parsed_content("train#preprocessing")
    first = transform.get_index_of_first(lambda step: isinstance(step, RandomizableTrait))
    assert first == len(load("network_input").network_input((0.0, 1.0)).transforms)
