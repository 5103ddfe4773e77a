"""One self-contained HTML page from the files of an evaluation: no script, no request to anywhere, printable."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shared.report import sections
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
from shared.report.gallery import MOST_CASES, case_count, read_cases
from shared.report.sources import Sources
from shared.report.wording import CONFIDENCE_WORDS, command, confidence_in_words, measure_title, method_notes

__all__ = ["render_page"]


def render_page(sources: Sources) -> str:
    """Render the report.

    Every text from a file is escaped (autoescape); only the drawings, which `svg.inline_svg` builds, enter as markup.

    Raises:
        DataError: if a file is malformed.
    """
    environment = Environment(
        loader=PackageLoader("shared.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "whole_percent": whole_percent,
        "signed": signed,
        "compact": compact,
        "interval": interval,
        "percent_interval": percent_interval,
        "measure": measure_title,
        "method": sources.method_title,
        "in_words": confidence_in_words,
        "drawing": Markup,
        "codes": code_spans,
    }
    stylesheet = environment.loader.get_source(environment, "report.css")[0]  # type: ignore[union-attr]
    headline = sections.headline_section(sources)
    return environment.get_template("report.html.j2").render(
        css=Markup(stylesheet),
        commands={station: command(station, sources.bundle) for station in ("calibrating", "evaluating", "explaining")},
        purpose=sections.purpose_section(sources),
        headline=headline,
        unit=headline["resampled"]["unit"],
        confusion=sections.confusion_section(sources),
        discrimination=sections.discrimination_section(sources),
        shortcuts=sections.shortcut_section(sources),
        repeatability=sections.repeatability_section(sources),
        alarms=sections.alarm_section(sources),
        flagged=sections.flagged_cases(sources),
        calibration=sections.calibration_section(sources),
        label_calibration=sections.label_calibration_section(sources),
        decisions=sections.decision_section(sources),
        selective=sections.selective_section(sources),
        sensitivity=sections.sensitivity_section(sources),
        saving=sections.time_saving_section(sources),
        lesions=sections.lesion_section(sources),
        outliers=sections.outlier_section(sources),
        bags=sections.bag_section(sources),
        slides=sections.slide_section(sources),
        cases=read_cases(sources),
        case_total=case_count(sources),
        most_cases=MOST_CASES,
        quality=sections.quality_section(sources),
        bag_quality=sections.bag_quality_section(sources),
        marker=sections.marker_section(sources),
        quality_resampled=sections.resampling_of(sources.explanations),
        method_notes=method_notes((sources.explanations or {}).get("methods") or {}),
        provenance=sections.provenance_section(sources),
        confidence_words=CONFIDENCE_WORDS,
        has_metadata=sources.metadata is not None,
        has_explanations=sources.explanations is not None,
        has_calibration=sources.calibration is not None,
        left_out=sources.left_out,
    )
