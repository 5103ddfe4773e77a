"""What can be used of a source is told before it is prepared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.bundles.camelyon_attmil.prepared_sources import (
    changed_source,
)


def test_preflight(preparation, scripts, table_source, write_stained, spoil_tiles, tmp_path):
    source = changed_source(
        table_source,
        tmp_path / "source",
        lambda table: pd.concat(
            [
                table.assign(annotation=["a.xml", *[""] * 7]),
                pd.DataFrame([{"slide": "slides/spoilt.tif", "label": "tumor", "patient": "x", "annotation": ""}]),
            ]
        ),
    )
    spoil_tiles(write_stained(source / "slides" / "spoilt.tif", (512, 448), (64, 64, 448, 384)), [(0, 0)])
    annotations = scripts("annotations")
    triangle = annotations.Outline("_0", "_0", np.array([[10, 10], [900, 10], [10, 200.0]]))
    annotations.write_asap(source / "a.xml", annotations.Annotation((triangle,)))
    report = preparation("preflight")(source, progress=False)
    table = report.table().set_index("slide_id")
    assert table["usable"].sum() == 7
    assert "of the same slide" in table.loc["s0", "problem"]
    assert "cannot be decoded" in table.loc["spoilt", "problem"]
    good = table.loc["s1"]
    assert (good["width"], good["height"], good["tiles"]) == (512, 448, 30)
    assert good["tissue"] == pytest.approx(384 * 320 / (512 * 448), rel=0.15)
    assert "7 of 9 slides can be used, 210 tiles" in str(report)
