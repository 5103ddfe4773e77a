"""Preparing as the tests do, and what it wrote."""

from __future__ import annotations

import pandas as pd

from shared.data.datalist import load_section

SECTIONS = ("training", "validation", "test")


def prepare(preparation, source, output, **arguments):
    return preparation(source, output, progress=False, **arguments)


def excluded(output):
    return pd.read_csv(output / "excluded.csv", dtype=str)


def reasons_of(output):
    return excluded(output).set_index("item")["reason"]


def records_of(output, sections=SECTIONS):
    return {record["id"]: record for name in sections for record in load_section(output / "datalist.json", name)}
