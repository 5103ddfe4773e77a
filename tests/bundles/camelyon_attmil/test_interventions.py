"""Interventions on phantom slides: what follows the growing metastasis has 1, what does not has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from shared.data.generated import generate_once

TILE, MPP, SLIDES = 32, 4.0, 2
GENERATED = {
    "seed": 0,
    "mpp": MPP,
    "quality": None,
    "parameters": {
        "lesions": {"micro": {"mean": 420, "std": 30, "low": 380, "high": 460}},
        "node": {"fat": {"mean": 60, "std": 10, "low": 40, "high": 80}},
    },
}


class Colours(nn.Module):
    """Mean colours of a tile: ``(n, 3)``."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


class Valuation:
    """A tile is worth its red, or nothing; the logit is the mean of the former."""

    def __call__(self, features):
        red = features[:, 0].astype(np.float64)
        return {"red": red, "negative": -red, "nothing": 0 * red}

    def logit(self, features):
        return float(features[:, 0].mean())


@pytest.fixture
def slide(tmp_path):
    folder = tmp_path / "slides"

    def write(path):
        (path / "test.tif").write_bytes(b"x")

    generate_once(folder, write, GENERATED)
    return {"id": "test", "slide": str(folder / "test.tif")}


@pytest.fixture
def network(scripts):
    torch.manual_seed(0)
    return scripts("networks").assemble("gated_attention", 3, 4, 4)


def interventions(scripts, network, **options):
    module = scripts("interventions")
    return module.Interventions(network, Valuation(), ["normal", "tumour"], SLIDES, tiles=9, **options)


def test_output_and_values_follow_the_area(scripts, network, slide, monkeypatch):
    encoder = scripts("tile_encoder").TileEncoder(Colours(), "colours")
    extraction = scripts("feature_extraction").FeatureExtraction(encoder, tile_size=TILE, mpp=MPP, batch_size=32)
    monkeypatch.setattr(scripts("interventions"), "slide_extraction", lambda *_: extraction)
    rows = interventions(scripts, network).rows([slide], ["red", "negative", "nothing"])
    found = {(row["measure"], row["method"]): row for row in rows if "label" in row}
    module = scripts("altered_slides")
    slides = [module.SlideAlteration(GENERATED, extraction, 9)(number) for number in range(SLIDES)]
    red = [altered.features[..., 0].astype(float) for altered in slides]
    whole = np.mean([spearmanr(module.AREAS, of_tiles.mean(axis=1)).statistic for of_tiles in red])
    assert found["output_response", None]["value"] == pytest.approx(whole)
    covered = [altered.tumour[-1] > 0.1 for altered in slides]
    parts = [of_tiles[:, tiles].sum(axis=1) for of_tiles, tiles in zip(red, covered, strict=True)]
    shares = [part / of_tiles.sum(axis=1) for part, of_tiles in zip(parts, red, strict=True)]
    within = np.mean([spearmanr(module.AREAS, share).statistic for share in shares])
    assert within > 0.5  # tumour is paler than lymphoid tissue
    values = {name: found["map_response", name]["value"] for name in ("red", "negative", "nothing")}
    assert values == {"red": pytest.approx(within), "negative": pytest.approx(-within), "nothing": 0.0}
    assert found["map_response", "red"]["n"] == SLIDES
    assert found["map_response", "red"]["label"] == "tumour"
    assert found["map_response", "red"]["parameters"] == {"strengths": [0.0, 0.25, 0.5, 0.75, 1.0]}


def test_without_phantoms_or_their_encoder_the_reason_is_said(scripts, network, slide, tmp_path):
    (tmp_path / "real.tif").write_bytes(b"x")
    altering = interventions(scripts, network)
    for record in ({"id": "a"}, {"id": "a", "slide": str(tmp_path / "real.tif")}):
        rows = altering.rows([record], ["red"])
        assert {row["measure"] for row in rows} == {"output_response", "map_response"}
        assert all("not generated" in row["reason"] for row in rows)
    attributes = scripts("feature_file").FeatureAttributes("", 0.5, 256, encoder="another", encoder_sha256="1")
    network.feature_kind.set(attributes)
    rows = altering.rows([slide], ["red"])
    assert all("encoder of the slides is not at hand" in row["reason"] for row in rows)
