"""Explained slides: thumbnail, heat-maps and gallery of tiles of each."""

from __future__ import annotations

from typing import Any

from shared.report.gallery import explained_count
from shared.report.slides import failed_slides, read_slides
from shared.report.sources import Sources

__all__ = ["slide_section"]

LESION_WORDS = {
    "macro": ("macrometastasis", "macrometastases"),
    "micro": ("micrometastasis", "micrometastases"),
    "itc": ("cluster of isolated tumour cells", "clusters of isolated tumour cells"),
}


def slide_section(sources: Sources) -> dict[str, Any] | None:
    """Explained slides; ``None`` if none was explained, and none failed."""
    slides, failed = read_slides(sources), failed_slides(sources)
    if not slides and not failed:
        return None
    content = sources.explanations or {}
    methods = content.get("methods") or {}
    return {
        "slides": [(slide, _lesions_in_words(slide.lesions)) for slide in slides],
        "positive": str(content.get("positive") or (sources.classes or ["the class"])[-1]),
        "failed": failed,
        "total": explained_count(sources, "slide"),
        "refused": {name: str(entry["refused"]) for name, entry in methods.items() if entry.get("refused")},
        "blank": any(slide.missing for slide in slides),
        "truth": any(slide.lesions for slide in slides),
    }


def _lesions_in_words(lesions: Any) -> str:
    """Say what is annotated: ``1 macrometastasis (4.10 mm), 2 micrometastases (0.65, 0.31 mm)``."""
    parts = []
    for kind, (one, several) in LESION_WORDS.items():
        extents = [lesion.extent_um / 1000 for lesion in lesions or () if lesion.kind == kind]
        if extents:
            listed = ", ".join(f"{extent:.2f}" for extent in extents[:5]) + (" …" if len(extents) > 5 else "")
            parts.append(f"{len(extents)} {one if len(extents) == 1 else several} ({listed} mm)")
    return ", ".join(parts)
