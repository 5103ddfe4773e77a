"""Judge images of an archive (PACS) over DICOMweb and store the results there. Run with --help for the arguments."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

REPOSITORY = Path(__file__).resolve().parents[1]
# the repository's own folder comes first, so that a fresh clone works before it is installed
sys.path.insert(0, str(REPOSITORY))

from shared.commands.bundle_parser import BundleArgument, bundle_parser  # noqa: E402
from shared.commands.overrides import parse_overrides  # noqa: E402
from shared.data.errors import DataError  # noqa: E402

if TYPE_CHECKING:
    from shared.dicomweb.archive import Archive
    from shared.dicomweb.routing import Routed

EPILOG = """
Credentials are read from the environment: DICOMWEB_USER and DICOMWEB_PASSWORD, or DICOMWEB_TOKEN (bearer), for
--store_server DICOMWEB_STORE_USER and so on; or from .netrc. They are written nowhere. Certificates are verified,
by REQUESTS_CA_BUNDLE where your hospital has its own authority.

OUTPUT/routing.csv says what became of each image: stored, already_stored (a run before), written (--no_store), left_out
or failed, with the reason. The same command again does what is missing. Fetched images are removed at the end.

Exit status: 0 if all went well, 1 if something failed for an image, 2 if nothing could be done.

Any other --KEY VALUE is passed on as a setting, by the keys of configs/inference.json, dicom.json and dicomweb.json:
  --ckpt_dir DIR   --dicom_overlays all   --unstated_body_part keep   --prepare_overrides#unknown_view keep
So is what makes the network, which must be what it was trained with; for the smaller one of the demonstration:
  --image_size 96 --init_features 16 --growth_rate 12 --block_config "[3, 4, 4]"

examples:
  python scripts/dicomweb.py chexpert_informer --server https://pacs.example.org/dicom-web --since 2026-03-01 \\
      --output OUT
  python scripts/dicomweb.py chexpert_informer --server http://127.0.0.1:8042/dicom-web --study 1.2.840.1 --output OUT
  python scripts/dicomweb.py chexpert_informer --server URL --study 1.2.840.1 --output OUT --ckpt_dir MODELS \\
      --image_size 96 --init_features 16 --growth_rate 12 --block_config "[3, 4, 4]"
  python scripts/dicomweb.py chexpert_informer --server URL --store_server URL2 --patient 4711 --deidentify \\
      --output OUT
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = bundle_parser(
        "dicomweb.py",
        BundleArgument(REPOSITORY, "dicomweb.json"),
        "Fetch images from an archive over DICOMweb, judge them with a bundle's `inferring`, and store "
        "structured reports and overlays in the studies of their images. Research software, not a medical device.",
        EPILOG,
    )
    parser.add_argument("--server", required=True, help="root of the DICOMweb service that has the images")
    parser.add_argument("--study", action="append", default=[], help="StudyInstanceUID; may be given several times")
    parser.add_argument("--patient", help="PatientID")
    parser.add_argument("--accession", help="accession number")
    parser.add_argument("--since", help="first day of the study, YYYY-MM-DD")
    parser.add_argument("--until", help="last day of the study, YYYY-MM-DD")
    parser.add_argument("--output", type=Path, required=True, help="folder for predictions, results and routing.csv")
    parser.add_argument("--no_store", action="store_true", help="write results to OUTPUT and store nothing")
    parser.add_argument("--store_server", help="store results here (default: --server)")
    parser.add_argument("--deidentify", action="store_true", help="results name nobody; needs DICOM_PSEUDONYM_KEY")
    parser.add_argument("--allow_http", action="store_true", help="send data unencrypted to another machine")
    parser.add_argument("--timeout_s", type=float, default=60.0, help="longest time without a byte (default: 60)")
    parser.add_argument("--attempts", type=int, default=3, help="how often a request is tried (default: 3)")
    return parser


def open_archives(known: argparse.Namespace) -> tuple[Archive, Archive | None]:
    """Return where images are, and where results go, if anywhere.

    Raises:
        DataError: if an address or credentials cannot be used.
    """
    from shared.dicomweb.archive import Archive
    from shared.dicomweb.session import open_session

    def opened(server: str, prefix: str) -> Archive:
        session = open_session(server, prefix, known.attempts, known.allow_http)
        return Archive(server, session, known.timeout_s)

    source = opened(known.server, "DICOMWEB")
    if known.no_store:
        return source, None
    return source, opened(known.store_server, "DICOMWEB_STORE") if known.store_server else source


def tell(found: Sequence[Routed], output: Path) -> int:
    """Print what became of the images; return the exit code."""
    states = Counter(image.state for image in found)
    for image in found:
        if image.state == "failed":
            print(f"failed: {image.instance or image.series}: {image.reason}", file=sys.stderr)
    print(f"{', '.join(f'{number} {state}' for state, number in states.items())}: see {output / 'routing.csv'}")
    if found and states["left_out"] == len(found):
        reasons = Counter(image.reason for image in found)
        print(f"error: none of {len(found)} images is judged: {reasons.most_common(1)[0][0]}", file=sys.stderr)
        return 2
    return 1 if states["failed"] else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    parser = make_parser()
    known, rest = parser.parse_known_args(arguments)
    try:
        overrides = parse_overrides(rest)
        if known.deidentify:
            overrides["deidentify"] = True
        # takes seconds, which --help and a mistyped argument need not wait for
        from shared.dicomweb.query import Query
        from shared.dicomweb.routing import Router

        # it tells what it takes by default
        logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
        query = Query(tuple(known.study), known.patient, known.accession, known.since, known.until)
        source, target = open_archives(known)
        router = Router(known.bundle, source, target, known.output.resolve(), overrides)
        return tell(router(query), known.output)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
