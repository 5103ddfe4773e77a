from __future__ import annotations

from shared.data.datalist import write_datalist
from shared.data.integrity import Exclusion, write_excluded
from shared.data.summary import Summary


def _record(number, donor, area, **group):
    return {"id": str(number), "donor": donor, "area": area, **group}


def test_counts_means_and_reasons(tmp_path):
    sections = {
        "training": [_record(1, "a", 10.0, label=1), _record(2, "a", 20.0, label=1), _record(3, "b", 5.0, label=0)],
        "test": [_record(4, "c", 30.0, label=1)],
        "outlier": [_record(5, "a", 1.0, kind="empty")],
    }
    write_datalist(tmp_path / "datalist.json", sections, ["x", "y"])
    reasons = ["area 1.5 is small", "area 12.25 is small", "cut"]
    write_excluded(tmp_path / "excluded.csv", [Exclusion("s", "i", reason) for reason in reasons])

    summary = Summary.read(tmp_path / "datalist.json", "donor", ("area",))
    assert list(summary.counts.index) == ["x", "y", "empty", "total"]
    assert summary.counts.loc["y", ["training", "test", "outlier"]].tolist() == [2, 1, 0]
    assert summary.counts.loc["total", ["training", "test", "outlier"]].tolist() == [3, 1, 1]
    assert summary.counts.loc["y", "donors"] == 2
    assert summary.counts.loc["y", "mean area"] == 20.0
    assert summary.excluded == {"area # is small": 2, "cut": 1}
    text = str(summary)
    assert "left out: 3" in text
    assert "reused" not in text
    assert "reused" in str(Summary.read(tmp_path / "datalist.json", "donor", reused=True))


def test_without_outliers_and_without_excluded(tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": [_record(1, "a", 1.0, label=0)], "test": []}, ["x"])
    summary = Summary.read(tmp_path / "datalist.json", "donor", ("absent",))
    assert summary.counts.loc["x", ["training", "test", "donors"]].tolist() == [1, 0, 1]
    assert summary.excluded == {}
