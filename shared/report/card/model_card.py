"""The card as a Markdown model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.evaluation.interpretability.measures import MEASURES
from shared.evaluation.subgroups import excludes_zero, key_title
from shared.report.card.fields import is_unknown, warning_of
from shared.report.formats import number
from shared.report.markdown import markdown_table, markdown_text
from shared.report.wording import failed_in_words

__all__ = ["estimate_text", "model_card"]


def estimate_text(entry: Mapping[str, Any], digits: int = 3) -> str:
    """Write a number of the card with interval and chance level, or why there is none.

    Example:
        >>> estimate_text({"value": 0.5, "ci95": [0.25, 0.75], "chance": 0.1})
        '0.500 [0.250, 0.750], chance 0.100'
        >>> estimate_text({"value": None, "ci95": None, "reason": "no masks"})
        'not measured: no masks'
        >>> estimate_text({"value": 1.0, "ci95": [0.566, 1.0], "interval": "Wilson over 5 patients"})
        '1.000 [0.566, 1.000] (Wilson over 5 patients)'
    """
    if entry["value"] is None:
        return f"not measured: {entry['reason']}"
    parts = [number(entry["value"], digits)]
    if entry["ci95"]:
        parts[0] += f" [{number(entry['ci95'][0], digits)}, {number(entry['ci95'][1], digits)}]"
        parts[0] += f" ({entry['interval']})" if entry.get("interval") else ""
    elif entry.get("reason"):
        parts[0] += f" ({entry['reason']})"
    if entry.get("chance") is not None:
        parts.append(f"chance {number(entry['chance'], digits)}")
    if entry.get("null_band"):
        low, high = entry["null_band"]
        parts.append(f"null band {number(low, digits)} to {number(high, digits)}")
    return ", ".join(parts)


def model_card(card: Mapping[str, Any]) -> str:
    """Return the model card; every text from the card is escaped."""
    parts = [_head, _data, _results, _calibration, _subgroups, _methods, _elements, _provenance, _open]
    return "\n".join(line for part in parts for line in part(card)).rstrip() + "\n"


def _warned(resampled: Any) -> Iterable[str]:
    """Yield a paragraph that warns of the intervals that follow, if they are not to be trusted."""
    if warning := warning_of(resampled):
        yield from ("", f"**Warning.** {markdown_text(warning)}")


def _value(value: Any) -> str:
    if is_unknown(value):
        return f"*Open: {markdown_text(value['reason'])}.*"
    if isinstance(value, list):
        return "; ".join(markdown_text(part) for part in value)
    return markdown_text(value)


def _head(card: Mapping[str, Any]) -> Iterable[str]:
    model = card["model"]
    yield f"# {markdown_text(model['title'])}"
    yield ""
    yield _value(model["description"])
    for title, key in (("What it is for", "intended_use"), ("What it is not for, and its limits", "limits")):
        yield from ("", f"## {title}", "")
        value = model[key]
        yield from [f"- {markdown_text(limit)}" for limit in value] if isinstance(value, list) else [_value(value)]
    yield from ("", "## Model", "")
    yield f"- Task: {_value(model['task'])}"
    yield f"- Version: {_value(model['version'])}"
    for title, key in (("Network", "architecture"), ("Settings", "settings")):
        table = model[key]
        words = _value(table) if is_unknown(table) else markdown_text(_pairs(table))
        yield f"- {title}: {words}"
    for other in model["other_settings"]:
        yield markdown_text(f"- Not the bundle's own: {other['name']} {other['value']}, not {other['of_the_bundle']}")


def _pairs(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if not isinstance(value, Mapping | list))


def _data(card: Mapping[str, Any]) -> Iterable[str]:
    data = card["data"]
    yield from ("", "## Data", "", f"- Source: {_value(data['source'])}", f"- Classes: {_value(data['classes'])}")
    yield f"- Evaluated: N = {_value(data['n'])}, split {_value(data['split'])}"
    parts = data["partitions"]
    if is_unknown(parts):
        yield f"- Sections of the data list: {_value(parts)}"
    else:
        counts = ", ".join(f"{name} {part['n']} ({part['groups']})" for name, part in parts["sections"].items())
        state = "No two sections have one in common." if parts["disjoint"] else "**Sections have some in common.**"
        yield f"- Samples ({markdown_text(parts['by'])}s) of each section: {markdown_text(counts)}. {state}"


def _results(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Results", "")
    results = card["results"]
    if is_unknown(results):
        yield _value(results)
        return
    top = results["headline"]
    ordered = sorted(results["numbers"], key=lambda entry: top.index(entry["name"]) if entry["name"] in top else 99)
    rows = [(entry["title"], estimate_text(entry)) for entry in ordered]
    yield "With 95 % intervals."
    yield from _warned(card["data"]["resampled"])
    yield from ("", *markdown_table(("measure", "value"), rows))


def _calibration(card: Mapping[str, Any]) -> Iterable[str]:
    stages = {stage: card["calibration"][stage] for stage in ("before", "after")}
    yield from ("", "## Calibration", "")
    yield from [f"- {markdown_text(sentence)}" for sentence in card["calibration"]["words"]]
    if unknown := next((found for found in stages.values() if is_unknown(found)), None):
        yield _value(unknown)
        return
    rows = []
    for label, after in stages["after"].items():
        before = {entry["name"]: entry for entry in stages["before"].get(label, [])}
        # the expected calibration error stands first; card.json holds the others
        for entry in after[:1]:
            first = before.get(entry["name"])
            rows.append((label, entry["title"], estimate_text(first) if first else "", estimate_text(entry)))
    yield from _warned(card["data"]["resampled"])
    yield from ("", *markdown_table(("of", "error", "before", "after"), rows))


def _subgroups(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Subgroups", "")
    if is_unknown(card["subgroups"]):
        yield _value(card["subgroups"])
        return
    rows = []
    for key, groups in card["subgroups"].items():
        if is_unknown(groups):
            rows.append((key_title(key), "", "", "", f"not measured: {groups['reason']}", ""))
            continue
        for group in groups:
            rest = {entry["name"]: entry for entry in group["against_rest"]}
            rows += [
                (
                    key_title(key),
                    group["name"],
                    group["n"],
                    entry["title"],
                    estimate_text(entry),
                    _marked(rest[entry["name"]]),
                )
                for entry in group["metrics"]
            ]
    header = ("by", "group", "N", "measure", "value", "less that of all others")
    if warned := list(_warned(card["data"]["resampled"])):
        yield from (*warned[1:], "")
    yield from markdown_table(header, rows)
    yield from ("", "(*) excludes 0; of many differences, one in twenty does by chance.")


def _marked(entry: Mapping[str, Any]) -> str:
    return estimate_text(entry) + (" (*)" if excludes_zero(entry["ci95"]) else "")


def _methods(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Explanation methods", "")
    if not card["methods"]:
        yield "*None was described: explaining has not been run.*"
        return
    rows = []
    for method in card["methods"]:
        rule = "not stated" if is_unknown(method["rule"]) else method["rule"]
        said = [*method["satisfies"], *failed_in_words(method["failed"], method["control"])]
        rows.append((method["title"], "control" if method["control"] else "", rule, " ".join(said)))
    yield from markdown_table(("method", "", "rule", "what it satisfies, what it failed"), rows)


def _elements(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Interpretability")
    yield from _warned(card["elements_resampled"])
    titles = {method["name"]: method["title"] for method in card["methods"]}
    for table in card["elements"]:
        yield from ("", f"### {markdown_text(table['title'])}", "")
        if table["missing"]:
            yield f"*{markdown_text(table['missing'])}*"
        shown = [row for row in table["rows"] if row["label"] is None and row["size"] is None]
        rows = [
            (
                row["title"] + (f" ({row['of']})" if row["of"] else ""),
                "model" if row["method"] is None else titles[row["method"]],
                {"higher": "high is good", "lower": "low is good", None: "describes"}[row["better"]],
                estimate_text(row),
                "" if row["against_chance"] is None else row["against_chance"],
            )
            for row in shown
            if row["value"] is not None
        ]
        if rows:
            yield from ("", *markdown_table(("measure", "of", "", "value", "against chance"), rows))


def _provenance(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Provenance", "")
    rows = []
    for station in ("evaluating", "calibrating", "explaining"):
        found = card["provenance"][station]
        known = {} if is_unknown(found) else found
        rows.append((station, *(known.get(key) or "not recorded" for key in ("date", "git_revision", "command"))))
    yield from markdown_table(("station", "date", "revision", "command"), rows)
    yield from [f"\n**Contradiction.** {markdown_text(sentence)}" for sentence in card["provenance"]["contradictions"]]


def _open(card: Mapping[str, Any]) -> Iterable[str]:
    yield from ("", "## Not measured, not stated", "")
    for entry in card["not_measured"]:
        last = entry["what"].rpartition(".")[2]
        what = MEASURES[last].title if last in MEASURES else entry["what"].replace("_", " ")
        yield f"- {markdown_text(what)}: {markdown_text(entry['reason'])}"
