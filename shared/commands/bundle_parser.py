"""The head of a command line: the bundle that a command works on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

__all__ = ["BundleArgument", "bundle_parser"]


class BundleArgument:
    """Type of a command's argument: a bundle's name, which becomes its folder.

    Args:
        repository: folder in which ``bundles`` lies.
        config: the file in a bundle's ``configs`` without which the command has nothing to do there.
        elsewhere: also take the folder of a bundle that lies somewhere else.
    """

    def __init__(self, repository: str | os.PathLike[str], config: str, elsewhere: bool = True) -> None:
        self.folder = Path(repository) / "bundles"
        self.config = config
        self.elsewhere = elsewhere

    @property
    def names(self) -> list[str]:
        """Names of the repository's bundles that the command works on."""
        return sorted(path.parents[1].name for path in self.folder.glob(f"*/configs/{self.config}"))

    @property
    def help(self) -> str:
        """What the argument may be."""
        return f"one of: {', '.join(self.names)}" + ("; or a bundle's folder" if self.elsewhere else "")

    def __call__(self, given: str) -> Path:
        """Return the folder of the bundle that was given.

        Raises:
            argparse.ArgumentTypeError: if there is no such bundle, or none with that config.
        """
        if given in self.names:
            return self.folder / given
        if self.elsewhere and (Path(given) / "configs" / self.config).is_file():
            return Path(given).resolve()
        if self.elsewhere and Path(given).is_dir():
            found = f"{given} has no configs/{self.config}"
        else:
            found = f"unknown bundle '{given}'"
        raise argparse.ArgumentTypeError(f"{found}; known are: {', '.join(self.names)}")


def bundle_parser(
    program: str, bundle: BundleArgument, description: str | None, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Return the parser of a command whose first argument is a bundle.

    Options are not abbreviated, since what the parser does not know may be a setting of the bundle: see
    :func:`shared.commands.overrides.parse_overrides`.

    Args:
        program: the command's file, as its help names it.
        bundle: which bundles it takes.
        description: what it does.
        epilog: what stands below the options: how settings are given, examples. Its lines stay as they are.

    Returns:
        The parser, which the command gives its own options; the bundle's folder is ``bundle`` of what it parses.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("bundle", type=bundle, help=bundle.help)
    return parser
