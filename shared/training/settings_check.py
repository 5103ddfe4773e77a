"""What settings must fulfil before a command runs: an effect, a number that can be, a class that exists.

MONAI takes every key on the command line as a new one if the config has none of that name, so that a misspelt
``--lerning_rate`` changes nothing and says nothing.
"""

from __future__ import annotations

import difflib
import inspect
import pydoc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from shared.data.errors import DataError
from shared.training.setting_ranges import check_ranges

__all__ = ["calling_parser", "check_chosen_classes", "check_effect", "check_settings"]

SEPARATOR = "::"
# what MONAI itself reads or adds, whatever the bundle's files say
OF_MONAI = ("_meta_", "initialize", "run", "finalize", *DEFAULT_MLFLOW_SETTINGS["configs"])


def calling_parser() -> ConfigParser | None:
    """Return the parser whose expression is being evaluated; ``None`` outside of any.

    MONAI tells an expression nothing of the config that it stands in, so the call stack is asked.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if isinstance(found := frame.f_locals.get("self"), ConfigParser):
            return found
        frame = frame.f_back
    return None


def check_settings(parser: ConfigParser) -> None:
    """Refuse settings that have no effect, are numbers out of range, or name a class that does not exist.

    Args:
        parser: of a bundle's command, macros resolved.

    Raises:
        DataError: see :func:`check_effect`, :func:`~shared.training.setting_ranges.check_ranges` and
            :func:`check_chosen_classes`.
    """
    if "bundle_root" in parser:
        check_effect(parser, Path(parser.get_parsed_content("bundle_root")) / "configs")
    check_ranges(parser)
    check_chosen_classes(parser)


def check_effect(parser: ConfigParser, folder: Path) -> None:
    """Refuse keys that none of the bundle's files in use has and that nothing refers to.

    A file of the bundle is in use if the config has all of its keys. A user's own overlay may bring keys of its own, as
    long as something refers to them, and commands (lists of expressions). Below components, which refuse unknown
    arguments themselves, nothing is checked.

    Args:
        parser: of the command.
        folder: the bundle's ``configs``.

    Raises:
        DataError: naming each such key and the known one that is most like it.
    """
    in_use: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        content = ConfigParser.load_config_file(file)
        listed = in_use if content and all(key in parser for key in content) else elsewhere
        listed |= {place: file.name for place, _ in _places(content)}
    if not in_use:
        return
    referred = set(_references(parser.get()))
    useless: list[str] = []
    for place, value in _places(parser.get()):
        new = place not in in_use and place.split(SEPARATOR)[0] not in OF_MONAI
        below_another = any(place.startswith(other + SEPARATOR) for other in useless)
        if new and not below_another and not _is_command(value) and not _is_referred(place, referred):
            useless.append(place)
    if useless:
        raise DataError("; ".join(_complaint(place, in_use, elsewhere) for place in useless))


def check_chosen_classes(parser: ConfigParser) -> None:
    """Refuse a component whose class is put together from a setting, if there is no such class.

    Args:
        parser: of the command.

    Raises:
        DataError: naming the setting and the public names of the module, from its ``__all__``.
    """
    for place, expression in _expressions_of_targets(parser.get()):
        target = parser.get_parsed_content(f"{place}{SEPARATOR}_target_")
        if not isinstance(target, str) or "." not in target or pydoc.locate(target) is not None:
            continue
        module_name, _, name = target.rpartition(".")
        module = pydoc.locate(module_name)
        if module is None:
            continue  # not the setting is wrong but the config, which MONAI says
        settings = [key for key in ReferenceResolver.match_refs_pattern(expression) if key in parser]
        found = ", ".join(getattr(module, "__all__", ())) or "none"
        raise DataError(f"{' or '.join(map(_shown, settings)) or place}: {module_name} has no {name!r}; known: {found}")


def _complaint(place: str, in_use: Mapping[str, str], elsewhere: Mapping[str, str]) -> str:
    """Say what is wrong with a key, given the file of each key in use and of each other one."""
    close = difflib.get_close_matches(_shown(place), map(_shown, in_use), n=1)
    if place in elsewhere:
        advice = f"it is a key of {elsewhere[place]}, which is not in use here"
    elif close:
        advice = f"did you mean {close[0]!r}?"
    else:
        advice = "take it away, or refer to it in a config of your own"
    files = ", ".join(dict.fromkeys(in_use.values()))
    return f"the setting {_shown(place)!r} has no effect: it is no key of {files}, and nothing refers to it; {advice}"


def _shown(place: str) -> str:
    return place.replace(SEPARATOR, "#")


def _is_command(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, str) and item.startswith("$") for item in value)


def _is_referred(place: str, referred: set[str]) -> bool:
    """Tell whether something refers to a key, to a part of it, or to what it is a part of."""
    parts = place.split(SEPARATOR)
    above = {SEPARATOR.join(parts[:length]) for length in range(1, len(parts) + 1)}
    return bool(above & referred) or any(other.startswith(place + SEPARATOR) for other in referred)


def _places(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Give every key of nested mappings that are no components, as ``outer::inner``, with its value."""
    for key, value in config.items():
        place = above + ReferenceResolver.normalize_id(key)
        yield place, value
        if isinstance(value, Mapping) and "_target_" not in value:
            yield from _places(value, place + SEPARATOR)


def _references(value: Any) -> Iterator[str]:
    """Give the keys that expressions and references anywhere in a config name."""
    if isinstance(value, str):
        yield from ReferenceResolver.match_refs_pattern(value)
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _references(item)


def _expressions_of_targets(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Give the place of every component whose class is an expression, with that expression."""
    if isinstance(value, Mapping) and str(value.get("_target_", "")).startswith("$"):
        yield place, value["_target_"]
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _expressions_of_targets(item, f"{place}{SEPARATOR}{key}" if place else str(key))
