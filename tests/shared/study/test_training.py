"""What decides what a training learns, and what of a config a study may change: on each bundle's own ``train.json``."""

from __future__ import annotations

import copy

import pytest

from shared.data.errors import DataError
from shared.study.training import check_keys, deciding_sections, read_train_config


@pytest.fixture(params=["leukocyte_qpi", "lymphocytosis_moe"])
def config(request, repository):
    return read_train_config(repository / "bundles" / request.param)


def test_only_what_decides_what_is_learned_is_hashed(config):
    before = deciding_sections(config)
    assert deciding_sections({**config, "learning_rate": 0.123}) != before
    assert deciding_sections({**config, "a_new_key": 4, "output_dir": "x"}) == before
    watched = copy.deepcopy(config)
    watched["train"]["handlers"].append({"_target_": "TensorBoardStatsHandler", "log_dir": "y"})
    assert deciding_sections(watched) == before
    watched["train"]["augmentation"] = []
    assert deciding_sections(watched) != before


def test_handlers_that_only_watch_are_known_by_their_names(config):
    """A handler that is renamed would be attached to every training of a study without anyone's notice."""
    watching = [h["_target_"] for h in config["train"]["handlers"] if "TensorBoard" in h.get("_target_", "")]
    assert watching
    without = copy.deepcopy(config)
    for handler in list(without["train"]["handlers"]):
        if handler.get("_target_") in watching:
            without["train"]["handlers"].remove(handler)
    assert deciding_sections(without) == deciding_sections(config)


def test_a_key_that_train_json_does_not_have_is_refused(config):
    # of nested keys the last may be new: an argument that the config leaves at its default
    check_keys(config, {"learning_rate": 1, "optimizer#fused": True, "network_def#width": 3})
    for key in ("learnig_rate", "optimiser#fused", "network_def#image_exprt#width"):
        with pytest.raises(DataError, match=key):
            check_keys(config, {key: 1})
