"""Build ``eval/report.html`` and the card beside it from whatever evaluating and explaining have written."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.report.card.write import write_card
from shared.report.page import render_page
from shared.report.sections.fitted import why_no_calibration
from shared.report.sources import read_sources

__all__ = ["build_report"]

logger = logging.getLogger("report")


def build_report(
    eval_dir: str | os.PathLike[str],
    bundle_root: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    calibration_file: str | os.PathLike[str] | None = None,
    replace_without_calibration: bool = True,
) -> Path:
    """Write the report, and in its folder ``card.json`` with what is rendered from it; whole, or not at all.

    A config calls it as its last item::

        "$report.build_report(@output_dir, @bundle_root, calibration_file=@calibration_file)"

    Args:
        eval_dir: folder with ``metrics.json``, ``predictions.csv`` and ``explanations/index.json``, each optional.
        bundle_root: bundle with ``configs/metadata.json`` and ``models/calibration.json``; by default the folder above
            ``eval_dir`` if that is a bundle.
        output: HTML file to write; by default ``report.html`` in ``eval_dir``.
        calibration_file: the calibration that the results were made with, where it is not the bundle's. One that
            belongs to other weights than the results is left out, and the page says so.
        replace_without_calibration: whether an older page may be replaced although the calibration that the results
            were made with is not at hand.

    Returns:
        The file written.

    Raises:
        DataError: if there is nothing to report, a file is malformed (names file and key), or an older page would be
            replaced by one that lacks the calibration.
    """
    target = Path(output) if output is not None else Path(eval_dir) / "report.html"
    sources = read_sources(eval_dir, bundle_root, calibration_file)
    lacks_calibration = sources.calibration is None and why_no_calibration(sources)
    if lacks_calibration and target.exists() and not replace_without_calibration:
        raise DataError(
            f"{target}: is kept, for a new page would lack the calibration. {lacks_calibration} To replace it all the "
            "same, give --without-calibration."
        )
    logger.info(f"building {target}")
    page = render_page(sources)
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    write_card(sources, target.parent)
    logger.info(f"{target}: written")
    return target
