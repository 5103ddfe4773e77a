"""What a card answers to the questions of a reporting checklist, as sentences; ``None`` for what stays open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.evaluation.subgroups import excludes_zero, expected_by_chance, key_title
from shared.report.card.fields import is_unknown, warning_of
from shared.report.card.undecided import undecided_checks
from shared.report.formats import number

__all__ = [
    "Answer",
    "accuracy",
    "calibration_fitted",
    "classes",
    "code",
    "data_source",
    "evaluated_data",
    "explanations",
    "fairness",
    "input_data",
    "intended_use",
    "interval_method",
    "labels",
    "limits",
    "method_of_model",
    "model_specification",
    "network",
    "outcome",
    "outputs",
    "partitions",
    "poor_input",
    "references",
    "software",
    "subgroup_results",
    "task",
]

Answer = Callable[[Mapping[str, Any]], str | None]


def _known(value: Any) -> Any:
    return None if value is None or is_unknown(value) else value


def _of(card: Mapping[str, Any], *keys: str) -> Any:
    value: Any = card
    for key in keys:
        value = _known(value)
        value = value.get(key) if isinstance(value, Mapping) else None
    return _known(value)


def _sentences(*parts: str | None) -> str | None:
    return " ".join(part if part.endswith((".", ":", "!", "?")) else f"{part}." for part in parts if part) or None


def _text(*keys: str) -> Answer:
    def answer(card: Mapping[str, Any]) -> str | None:
        value = _of(card, *keys)
        return None if value is None else str(value)

    return answer


task = _text("model", "task")
intended_use = _text("model", "intended_use")
data_source = _text("data", "source")


def _listed(*keys: str) -> Answer:
    def answer(card: Mapping[str, Any]) -> str | None:
        return "; ".join(map(str, _of(card, *keys) or [])) or None

    return answer


references = _listed("model", "references")


def limits(card: Mapping[str, Any]) -> str | None:
    """Limits as the metadata state them."""
    return " ".join(map(str, _of(card, "model", "limits") or [])) or None


def method_of_model(card: Mapping[str, Any]) -> str | None:
    """Kind of the model, in the words of the metadata."""
    return _sentences(_of(card, "model", "task"), _of(card, "model", "description"))


def classes(card: Mapping[str, Any]) -> str | None:
    """Classes, and which is to be found."""
    names, positive = _of(card, "data", "classes"), _of(card, "data", "positive_class")
    if not names:
        return None
    return f"Classes: {', '.join(names)}." + (f" The class to be found is {positive}." if positive else "")


outcome = classes


def input_data(card: Mapping[str, Any]) -> str | None:
    """What enters the network and how it is prepared."""
    images, settings = _of(card, "data", "images"), _of(card, "data", "preprocessing")
    return _sentences(
        images and f"Input: {images}.", settings and f"Settings: {_pairs(settings)}; the bundle's README has the rest."
    )


def _pairs(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items() if not isinstance(value, Mapping | list))


def network(card: Mapping[str, Any]) -> str | None:
    """Architecture and settings."""
    model, settings = _of(card, "model", "architecture"), _of(card, "model", "settings")
    found = model and "".join(
        [str(model.get("name", "")), f", {model['parameters']} parameters" if "parameters" in model else ""]
    )
    return _sentences(found and f"{found}.", settings and f"Settings: {_pairs(settings)}.")


def model_specification(card: Mapping[str, Any]) -> str | None:
    """Network, and the hashes of its weights."""
    return _sentences(network(card), _hashes(_of(card, "model", "weights"), "Weights"))


def _hashes(files: Sequence[Mapping[str, str]] | None, what: str) -> str | None:
    if not files:
        return None
    return f"{what}: " + ", ".join(f"{entry['file']} (SHA-256 {entry['sha256'][:12]})" for entry in files) + "."


def evaluated_data(card: Mapping[str, Any]) -> str | None:
    """Which samples were evaluated."""
    n, split = _of(card, "data", "n"), _of(card, "data", "split")
    if n is None:
        return None
    return _sentences(f"{n} samples of the split {split}.", _hashes(_of(card, "data", "files"), "Data list"))


def labels(card: Mapping[str, Any]) -> str | None:
    """Number of samples by label."""
    counts = _of(card, "data", "labels")
    if not counts:
        return None
    words = {"0": "without", "1": "with"}
    questions = [
        ", ".join(f"{n} {name}" for name, n in found.items())
        if question == "label"
        else f"{question}: " + ", ".join(f"{n} {words.get(name, name)} it" for name, n in found.items())
        for question, found in counts.items()
    ]
    return "Evaluated samples by label: " + "; ".join(questions) + "."


def partitions(card: Mapping[str, Any]) -> str | None:
    """Sizes of the sections, and at which level they are disjoint."""
    found = _of(card, "data", "partitions")
    if not found:
        return None
    by = found["by"]
    sizes = ", ".join(
        f"{name} {part['n']} samples of {part['groups']} {by}s" for name, part in found["sections"].items()
    )
    common = "; ".join(f"{' and '.join(e['sections'])}: {e['groups']}" for e in found["in_common"] if e["groups"])
    level = f"Disjoint by {by}." if found["disjoint"] else f"NOT disjoint, {by}s in common: {common}."
    return f"{sizes[:1].upper()}{sizes[1:]}. {level}"


def _warning(card: Mapping[str, Any]) -> str | None:
    """Return the warning of the intervals of results and subgroups; ``None`` if they may be trusted."""
    return warning_of(_of(card, "data", "resampled"))


def interval_method(card: Mapping[str, Any]) -> str | None:
    """How uncertainty is stated."""
    drawn = _of(card, "data", "resampled")
    if _of(card, "results") is None:
        return None
    by = f" over {drawn['n']} {drawn['by']}s" if drawn else ""
    how = f"95 % percentile bootstrap intervals{by}; shares of decisions have Wilson intervals."
    return _sentences(how, _warning(card))


def accuracy(card: Mapping[str, Any]) -> str | None:
    """Headline results with their intervals."""
    found = {entry["name"]: entry for entry in _of(card, "results", "numbers") or []}
    chosen = [found[name] for name in _of(card, "results", "headline") or [] if name in found]
    said = "; ".join(_measured(entry) for entry in chosen if entry["value"] is not None)
    return _sentences(said, _warning(card)) if said and _warning(card) else said or None


def _measured(entry: Mapping[str, Any]) -> str:
    ends = entry["ci95"]
    interval = f" (95 % interval {number(ends[0])} to {number(ends[1])})" if ends else ""
    return f"{entry['title']} {number(entry['value'])}{interval}"


def calibration_fitted(card: Mapping[str, Any]) -> str | None:
    """What was fitted for a site, and what it changed."""
    words = " ".join(_of(card, "calibration", "words") or [])
    fitted = _of(card, "calibration", "fitted")
    section = (_of(card, "calibration", "fitted", "fitted_on") or {}).get("section", "validation") if fitted else ""
    return words or (fitted and f"Probabilities and thresholds were fitted on {section} samples (calibration.json).")


def subgroup_results(card: Mapping[str, Any]) -> str | None:
    """Which subgroups differ from the rest beyond their interval."""
    table = {key: groups for key, groups in (_of(card, "subgroups") or {}).items() if not is_unknown(groups)}
    if not table:
        return None
    compared, found = 0, []
    for key, groups in table.items():
        for group in groups:
            for entry in group["against_rest"]:
                if entry["ci95"]:
                    compared += 1
                    if excludes_zero(entry["ci95"]):
                        found.append(f"{key_title(key)} {group['name']}: {entry['title']} {entry['value']:+.3f}")
    listed = f": {'; '.join(found)}" if found else ""
    return _sentences(
        f"Measured by {', '.join(map(key_title, table))}. Of {compared} differences to all other samples, "
        f"{len(found)} exclude 0{listed} (about {expected_by_chance(compared)} would by chance).",
        _warning(card),
    )


def fairness(card: Mapping[str, Any]) -> str | None:
    """How subgroups are compared."""
    answer = subgroup_results(card)
    return answer and f"Each subgroup is measured by itself and against the rest. {answer}"


def outputs(card: Mapping[str, Any]) -> str | None:
    """What the model gives."""
    decisions = _of(card, "decisions")
    if not decisions:
        return None
    kinds = sorted({name for counts in decisions.values() for name in counts})
    return f"Calibrated probabilities, a confidence, and one of these decisions: {', '.join(kinds)}."


def poor_input(card: Mapping[str, Any]) -> str | None:
    """What happens to input that the model is not for."""
    rows = [row for table in card["elements"] for row in table["rows"] if row["measure"] == "outlier_auc"]
    measured = next((row for row in rows if row["value"] is not None and row["of"] is None), None)
    return measured and f"Outliers are rejected by a score. {_measured(measured)}."


def explanations(card: Mapping[str, Any]) -> str | None:
    """Methods of explanation, and those that failed a sanity check or are undecided in one."""
    methods = [method for method in card["methods"] if not method["control"]]
    if not methods:
        return None
    failed = [method["title"] for method in methods if method["failed"]]
    others = [method for method in methods if not method["failed"]]
    undecided = [method["title"] for method in others if undecided_checks(card, method["name"])]
    measured = [table["title"] for table in card["elements"] if table["missing"] is None]
    return _sentences(
        f"Methods: {', '.join(method['title'] for method in methods)}.",
        f"Measured against controls: {', '.join(measured)}." if measured else None,
        warning_of(_of(card, "elements_resampled")) if measured else None,
        f"Failed a sanity check: {', '.join(failed)}." if failed else None,
        f"Undecided in a sanity check: {', '.join(undecided)}." if undecided else None,
    )


def software(card: Mapping[str, Any]) -> str | None:
    """Versions of the packages."""
    found = _of(card, "provenance", "evaluating") or {}
    packages = found.get("packages") or {}
    versions = [f"{name} {version}" for name, version in packages.items() if version]
    python = found.get("python")
    return ", ".join([*([f"Python {python}"] if python else []), *versions]) or None


def code(card: Mapping[str, Any]) -> str | None:
    """Revision and command."""
    found = _of(card, "provenance", "evaluating") or {}
    revision, command = found.get("git_revision"), found.get("command")
    return _sentences(revision and f"Revision {revision}.", command and f"Command: `{command}`.")
