"""An evaluation says with which settings the network was built, each beside that of the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


@pytest.mark.parametrize("bundle", ["camelyon_attmil", "leukocyte_qpi", "lymphocytosis_moe"])
def test_every_setting_of_the_bundles_network_is_written(bundle):
    configs = BUNDLES / bundle / "configs"
    evaluation = next(
        handler
        for handler in json.loads((configs / "evaluate.json").read_text())["evaluate"]["handlers"]
        if isinstance(handler, dict) and handler["_target_"].endswith("ClassifierEvaluation")
    )
    own = json.loads((configs / "metadata.json").read_text())["network"]
    assert evaluation["default_settings"] == "$@metadata['network']"
    assert evaluation["settings"] == {"name": "@network_name"} | {name: f"@{name}" for name in own if name != "name"}
