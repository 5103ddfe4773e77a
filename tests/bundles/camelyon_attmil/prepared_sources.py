"""Sources of slides with a table, changed, and what preparing made of them."""

from __future__ import annotations

import pandas as pd

from shared.data.datalist import load_section

SECTIONS = ("training", "validation", "test")
PATHS = ("slide", "features", "annotation")
HALVES = {"training": 0.5, "validation": 0.25, "test": 0.25}


def changed_source(source, target, change):
    """Copy a source by links, with its table changed."""
    (target / "slides").mkdir(parents=True)
    for path in (source / "slides").iterdir():
        (target / "slides" / path.name).symlink_to(path)
    table = pd.read_csv(source / "slides.csv", dtype=str)
    table = change(table)
    table.to_csv(target / "slides.csv", index=False)
    return target


def prepared_records(output):
    """Section and record of each slide, by its id."""
    return {
        record["id"]: (name, record)
        for name in (*SECTIONS, "unlabelled")
        for record in load_section(output / "datalist.json", name, PATHS)
    }


def reasons_left_out(output):
    """Why each thing was left out, by what it is."""
    return pd.read_csv(output / "excluded.csv", dtype=str).set_index("item")["reason"].to_dict()
