"""Studies of phantoms with the findings that a test wants, and their films."""

from __future__ import annotations

from dataclasses import replace

from tests.bundles.chexpert_informer.conftest import FINDINGS

SIZE = 128


def with_findings(study, threshold=0.25, view="PA", **extents):
    """The study with the given extents and no other finding, upright."""
    values = tuple(extents.get(name, 0.0) for name in FINDINGS)
    return replace(study, extents=values, present=tuple(v >= threshold for v in values), view=view, marker=False)


def film_pair(render, study, finding, extent, seed=0, size=SIZE):
    """The film without and with a finding, and the mask of it; both have the same noise."""
    healthy, _ = render(with_findings(study), seed, size)
    ill, truth = render(with_findings(study, **{finding: extent}), seed, size)
    return healthy.astype(float), ill.astype(float), truth
