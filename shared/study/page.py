"""A study's table as CSV (one line per number), Markdown and a self-contained HTML page."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.data.files import atomic_path
from shared.study.table import Table, html_cell, long_frame, markdown

__all__ = ["write_table"]


def write_table(folder: Path, table: Table) -> list[Path]:
    """Write ``table.csv``, ``table.md`` and ``table.html``.

    Args:
        folder: to write to; holds the table's pictures, which become part of the page.
        table: to write.

    Returns:
        The files.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    embedded = {
        picture.name: base64.b64encode((folder / picture.name).read_bytes()).decode() for picture in table.pictures
    }
    page = environment.get_template("table.html.j2").render(table=table, cell=html_cell, embedded=embedded)
    for name, text in {"table.md": markdown(table), "table.html": page}.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with atomic_path(folder / "table.csv") as temporary:
        long_frame(table.sections).to_csv(temporary, index=False)
    return [folder / name for name in ("table.csv", "table.md", "table.html")]
