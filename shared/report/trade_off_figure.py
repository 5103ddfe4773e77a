"""Result against the quality of explanations, drawn: one column of points for each model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.report.svg import COLOURS, inline_svg, plain, plain_text, style
from shared.report.trade_off import Model, TradeOff

__all__ = ["trade_off_figure"]

SERIES = ("right", "wrong", "good", "outlier")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def trade_off_figure(trade_off: TradeOff, name: str) -> str | None:
    """Draw the models whose explanations were measured.

    Of each model the best method stands out, with intervals in both directions; its other methods are pale points above
    and below, controls crosses.

    Args:
        trade_off: the models.
        name: unique in the page.

    Returns:
        The drawing; ``None`` where the explanations of no model were measured.
    """
    models = [model for model in trade_off.models if model.best is not None]
    if not models:
        return None
    with style():
        figure = plain(6.4, 4.2 + 0.12 * len(models))
        axes = figure.add_subplot()
        for index, model in enumerate(models):
            colour = COLOURS["muted" if model.untrained else SERIES[index % len(SERIES)]]
            marker = MARKERS[index % len(MARKERS)]
            _others(axes, model, colour)
            best = model.qualities[str(model.best)]
            axes.errorbar(
                model.result.value,
                best.value,
                xerr=_lengths(model.result.value, model.result.interval),
                yerr=_lengths(best.value, best.interval),
                fmt=marker,
                color=colour,
                markersize=8,
                linewidth=1,
                capsize=2,
                label=f"{plain_text(model.name, 40)}: {plain_text(str(model.best), 30)}",
            )
        axes.set(xlabel=plain_text(trade_off.result), ylabel=plain_text(trade_off.quality))
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=1 if len(models) < 6 else 2, fontsize=8)
    said = "; ".join(
        f"{plain_text(model.name, 40)} {model.result.value:.3f} and {model.qualities[str(model.best)].value:.3f}"
        for model in models
    )
    text = f"{plain_text(trade_off.quality)} of the best explanation over {plain_text(trade_off.result)}: {said}."
    return inline_svg(figure, name, text)


def _others(axes: object, model: Model, colour: str) -> None:
    for names, look in (
        ([name for name in model.qualities if name not in model.controls], {"marker": ".", "alpha": 0.5, "s": 28}),
        (sorted(model.controls), {"marker": "x", "alpha": 0.5, "s": 18}),
    ):
        values = [model.qualities[name].value for name in names if name != model.best]
        axes.scatter([model.result.value] * len(values), values, color=colour, linewidths=1, **look)  # type: ignore[attr-defined]


def _lengths(value: float, interval: Sequence[float] | None) -> np.ndarray | None:
    """Return the lengths of an error bar, ``(2, 1)``; an end on the wrong side of the value has none."""
    if interval is None:
        return None
    return np.array([[max(value - interval[0], 0.0)], [max(interval[1] - value, 0.0)]])
