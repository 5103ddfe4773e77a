"""The table over bundles and methods as Markdown: what to use for which purpose, and every method by every element."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.evaluation.interpretability.measures import ELEMENT_TITLES, ELEMENTS
from shared.report.card.fields import warning_of
from shared.report.card.model_card import estimate_text
from shared.report.formats import DASH, number
from shared.report.markdown import markdown_table, markdown_text
from shared.report.method_scores import Lead, Score
from shared.report.purposes import PURPOSES, Choice, choices
from shared.report.runs import Run
from shared.report.wording import failed_in_words

__all__ = ["READING", "purpose_rows", "purposes_markdown"]

READING = (
    "One measure stands for each purpose; values with 95 % intervals; of several things that it was taken of, the "
    "worst. Where the cause lies is judged by the top of the ranking (rank accuracy of maps, NDCG of instances): maps "
    "that are zero on the background tie there, and an area under the curve counts each tie half. What a prediction "
    "rests on is judged by the share of the attribution on the cause. What the next measure of the same element says "
    "stands beside it, with the rank correlation of the two orders of methods: it disagrees where it puts another "
    "method ahead beyond the interval of the difference, and the choice is then one of the measure too; where that "
    "interval includes 0, it does not decide. Maps and values of a bag's instances are judged apart: a share of pixels "
    "is none of "
    "instances. The element tables of each run hold all measures. "
    "“Sure” means: better than chance and, of where the cause lies, of what the prediction rests on and of what "
    "changes it, better than every control, beyond the interval of the difference, on ten samples at least. A method "
    "that failed a sanity check is never proposed; of one that a check neither passes nor fails, and of intervals that "
    "are not to be trusted, nothing is sure. Methods are compared on the same samples (“paired”) where explaining kept "
    "their values; else by their intervals: what these tell apart is apart, what they do not may yet be."
)
HEADER = ("to see", "use", "measured by", "value", "how sure", "by a second measure")


def purpose_rows(run: Run) -> list[tuple[str, ...]]:
    """Return a row of the columns ``HEADER`` for each purpose."""
    return [_chosen(run, choice) for choice in choices(run)]


def purposes_markdown(runs: Sequence[Run]) -> str:
    """Return three tables over all runs: the choice for each purpose in brief and in full, and all methods.

    In brief, a purpose has a row and a run has a column; in full, each choice has a row. Of all methods stand the
    leading measures.
    """
    found = [(run, choices(run)) for run in runs]
    chosen = [(run.name, *_chosen(run, choice)) for run, of_run in found for choice in of_run]
    methods = [line for run, of_run in found for line in _methods(run, of_run)]
    titles = [ELEMENT_TITLES[element] for element in ELEMENTS]
    lines = [
        "### Which explanation for which purpose",
        "",
        *_warnings(runs),
        *markdown_table(("to see", *(run.name for run in runs)), _brief(found)),
        "",
        "### The choices in full",
        "",
        READING,
        "",
        *markdown_table(("bundle", *HEADER), chosen),
        "",
        "### Every method",
        "",
        *_measures(found),
        "",
        *markdown_table(("bundle", "method", *titles, "failed sanity checks"), methods),
    ]
    return "\n".join(lines) + "\n"


def _brief(found: Sequence[tuple[Run, Sequence[Choice]]]) -> Iterable[tuple[str, ...]]:
    """Yield a row for each purpose: what to use in each run, and whether that is sure."""
    for element in ELEMENTS:
        cells = []
        for run, of_run in found:
            warned = _warning(run) is not None
            said = [(choice.kind, _verdict(choice, warned)) for choice in of_run if choice.element == element]
            cells.append("; ".join(f"{kind}: {verdict}" if kind else verdict for kind, verdict in said))
        yield PURPOSES[element], *cells


def _verdict(choice: Choice, warned: bool) -> str:
    """Return the method to use, with how sure that is in a word or two."""
    if choice.best is None:
        return DASH if choice.measure is None else "none (all failed a sanity check)"
    if choice.doubts:
        return "none"
    if choice.few:
        sure = f"{choice.best.entry.get('n')} samples only"
    else:
        sure = "not sure" if choice.undecided or warned else "sure"
    return f"{choice.best.title} ({sure})"


def _chosen(run: Run, choice: Choice) -> tuple[str, ...]:
    if choice.measure is None:
        (table,) = (table for table in run.card["elements"] if table["element"] == choice.element)
        return choice.purpose, DASH, "", "", table["missing"] or "not measured", ""
    if choice.best is None:
        return choice.purpose, "none", choice.measure.title, "", "every method failed a sanity check", ""
    use = choice.best.title if not choice.doubts else f"none (the best: {choice.best.title})"
    return (
        choice.purpose,
        use,
        choice.measure.title,
        _number(choice.best),
        _sure(choice, _warning(run) is not None),
        _second(choice),
    )


def _second(choice: Choice) -> str:
    """Say whether a second measure of the element would choose the same method."""
    second = choice.second
    if second is None or choice.best is None:
        return ""
    correlation = number(second.agreement, 2)
    agreement = "" if second.agreement is None else f" (rank correlation {correlation}, {second.methods} methods)"
    if second.best.method["name"] == choice.best.method["name"]:
        return f"the same by {second.measure.title}{agreement}"
    if not second.judges:
        others = f"of the others the best: {second.best.title}, {_number(second.best)}"
        return f"{second.measure.title} was not taken of it; {others}{agreement}"
    ahead = (
        "no interval of the difference" if second.lead is None else f"{_lead(second.lead)} ahead{_paired(second.lead)}"
    )
    verdict = "disagrees" if second.disagrees else "does not decide"
    return f"{verdict}: {second.best.title} by {second.measure.title}, {_number(second.best)}, {ahead}{agreement}"


def _warning(run: Run) -> str | None:
    """Return why the intervals of a run's elements are not to be trusted; ``None`` if they may be."""
    return warning_of(run.card.get("elements_resampled"))


def _warnings(runs: Sequence[Run]) -> list[str]:
    """Return a line for each run whose intervals are not to be trusted, and an empty one below."""
    found = [f"- **Warning.** {markdown_text(f'{run.name}: {said}')}" for run in runs if (said := _warning(run))]
    return [*found, ""] if found else []


def _sure(choice: Choice, warned: bool) -> str:
    n = choice.best.entry.get("n") if choice.best else None
    counted = "" if n is None else f" (N = {n})"
    failed = ", ".join(score.title for score in choice.failed)
    left_out = [f"better, but failed a sanity check: {failed}"] if failed else []
    if choice.doubts:
        return "; ".join([f"not: {', '.join(choice.doubts)}{counted}", *left_out])
    parts = [f"shown on {n} samples only"] if choice.few else []
    unsure = [f"undecided in a sanity check ({' and '.join(choice.undecided)})"] if choice.undecided else []
    unsure += ["intervals not to be trusted, see the warning"] if warned else []
    if unsure:
        parts.insert(0, f"not sure{counted}: {', '.join(unsure)}")
    elif not choice.few:
        parts = [f"sure{counted}"]
    parts += _next(choice)
    if choice.equals:
        parts.append(f"not told apart from {', '.join(score.title for score in choice.equals)}")
    return "; ".join([*parts, *left_out])


def _next(choice: Choice) -> list[str]:
    """Say which method is next, and how far behind it is."""
    score, lead = choice.runner_up or (None, None)
    if score is None or lead is None:
        return []
    return [f"next: {score.title}, {_lead(lead)} behind{_paired(lead)}"]


def _lead(lead: Lead) -> str:
    return f"{number(lead.value)} [{number(lead.interval[0])}, {number(lead.interval[1])}]"


def _paired(lead: Lead) -> str:
    return ", paired" if lead.paired else ""


def _number(score: Score) -> str:
    of = score.entry.get("of")
    return estimate_text(score.entry) + (f" ({of})" if of else "")


def _methods(run: Run, of_run: Sequence[Choice]) -> Iterable[tuple[str, ...]]:
    for name, method in run.methods.items():
        cells = []
        for element in ELEMENTS:
            by_element = [score for choice in of_run if choice.element == element for score in choice.scores]
            own = next((score for score in by_element if score.method["name"] == name), None)
            cells.append(DASH if own is None else _number(own))
        yield run.name, method["title"], *cells, " ".join(failed_in_words(method["failed"], method["control"]))


def _measures(found: Sequence[tuple[Run, Sequence[Choice]]]) -> Iterable[str]:
    """Yield a line for each run that says which measure stands in which column."""
    for run, of_run in found:
        named = [
            f"{ELEMENT_TITLES[choice.element]}{f', {choice.kind}' if choice.kind else ''}: {choice.measure.title} "
            f"({choice.measure.better} is better)"
            for choice in of_run
            if choice.measure is not None
        ]
        yield f"- {markdown_text(run.name)}: {markdown_text('; '.join(named) or 'nothing was measured')}"
