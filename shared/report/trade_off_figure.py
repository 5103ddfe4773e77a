"""Result against the quality of explanations, drawn: one column of points for each model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style
from shared.report.trade_off import Model, Point, TradeOff

__all__ = ["trade_off_figure"]

SERIES = ("right", "wrong", "good", "outlier")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
#: chance levels that differ by less are drawn as one line
ALIKE = 0.01


def trade_off_figure(trade_off: TradeOff, name: str) -> str | None:
    """Draw the models: those whose explanations were measured by both numbers, the others below, by their result.

    Of each model the best method stands out, with intervals in both directions; it is hollow if it failed a sanity
    check, which it does only where all methods of the model failed. Its other methods are pale points above and below,
    hollow if they failed one, controls crosses. Dashed lines are what chance reaches.

    Args:
        trade_off: the models.
        name: unique in the page.

    Returns:
        The drawing; ``None`` where the explanations of no model were measured.
    """
    measured = [model for model in trade_off.models if model.shown is not None]
    others = [model for model in trade_off.models if model.shown is None]
    if not measured:
        return None
    with style():
        figure = plain(6.4, 4.2 + 0.12 * len(trade_off.models) + (0.9 if others else 0.0))
        grid = figure.add_gridspec(2 if others else 1, 1, height_ratios=[6, 1] if others else [1])
        axes = figure.add_subplot(grid[0])
        looks = {id(model): _look(model, index) for index, model in enumerate([*measured, *others])}
        for model in measured:
            _draw(axes, model, *looks[id(model)])
        axes.set(ylabel=plain_text(trade_off.quality))
        _chance(axes, [model.qualities[str(model.shown)].chance for model in measured], across=True)
        lowest = axes
        if others:
            lowest = figure.add_subplot(grid[1], sharex=axes)
            lowest.set(yticks=[], ylim=(-0.6, len(others) - 0.4), ylabel="not\nmeasured")
            axes.tick_params(labelbottom=False)
            for place, model in enumerate(others):
                _error_bar(lowest, model.result, Point(place, None), *looks[id(model)], plain_text(model.name, 60))
        lowest.set(xlabel=plain_text(trade_off.result))
        for part in {axes, lowest}:
            _chance(part, [model.result.chance for model in trade_off.models], across=False)
            part.grid(linewidth=0.6, axis="both" if part is axes else "x")
            part.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=1 if len(trade_off.models) < 6 else 2, fontsize=8)
    return inline_svg(figure, name, _in_words(trade_off, measured, others))


def _in_words(trade_off: TradeOff, measured: Sequence[Model], others: Sequence[Model]) -> str:
    parts = [
        f"{plain_text(model.name, 40)} {model.result.value:.3f} and {model.qualities[str(model.shown)].value:.3f}"
        + (" (failed a sanity check)" if model.best is None else "")
        for model in measured
    ]
    parts += [f"{plain_text(model.name, 40)} {model.result.value:.3f}, explanations not measured" for model in others]
    return (
        f"{plain_text(trade_off.quality)} of the best explanation over {plain_text(trade_off.result)}: "
        f"{'; '.join(parts)}."
    )


def _look(model: Model, index: int) -> tuple[str, str]:
    """Return colour and marker of a model."""
    return COLOURS["muted" if model.untrained else SERIES[index % len(SERIES)]], MARKERS[index % len(MARKERS)]


def _draw(axes: Any, model: Model, colour: str, marker: str) -> None:
    shown = str(model.shown)
    rest = [name for name in model.qualities if name != shown]
    for names, look in (
        ([name for name in rest if name not in model.controls | model.failed], {"marker": ".", "s": 28}),
        ([name for name in rest if name in model.failed], {"marker": "o", "s": 16, "facecolors": "none"}),
        ([name for name in rest if name in model.controls], {"marker": "x", "s": 18}),
    ):
        values = [model.qualities[name].value for name in names]
        paint = {"edgecolors": colour} if "facecolors" in look else {"color": colour}
        axes.scatter([model.result.value] * len(values), values, alpha=0.5, linewidths=1, **look, **paint)
    failed = model.best is None
    label = f"{plain_text(model.name, 40)}: {plain_text(shown, 30)}{' (failed a sanity check)' if failed else ''}"
    _error_bar(axes, model.result, model.qualities[shown], colour, marker, label, hollow=failed)


def _error_bar(axes: Any, x: Point, y: Point, colour: str, marker: str, label: str, hollow: bool = False) -> None:
    axes.errorbar(
        x.value,
        y.value,
        xerr=_lengths(x.value, x.interval),
        yerr=_lengths(y.value, y.interval),
        fmt=marker,
        color=colour,
        markerfacecolor="none" if hollow else colour,
        markersize=8,
        linewidth=1,
        capsize=2,
        label=label,
    )


def _chance(axes: Any, levels: Iterable[float | None], across: bool) -> None:
    """Draw what chance reaches: a line where that is the same for all, else a band from the lowest to the highest."""
    known = [level for level in levels if level is not None]
    if not known:
        return
    low, high = min(known), max(known)
    line, span = (axes.axhline, axes.axhspan) if across else (axes.axvline, axes.axvspan)
    if high - low < ALIKE:
        line((low + high) / 2, color=COLOURS["muted"], linestyle="--", linewidth=1)
    else:
        span(low, high, color=COLOURS["band"], alpha=0.5, linewidth=0)


def _lengths(value: float, interval: Sequence[float] | None) -> np.ndarray | None:
    """Return the lengths of an error bar, ``(2, 1)``; an end on the wrong side of the value has none."""
    if interval is None:
        return None
    return np.array([[max(value - interval[0], 0.0)], [max(interval[1] - value, 0.0)]])
