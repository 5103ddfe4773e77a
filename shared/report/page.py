"""One self-contained HTML page from the files of an evaluation: no request to anywhere, complete without its script."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report import sections
from shared.report.contents import page_parts
from shared.report.datasets import embedded_json, page_datasets
from shared.report.elements import ElementTable, element_tables
from shared.report.formats import (
    code_spans,
    compact,
    interval,
    number,
    percent,
    percent_interval,
    signed,
    whole_percent,
)
from shared.report.gallery import MOST_CASES, Case, explained_count, read_cases
from shared.report.partitions import read_partitions
from shared.report.picture_store import PictureStore
from shared.report.sections.purposes import purposes_section
from shared.report.sections.trade_off import trade_off_section
from shared.report.slides import ExplainedSlide
from shared.report.sources import FAILED_MARK, UNDECIDED, Sources
from shared.report.view import Layer, View
from shared.report.wording import (
    CONFIDENCE_WORDS,
    DECISION_WORDS,
    command,
    confidence_in_words,
    measure_title,
    method_notes,
)

__all__ = ["render_page"]


def render_page(sources: Sources) -> str:
    """Render the report.

    Every text from a file is escaped (autoescape); only the drawings, which `svg.inline_svg` builds, and the page's own
    script enter as markup. A browser runs no other script: the page names the hash of this one.

    Raises:
        DataError: if a file is malformed.
    """
    store = PictureStore()
    environment = _environment(sources, store)
    loader = environment.loader
    assert loader is not None  # _environment sets it
    stylesheet, script = (loader.get_source(environment, f"report.{kind}")[0].strip() for kind in ("css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = _values(sources)
    return environment.get_template("report.html.j2").render(
        css=Markup(stylesheet),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        store=store,
        parts=page_parts(values),
        **values,
    )


def _environment(sources: Sources, store: PictureStore) -> Environment:
    environment = Environment(
        loader=PackageLoader("shared.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )

    def caption(layer: Layer) -> str:
        return f"{sources.marked_title(layer.method)} for {layer.target}"

    def layer_table(view: View) -> list[dict[str, Any]]:
        """What the script needs to know of the maps that it can show."""
        return [
            {
                "method": layer.method,
                "target": layer.target,
                "picture": store.name(layer.image),
                "caption": caption(layer),
                "low": layer.low,
                "high": layer.high,
                "signed": layer.signed,
                "failed": " ".join(sources.failed_checks(layer.method)),
                "undecided": ", ".join(sources.undecided_checks(layer.method)),
            }
            for layer in view.layers
        ]

    environment.filters |= {
        "number": number,
        "percent": percent,
        "whole_percent": whole_percent,
        "signed": signed,
        "compact": compact,
        "interval": interval,
        "percent_interval": percent_interval,
        "measure": measure_title,
        "method": sources.marked_title,
        "failed_checks": lambda name: " ".join(sources.failed_checks(name)),
        "undecided_checks": lambda name: ", ".join(sources.undecided_checks(name)),
        "in_words": confidence_in_words,
        "drawing": Markup,
        "codes": code_spans,
        "layer_caption": caption,
        "layer_table": layer_table,
        "embedded": embedded_json,
        "rings": _rings,
    }
    return environment


def _values(sources: Sources) -> dict[str, Any]:
    """Return what the templates show."""
    headline = sections.headline_section(sources)
    elements = element_tables(sources)
    bags, slides, cases = sections.bag_section(sources), sections.slide_section(sources), read_cases(sources)
    anchors, pictured = _anchors(sources, bags, slides, cases)
    failures = sections.failure_section(sources, anchors)
    quality, bag_quality = sections.quality_section(sources), sections.bag_quality_section(sources)
    marker = sections.marker_section(sources)
    localized = bool(quality) and sources.interpretability is not None
    return {
        "bundle_name": sources.bundle,
        "commands": {name: command(name, sources.bundle) for name in ("calibrating", "evaluating", "explaining")},
        "purpose": sections.purpose_section(sources),
        "headline": headline,
        "unit": headline["resampled"]["unit"],
        "confusion": sections.confusion_section(sources),
        "discrimination": sections.discrimination_section(sources),
        "shortcuts": sections.shortcut_section(sources),
        "repeatability": sections.repeatability_section(sources),
        "alarms": sections.alarm_section(sources),
        "flagged": sections.flagged_cases(sources),
        "calibration": sections.calibration_section(sources),
        "label_calibration": sections.label_calibration_section(sources),
        "acceptance": sections.acceptance_section(sources),
        "decisions": sections.decision_section(sources),
        "selective": sections.selective_section(sources),
        "sensitivity": sections.sensitivity_section(sources),
        "saving": sections.time_saving_section(sources),
        "lesions": sections.lesion_section(sources),
        "outliers": sections.outlier_section(sources),
        "bags": bags,
        "slides": slides,
        "cases": cases,
        "shows_cases": bool(cases) or not (bags or slides),
        "case_total": explained_count(sources),
        "most_cases": MOST_CASES,
        "element_grids": sections.element_grids(elements),
        "purposes": purposes_section(sources),
        "elements_resampled": sections.resampling_of(sources.interpretability),
        "quality": quality,
        "bag_quality": bag_quality,
        "marker": marker,
        # what is measured of maps against causes stands with the element that it measures, where there are elements
        "shows_quality": not localized or marker is not None,
        "localized": localized,
        "quality_resampled": sections.resampling_of(sources.explanations),
        "method_notes": method_notes((sources.explanations or {}).get("methods") or {}),
        "failures": failures,
        "failure_pictures": []
        if failures is None
        else [(row, pictured[row.anchor]) for row in failures["rows"] if row.anchor in pictured],
        "trade_off": trade_off_section(sources),
        "subgroups": sections.subgroup_section(sources),
        "sanity": sections.sanity_section(sources, elements),
        "partitions": read_partitions(sources),
        "unmeasured": _unmeasured(elements),
        "provenance": sections.provenance_section(sources),
        "confidence_words": CONFIDENCE_WORDS,
        "decision_words": DECISION_WORDS,
        "failed_mark": FAILED_MARK,
        "undecided": UNDECIDED,
        "failed_note": _failed_note(sources),
        "datasets": page_datasets(sources, elements),
        "has_metadata": sources.metadata is not None,
        "has_explanations": sources.explanations is not None,
        "has_interpretability": sources.interpretability is not None,
        "has_calibration": sources.calibration is not None,
        "left_out": sources.left_out,
    }


def _anchors(
    sources: Sources, bags: dict[str, Any] | None, slides: dict[str, Any] | None, cases: list[Case]
) -> tuple[dict[tuple[str, str], str], dict[str, View]]:
    """Return where the page explains a sample's answer to a question, and the pictures that stand there."""
    several = "" not in sources.tasks()
    shown = [("case", [(case, case.view) for case in cases])]
    shown.append(("bag", [(bag.case, None) for bag, _ in (bags or {"bags": []})["bags"]]))
    shown.append(("slide", [(slide.case, slide.view) for slide, _ in (slides or {"slides": []})["slides"]]))
    anchors, pictures = {}, {}
    for kind, entries in shown:
        for place, (case, view) in enumerate(entries, start=1):
            anchors[case.id, case.target if several else ""] = f"{kind}-{place}"
            if view is not None:
                pictures[f"{kind}-{place}"] = view
    return anchors, pictures


def _rings(slide: ExplainedSlide) -> list[tuple[float, float, str]]:
    """Return middle and name of the tiles of a slide's gallery."""
    half = (slide.tile_px or 0) / 2
    tiles = [tile for tile in (*slide.highest, *slide.lowest) if tile.place is not None]
    return [(tile.place[0] + half, tile.place[1] + half, tile.name) for tile in tiles if tile.place is not None]


def _unmeasured(elements: list[ElementTable]) -> list[tuple[str, str, str]]:
    """Return element, measure and reason of what has no number at all."""
    return [(table.title, measure.title, reason) for table in elements for measure, reason in table.unmeasured]


def _failed_note(sources: Sources) -> Markup:
    """Return a line that explains the marks of methods that a sanity check failed or left open; nothing without any."""
    methods = (sources.interpretability or {}).get("methods") or {}
    said = []
    if any(sources.failed_checks(name) for name in methods):
        said.append(
            Markup(
                "{} marks a method that failed a sanity check: what it shows may not depend on what the network learnt."
            ).format(FAILED_MARK)
        )
    if any(sources.undecided_checks(name) for name in methods):
        said.append(
            Markup("A method called {} neither passed nor failed a sanity check: nothing was shown of it.").format(
                UNDECIDED
            )
        )
    if not said:
        return Markup("")
    return Markup('<p class="note">{} See <a href="#sanity">Methods and sanity checks</a>.</p>').format(
        Markup(" ").join(said)
    )
