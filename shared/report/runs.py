"""Runs that are set beside each other: an evaluation folder, a bundle or a card, and what it is called."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.report.card.content import card_content
from shared.report.card.fields import warning_of
from shared.report.card.write import read_card
from shared.report.sources import Sources, find_folders, read_sources

__all__ = ["Run", "name_runs", "read_run"]


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        name: what it is called beside others.
        card: its content, see :mod:`shared.report.card.content`.
        path: where it was read from.
        sources: its files; ``None`` where there is a card alone, of which nothing can be compared sample by sample.
    """

    name: str
    card: Mapping[str, Any]
    path: Path
    sources: Sources | None = None

    @property
    def methods(self) -> dict[str, Mapping[str, Any]]:
        """Explanation methods by key."""
        return {method["name"]: method for method in self.card["methods"]}

    @property
    def samples(self) -> dict[tuple[str, str | None, str | None], Mapping[str, Any]]:
        """Values of single samples behind the numbers of methods, by measure, method and what the measure is of."""
        content = None if self.sources is None else self.sources.interpretability
        return {
            (row["measure"], row.get("method"), row.get("of")): row["samples"]
            for row in (content or {}).get("rows", [])
            if row.get("samples")
        }

    @property
    def warnings(self) -> dict[str, str]:
        """Why intervals are not to be trusted, by ``result`` and ``explanations``; empty if they may be."""
        drawn = {"result": self.card["data"].get("resampled"), "explanations": self.card.get("elements_resampled")}
        return {what: said for what, entry in drawn.items() if (said := warning_of(entry))}


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run; from a folder it is read anew, whatever card lies there.

    Args:
        path: an evaluation folder, a bundle that has one, or a card.

    Raises:
        DataError: if there is no evaluation, or a file is malformed.
    """
    place = Path(path)
    if place.is_file():
        card = read_card(place)
        return Run(str(card["bundle"]), card, place)
    eval_dir, bundle_root = find_folders(place)
    sources = read_sources(eval_dir, bundle_root)
    card = card_content(sources)
    return Run(str(card["bundle"]), card, eval_dir, sources)


def name_runs(runs: Sequence[Run]) -> list[Run]:
    """Give runs of one name the parts of their paths that tell them apart, as few as do.

    Example:
        >>> runs = [Run("cells", {}, Path(path)) for path in ("/a/one/eval", "/a/two/eval")]
        >>> [run.name for run in name_runs(runs)]
        ['cells (one)', 'cells (two)']
    """
    paths = [[part for part in run.path.absolute().parts if part not in ("eval", "card.json")] for run in runs]
    named = []
    for run, parts in zip(runs, paths, strict=True):
        same = [other for other, twin in zip(paths, runs, strict=True) if twin.name == run.name and twin is not run]
        differing = [part for i, part in enumerate(parts) if any(i >= len(o) or o[i] != part for o in same)]
        named.append(replace(run, name=f"{run.name} ({'/'.join(differing)})") if same and differing else run)
    return named
