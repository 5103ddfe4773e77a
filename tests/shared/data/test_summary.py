from __future__ import annotations

from shared.data.datalist import write_datalist
from shared.data.integrity import Exclusion, write_excluded
from shared.data.left_out import LeftOut, Nouns
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
    assert summary.excluded == [
        LeftOut({"frame or cell": 2}, "s, i: area 1.5 is small"),
        LeftOut({"frame or cell": 1}, "s, i: cut"),
    ]
    text = str(summary)
    assert "left out: 3 frames or cells" in text
    assert "reused" not in text
    assert "reused" in str(Summary.read(tmp_path / "datalist.json", "donor", reused=True))


def test_without_outliers_and_without_excluded(tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": [_record(1, "a", 1.0, label=0)], "test": []}, ["x"])
    summary = Summary.read(tmp_path / "datalist.json", "donor", ("absent",))
    assert summary.counts.loc["x", ["training", "test", "donors"]].tolist() == [1, 0, 1]
    assert summary.excluded == []


def test_reasons_are_grouped_but_shown_as_they_are(tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": [_record(1, "a", 1.0, label=0)]}, ["x"])
    long = "the copy may have been cut short: " + "copy it anew " * 12
    excluded = [Exclusion(f"D{n}_Mon_1.phase", "recording", f"/data {n}/D{n}_Mon_1.phase: {long}") for n in (1, 2)]
    excluded += [Exclusion("D3.phase", f"0000{n}", f"frame 0000{n} is constant", "frame") for n in (1, 2, 3)]
    excluded += [Exclusion("D10_Mon_1.phase", "recording", "D10_Mon_1: no donor")]
    write_excluded(tmp_path / "excluded.csv", excluded)
    summary = Summary.read(tmp_path / "datalist.json", "donor")
    assert [group.numbers for group in summary.excluded] == [{"frame": 3}, {"recording": 2}, {"recording": 1}]
    text = str(summary)
    assert "left out: 3 recordings and 3 frames" in text
    assert "2 recordings, e.g. D1_Mon_1.phase, recording: /data 1/D1_Mon_1.phase: the copy" in text
    assert "#" not in text
    assert " ".join(text.split()).count(long.strip()) == 1


def test_bags_of_patients_with_and_without_a_diagnosis(tmp_path):
    sections = {
        "training": [{"id": "a", "patient": "a", "image": ["1", "2"], "label": 1}],
        "test": [{"id": "b", "patient": "b", "image": ["3"], "label": 0}],
        "unlabelled": [{"id": "c", "patient": "c", "image": ["4", "5", "6"]}],
    }
    write_datalist(tmp_path / "datalist.json", sections, ["x", "y"])
    excluded = [
        Exclusion("d", "patient", "no age"),
        Exclusion("7.jpg", "e", "cut short"),
        Exclusion("t.csv", "line 2", "?", "row"),
    ]
    write_excluded(tmp_path / "excluded.csv", excluded)
    nouns = Nouns("patient", "patients", "image", "images")
    summary = Summary.read(tmp_path / "datalist.json", "patient", nouns=nouns, count_of="image")
    assert list(summary.counts.index) == ["x", "y", "unlabelled", "total"]
    assert summary.counts.loc["unlabelled", ["training", "test", "unlabelled", "patients", "images"]].tolist() == [
        *(0, 0, 1, 1, 3),
    ]
    assert summary.counts["images"].tolist() == [1, 2, 3, 6]
    assert "left out: 1 patient, 1 image and 1 row" in str(summary)


def test_records_with_several_labels(tmp_path):
    labels = [[1, 0, 1], [1, None, 0], [0, 0, 0], [0, 0, None]]
    records = [{"id": str(n), "patient": f"p{n // 2}", "label": label, "age": 10 * n} for n, label in enumerate(labels)]
    sections = {"training": records[:3], "test": records[3:], "unlabelled": [{"id": "u", "patient": "p9"}]}
    write_datalist(tmp_path / "datalist.json", sections, ["a", "b", "c"])
    counts = Summary.read(tmp_path / "datalist.json", "patient", ("age",)).counts
    assert counts["training"].to_dict() == {
        "a": 2, "c": 1, "b, masked": 1, "c, masked": 0, "none of these": 1, "unlabelled": 0, "total": 3
    }  # fmt: skip
    assert counts["test"].to_dict()["c, masked"] == 1
    assert counts.loc["total", ["training", "test", "unlabelled"]].tolist() == [3, 1, 1]
    assert counts.loc["a", "patients"] == 1
    assert counts.loc["a", "mean age"] == 5
