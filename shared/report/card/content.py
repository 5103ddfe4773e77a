"""The content of ``card.json``: everything that the files of an evaluation say, and what they do not say.

No field is written by hand but purpose and limits, which come from the bundle's ``metadata.json``. Whatever was not
measured or not stated is ``{"value": null, "reason": …}``, and stands once more in the list ``not_measured``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.data.files import sha256_file
from shared.evaluation.metrics_file import json_ready
from shared.report.card.fields import element_row, is_unknown, numbers, unknown, value_or_unknown
from shared.report.elements import ElementTable, Method, element_tables, methods_of
from shared.report.measures import Estimate, read_estimates, read_table
from shared.report.partitions import read_partitions
from shared.report.recorded_weights import recorded_files
from shared.report.sections.fitted import fitted_in_words
from shared.report.sections.provenance import provenance_section
from shared.report.sections.results import headline_section, purpose_section
from shared.report.sources import Sources
from shared.report.wording import command

__all__ = ["FORMAT", "SCHEMA", "card_content"]

FORMAT = 1
#: names the schema, ``shared/report/card/schema.json``
SCHEMA = "urn:monai-explainable-bundles:schema:card:1"

#: objects of the metrics file that hold numbers of their own
FURTHER = ("shortcuts", "wanted_sensitivity", "time_saving", "lesions")
NO_METADATA = "not stated in configs/metadata.json"


def card_content(sources: Sources) -> dict[str, Any]:
    """Return the card.

    Raises:
        DataError: if a file is malformed.
    """
    tables = element_tables(sources)
    content = {
        "$schema": SCHEMA,
        "format": FORMAT,
        "bundle": sources.bundle,
        "model": _model(sources),
        "data": _data(sources),
        "results": _results(sources),
        "calibration": _calibration(sources),
        "decisions": _decisions(sources),
        "subgroups": _subgroups(sources),
        "further": _further(sources),
        "methods": [_method(method) for method in methods_of(sources)],
        "elements": [_element(table) for table in tables],
        "elements_resampled": _elements_resampled(sources),
        "provenance": _provenance(sources),
    }
    ready = json_ready(content)
    return ready | {"not_measured": _not_measured(ready, tables)}


def _model(sources: Sources) -> dict[str, Any]:
    purpose, metadata = purpose_section(sources), sources.metadata or {}
    explaining = command("explaining", sources.bundle)
    others = headline_section(sources)["other_settings"]
    network = metadata.get("network") or {}
    settings = {**network, **{name: value for name, value, _ in others if name in network}}
    weights = recorded_files((sources.metrics or sources.explanations or {}).get("provenance"), "weights")
    named = {
        key: value_or_unknown(purpose.get(key), NO_METADATA)
        for key in ("version", "task", "description", "intended_use", "limits")
    }
    return {
        "title": purpose["title"],
        **named,
        "authors": value_or_unknown(metadata.get("authors"), NO_METADATA),
        "references": value_or_unknown(metadata.get("references"), NO_METADATA),
        "settings": value_or_unknown(settings, NO_METADATA),
        "other_settings": [{"name": name, "value": value, "of_the_bundle": own} for name, value, own in others],
        "architecture": value_or_unknown(
            (sources.interpretability or {}).get("model"), f"described by explaining: {explaining}"
        ),
        "weights": value_or_unknown(_hashes(weights), "no file records the weights"),
    }


def _hashes(files: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"file": file, "sha256": digest} for digest, file in files.items()]


def _data(sources: Sources) -> dict[str, Any]:
    metadata, metrics = sources.metadata or {}, sources.metrics or {}
    evaluating = f"evaluating has not been run: {command('evaluating', sources.bundle)}"
    inputs = read_table(metadata.get("network_data_format") or {}, "metadata.json: network_data_format").get("inputs")
    labels = {
        task or "label": {str(name): int(count) for name, count in counts.items()}
        for task, frame in sources.tasks().items()
        if len(counts := frame.loc[frame["label"] != "", "label"].value_counts().sort_index())
    }
    return {
        "source": value_or_unknown(metadata.get("data_source"), NO_METADATA),
        "type": value_or_unknown(metadata.get("data_type"), NO_METADATA),
        "images": value_or_unknown(metadata.get("image_classes"), NO_METADATA),
        "input": value_or_unknown(inputs, NO_METADATA),
        "preprocessing": value_or_unknown(metadata.get("preprocessing"), NO_METADATA),
        "classes": value_or_unknown(sources.classes, evaluating),
        "positive_class": metrics.get("positive_class"),
        "split": value_or_unknown(metrics.get("split"), evaluating),
        "n": value_or_unknown(metrics.get("n"), evaluating),
        "files": value_or_unknown(
            _hashes(recorded_files(metrics.get("provenance"), "data")), "metrics.json records no data list"
        ),
        "labels": value_or_unknown(labels, "predictions.csv has no labels"),
        "resampled": value_or_unknown(metrics.get("resampled"), "metrics.json does not say what was resampled"),
        "partitions": _partitions(sources),
    }


def _partitions(sources: Sources) -> dict[str, Any]:
    parts = read_partitions(sources)
    if isinstance(parts, str):
        return unknown(parts)
    return {
        "by": parts.by,
        "sections": {name: {"n": n, "groups": parts.groups[name]} for name, n in parts.samples.items()},
        "in_common": [{"sections": list(pair), "groups": count} for pair, count in parts.common.items()],
        "disjoint": parts.disjoint,
    }


def _results(sources: Sources) -> dict[str, Any]:
    if sources.metrics is None:
        return unknown(f"evaluating has not been run: {command('evaluating', sources.bundle)}")
    headline = headline_section(sources)
    table, where = sources.measured("metrics")
    return {
        "headline": [estimate.name for estimate in headline["top"]],
        "numbers": numbers(read_estimates(table, where)),
        "confusion_matrix": value_or_unknown(sources.metrics.get("confusion_matrix"), "the classes are not exclusive"),
    }


def _calibration(sources: Sources) -> dict[str, Any]:
    table, where = sources.measured("calibration")
    skipped = ("reliability", "n_bins", "n", "resamples", "simulations", "seed")
    reason = f"evaluating has not measured it: {command('evaluating', sources.bundle)}"
    stages = {}
    for stage in ("before", "after"):
        entry = read_table(table.get(stage) or {}, f"{where}.{stage}")
        parts = entry.get("labels") or {"": entry}
        stages[stage] = {
            str(label or "all"): numbers(read_estimates(part, f"{where}.{stage}.{label}", skipped))
            for label, part in parts.items()
            if part
        }
    fitted = {} if sources.calibration is None else {k: v for k, v in sources.calibration.items() if k != "provenance"}
    missing = sources.left_out or f"calibration.json was not found: {command('calibrating', sources.bundle)}"
    return {
        "fitted": value_or_unknown(fitted, missing),
        "words": fitted_in_words(sources),
        **{stage: value_or_unknown(found, reason) for stage, found in stages.items()},
    }


def _decisions(sources: Sources) -> dict[str, Any]:
    counts = {
        task or "all": {str(name): int(count) for name, count in frame["decision"].value_counts().items()}
        for task, frame in sources.tasks().items()
    }
    return value_or_unknown(counts, f"there is no predictions.csv: {command('evaluating', sources.bundle)}")


def _subgroups(sources: Sources) -> dict[str, Any]:
    table, where = sources.measured("subgroups")
    found: dict[str, Any] = {}
    for key, entry in table.items():
        place = f"{where}.{key}"
        if "groups" not in read_table(entry, place):
            found[str(key)] = unknown(str(entry.get("reason")))
            continue
        found[str(key)] = [
            {
                "name": str(group["name"]),
                "n": int(group["n"]),
                **{part: numbers(read_estimates(group[part], place)) for part in ("metrics", "against_rest")},
            }
            for group in entry["groups"]
        ]
    return value_or_unknown(found, "metrics.json has no subgroups; name subgroup_keys in the config and evaluate again")


def _further(sources: Sources) -> dict[str, Any]:
    """Return what only some bundles measure: numbers by key of the metrics file, and those of the acting alarm."""
    found = {"outliers": outliers} if (outliers := numbers(_outliers(sources))) else {}
    for key in FURTHER:
        table, where = sources.measured(key)
        if table:
            found[key] = numbers(read_estimates(table, where))
    alarm, place = sources.measured("alarm")
    alarms, _ = sources.measured("alarms")
    if alarm.get("name") in (entries := alarms.get("alarms") or {}):
        acting = read_table(entries[alarm["name"]], place)
        kept = {key: acting[key] for key in ("flagged", "swapping", "deferring", "differences") if key in acting}
        found["alarm"] = numbers(read_estimates(kept, place))
    if sources.repeatability:
        found["repeatability"] = numbers(read_estimates(sources.repeatability, "repeatability.json", ("provenance",)))
    return found


def _outliers(sources: Sources) -> list[Estimate]:
    """Return what was caught of each kind, and how well each score tells it from known classes."""
    table, where = sources.measured("outliers")
    found: list[Estimate] = []
    for kind, entry in table.items():
        if not isinstance(entry, Mapping) or "caught" not in entry:
            continue
        place = f"{where}.{kind}"
        caught = {"value": entry["caught"], "ci95": entry.get("ci95"), "n": entry.get("n")}
        parts = {"caught": caught} | {key: entry[key] for key in ("auroc", "fpr95") if key in entry}
        found += [replace(estimate, name=f"{estimate.name}.{kind}") for estimate in read_estimates(parts, place)]
    return found


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "control": method.control,
        "rule": value_or_unknown(method.rule, "explaining does not state it"),
        "parameters": dict(method.parameters),
        "satisfies": list(method.satisfies),
        "failed": list(method.failed),
    }


def _element(table: ElementTable) -> dict[str, Any]:
    return {
        "element": table.element,
        "title": table.title,
        "missing": table.missing,
        "rows": [element_row(row) for row in table.rows],
    }


def _elements_resampled(sources: Sources) -> dict[str, Any]:
    """Return what the bootstrap behind the intervals of explaining drew."""
    if sources.interpretability is None:
        return unknown("there is no interpretability.json")
    return value_or_unknown(
        sources.interpretability.get("resampled"), "interpretability.json does not say what was resampled"
    )


def _provenance(sources: Sources) -> dict[str, Any]:
    contents = {
        "evaluating": sources.metrics,
        "calibrating": sources.calibration,
        "explaining": sources.explanations,
        "interpretability": sources.interpretability,
    }
    return {
        **{
            station: value_or_unknown((content or {}).get("provenance"), f"{station}: no file at hand records it")
            for station, content in contents.items()
        },
        "files": [{"file": name, "sha256": sha256_file(path)} for name, path in sources.files.items()],
        "contradictions": provenance_section(sources)["warnings"],
    }


def _not_measured(content: Mapping[str, Any], tables: list[ElementTable]) -> list[dict[str, str]]:
    """List every field that is unknown, by its keys, and every measure without a number, by its element."""
    found: list[dict[str, str]] = []

    def walk(value: Any, place: str) -> None:
        if is_unknown(value):
            found.append({"what": place, "reason": str(value["reason"])})
        elif isinstance(value, Mapping):
            for key, part in value.items():
                walk(part, f"{place}.{key}" if place else str(key))

    walk({key: value for key, value in content.items() if key not in ("elements", "methods")}, "")
    for table in tables:
        if table.missing:
            found.append({"what": f"elements.{table.element}", "reason": table.missing})
        found += [
            {"what": f"elements.{table.element}.{measure.name}", "reason": reason}
            for measure, reason in table.unmeasured
        ]
    return found
