"""Chest X-rays of an archive, judged and stored back: against a real Orthanc, and against archives that fail."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess

import pandas as pd
import pydicom
import pytest
import torch

from shared.data.errors import DataError
from tests.bundles.chexpert_informer.archive_films import FILMS, STUDIES, film
from tests.bundles.chexpert_informer.conftest import FINDINGS as CLASSES
from tests.bundles.chexpert_informer.conftest import Collector, collected
from tests.conftest import REPOSITORY
from tests.orthanc import PASSWORD, USER, running_orthanc

pytest.importorskip("highdicom", reason="DICOM output needs highdicom: pip install 'monai-explainable-bundles[dicom]'")
pytest.importorskip("dicomweb_client", reason="not installed: pip install 'monai-explainable-bundles[dicom]'")

NETWORK = {"image_size": 32, "init_features": 4, "growth_rate": 4, "block_config": [1, 1]}
KEY = "a secret of this test"


@pytest.fixture(scope="module")
def scripts(bundle_scripts):
    return bundle_scripts("chexpert_informer")


@pytest.fixture(scope="module")
def models(scripts, tmp_path_factory):
    """A folder with the weights of a tiny network and a calibration of them."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = scripts("networks").ChestNetwork(
        5, **{key: value for key, value in NETWORK.items() if key != "image_size"}, dropout_prob=0.2
    )
    torch.save(network.state_dict(), folder / "model.pt")
    scripts("informer_calibration").InformerCalibration(
        Collector(collected(k=5)),
        bundle="chexpert_informer",
        alarm="informer_lrp",
        classes=CLASSES,
        image_size=32,
        weights_file=folder / "model.pt",
        calibration_file=folder / "calibration.json",
        settings=scripts("alarms.alarm").AlarmSettings(extended=()),
    )(None)
    return folder


@pytest.fixture(scope="module")
def command(models):
    """``scripts/dicomweb.py`` in this process: the exit code, and what became of the images."""
    spec = importlib.util.spec_from_file_location("dicomweb_command", REPOSITORY / "scripts" / "dicomweb.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(server, output, *arguments):
        settings = [part for key, value in NETWORK.items() for part in (f"--{key}", str(value))]
        common = ["chexpert_informer", "--server", server, "--output", str(output), "--ckpt_dir", str(models)]
        code = module.main([*common, *settings, "--dicom_overlays", "all", *arguments])
        routing = output / "routing.csv"
        table = pd.read_csv(routing, dtype=str, keep_default_na=False) if routing.is_file() else None
        return code, None if table is None else table.set_index("instance")

    return run


class Pacs:
    """Reads what an archive has, independently of what is tested."""

    def __init__(self, root):
        from dicomweb_client import DICOMwebClient
        from dicomweb_client.session_utils import create_session_from_user_pass

        self.root, self.client = root, DICOMwebClient(root, create_session_from_user_pass(USER, PASSWORD))

    def instances(self):
        return {entry["00080018"]["Value"][0] for entry in self.client.search_for_instances()}

    def study(self, uid):
        return self.client.retrieve_study(uid)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as root:
        archive = Pacs(root)
        archive.client.store_instances([film(kind) for kind in FILMS])
        yield archive


@pytest.fixture(scope="module")
def routed(pacs, command, tmp_path_factory):
    """The first run; returns its folder and table."""
    output = tmp_path_factory.mktemp("routed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DICOMWEB_USER", USER)
        patch.setenv("DICOMWEB_PASSWORD", PASSWORD)
        code, table = command(pacs.root, output, "--since", "2020-03-01", "--until", "2020-03-31")
    assert code == 0
    return output, table


@pytest.fixture
def credentials(monkeypatch):
    monkeypatch.setenv("DICOMWEB_USER", USER)
    monkeypatch.setenv("DICOMWEB_PASSWORD", PASSWORD)


def test_frontal_chest_x_rays_are_judged_and_nothing_else(routed):
    output, table = routed
    states = {kind: table.loc[uid, "state"] for kind, uid in FILMS.items()}
    assert states == {"frontal": "stored", "lateral": "left_out", "hand": "left_out", "nobody": "stored"}
    assert table.loc[FILMS["lateral"], "reason"] == "is no frontal view: LL"
    assert table.loc[FILMS["hand"], "reason"] == "is no chest X-ray: the part of the body is HAND"
    assert set(pd.read_csv(output / "predictions.csv", dtype=str)["id"]) == {FILMS["frontal"], FILMS["nobody"]}
    assert not list(output.glob(".images*")), "films are not left lying about"
    assert PASSWORD not in "".join(path.read_text(errors="replace") for path in output.rglob("*") if path.is_file())


def test_the_archive_has_report_and_overlays_of_the_same_patient_and_study(pacs, routed):
    output, table = routed
    for kind in ("frontal", "nobody"):
        source = film(kind)
        found = {str(one.SOPInstanceUID): one for one in pacs.study(STUDIES[kind])}
        report = found[table.loc[FILMS[kind], "report"]]
        overlays = [one for one in found.values() if one.Modality == "OT"]
        assert (report.Modality, len(overlays)) == ("SR", 5)
        for one in (report, *overlays):
            for name in ("PatientID", "PatientName", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber"):
                assert str(one.get(name) or "") == str(source.get(name) or ""), name
            assert one.StudyInstanceUID == STUDIES[kind]
            assert one.SeriesInstanceUID != source.SeriesInstanceUID
        for one in overlays:
            assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == FILMS[kind]
        evidence = {
            (str(series.SeriesInstanceUID), str(item.ReferencedSOPInstanceUID))
            for study in report.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        }
        assert evidence == {(str(one.SeriesInstanceUID), str(one.SOPInstanceUID)) for one in (source, *overlays)}
        local = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (output / "dicom").rglob("*.dcm")}
        assert {str(one.SOPInstanceUID) for one in (report, *overlays)} <= local


def test_what_was_read_back_is_valid(pacs, routed, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; apt-get install dicom3tools")
    for number, one in enumerate(pacs.study(STUDIES["frontal"])):
        if one.Modality not in ("SR", "OT"):
            continue
        one.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        done = subprocess.run(
            ["dciodvfy", str(tmp_path / f"{number}.dcm")], capture_output=True, text=True, errors="replace", check=False
        )
        assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")], done.stderr
    assert list(tmp_path.glob("*.dcm"))


def test_a_repeat_stores_and_computes_nothing(pacs, routed, command, credentials, tmp_path):
    before = pacs.instances()
    code, table = command(pacs.root, tmp_path, "--study", STUDIES["frontal"], "--study", STUDIES["nobody"])
    assert code == 0
    assert table["state"].value_counts().to_dict() == {"already_stored": 2, "left_out": 1}
    assert table.loc[FILMS["frontal"], "report"] == routed[1].loc[FILMS["frontal"], "report"]
    assert pacs.instances() == before
    assert not (tmp_path / "predictions.csv").exists()


def test_without_identity(pacs, routed, scripts, command, credentials, monkeypatch, tmp_path, capsys):
    arguments = ["--patient", "P1", "--deidentify"]
    assert command(pacs.root, tmp_path / "a", *arguments)[0] == 2
    assert "set the environment variable DICOM_PSEUDONYM_KEY" in capsys.readouterr().err
    monkeypatch.setenv("DICOM_PSEUDONYM_KEY", KEY)
    code, table = command(pacs.root, tmp_path / "b", *arguments)
    assert (code, table.loc[FILMS["frontal"], "state"]) == (0, "stored")
    pseudonyms = scripts("dicom_identity").Pseudonyms(KEY)
    found = pacs.study(pseudonyms.uid(STUDIES["frontal"]))
    assert sorted(one.Modality for one in found) == ["OT"] * 5 + ["SR"]
    for number, one in enumerate(found):
        one.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        raw = (tmp_path / f"{number}.dcm").read_bytes()
        for value in ("Jörg".encode(), "Jörg".encode("latin-1"), b"19600102", b"20200304", b"ACC7", b"1.2.826.0.1.1"):
            assert value not in raw
        assert one.PatientID.startswith("ANON")
        assert one.PatientIdentityRemoved == "YES"
    before = pacs.instances()
    _, table = command(pacs.root, tmp_path / "c", *arguments)
    assert table.loc[FILMS["frontal"], "state"] == "already_stored"
    assert pacs.instances() == before


def test_nothing_is_stored_unless_wanted(pacs, command, credentials, tmp_path):
    before = pacs.instances()
    code, table = command(pacs.root, tmp_path, "--accession", "ACC7", "--no_store")
    assert (code, table.loc[FILMS["frontal"], "state"]) == (0, "written")
    assert len(list((tmp_path / "dicom").rglob("*.dcm"))) == int(table.loc[FILMS["frontal"], "results"]) == 6
    assert pacs.instances() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "1.2.826.77"], "no study with a series of CR or DX matches"),
        (["--study", STUDIES["hand"]], "none of 1 images is judged: is no chest X-ray"),
        (["--since", "yesterday"], "since: 'yesterday' is no day, expected YYYY-MM-DD"),
        ([], "nothing is asked for"),
    ],
)
def test_questions_without_an_answer(pacs, command, credentials, tmp_path, capsys, arguments, message):
    assert command(pacs.root, tmp_path, *arguments)[0] == 2
    assert message in capsys.readouterr().err


def test_a_wrong_password_or_address(pacs, command, monkeypatch, tmp_path, capsys, caplog):
    monkeypatch.setenv("DICOMWEB_USER", USER)
    monkeypatch.setenv("DICOMWEB_PASSWORD", "falsches-wort")
    with caplog.at_level("DEBUG"):
        assert command(pacs.root, tmp_path, "--patient", "P1")[0] == 2
    said = capsys.readouterr().err
    assert "HTTP 401: refuses the credentials" in said
    assert "falsches-wort" not in said + caplog.text
    monkeypatch.setenv("DICOMWEB_PASSWORD", PASSWORD)
    assert command(pacs.root.replace("dicom-web", "dicomweb"), tmp_path, "--patient", "P1")[0] == 2
    assert "HTTP 404: has no such thing" in capsys.readouterr().err


class Failing:
    """An archive in memory in which some things go wrong."""

    server = "memory"

    def __init__(self, contents, broken=(), refused=()):
        self.contents, self.broken, self.refused, self.stored = contents, broken, refused, []

    def series(self, keys, modalities):
        from shared.dicomweb.archive import Series

        return [Series(str(one.StudyInstanceUID), str(one.SeriesInstanceUID)) for one in self.contents]

    def headers(self, series, keywords):
        return [one for one in self.contents if one.SeriesInstanceUID == series.series]

    def fetch(self, series, instance, path):
        from shared.dicomweb.archive import ArchiveError

        if instance in self.broken:
            raise ArchiveError("memory: the connection broke during the answer")
        (content,) = [one for one in self.contents if one.SOPInstanceUID == instance]
        pydicom.dcmwrite(path, content, enforce_file_format=True)

    def has(self, study, instance):
        return instance in self.stored

    def store(self, files):
        found = [pydicom.dcmread(file) for file in files]
        failed = {str(one.SOPInstanceUID): "out of resources (A700H)" for one in found if self._refuses(one)}
        self.stored += [uid for one in found if (uid := str(one.SOPInstanceUID)) not in failed]
        return failed

    def _refuses(self, one):
        return one.Modality in self.refused and any(
            item.ReferencedSOPInstanceUID == FILMS["frontal"] for item in one.get("SourceImageSequence", [])
        )


@pytest.fixture
def route(scripts, models):
    from shared.dicomweb.query import Query
    from shared.dicomweb.routing import Router

    def run(archive, output, **settings):
        overrides = {"ckpt_dir": str(models), "dicom_overlays": "all", **NETWORK, **settings}
        root = REPOSITORY / "bundles" / "chexpert_informer"
        return {image.instance: image for image in Router(root, archive, archive, output, overrides)(Query(("1.2",)))}

    return run


def test_what_fails_of_one_image_stops_no_other_and_is_made_good_later(route, tmp_path):
    short = film("lateral", ViewPosition="PA")
    short.PixelData = short.PixelData[:100]
    archive = Failing([film("frontal"), short, film("nobody")], broken=[FILMS["nobody"]], refused=["OT"])
    found = route(archive, tmp_path)
    assert {image.state for image in found.values()} == {"failed"}
    assert "cut short" in found[FILMS["lateral"]].reason
    assert found[FILMS["nobody"]].reason == "memory: the connection broke during the answer"
    assert found[FILMS["frontal"]].reason.count("not stored: out of resources (A700H)") == 5
    assert f"{found[FILMS['frontal']].report} not stored: waits for what it refers to" in found[FILMS["frontal"]].reason
    assert archive.stored == [], "no report of overlays that are not there"
    archive.refused, archive.broken = (), ()
    again = route(archive, tmp_path)
    assert [again[FILMS[kind]].state for kind in ("frontal", "lateral", "nobody")] == ["stored", "failed", "stored"]
    assert again[FILMS["frontal"]].report == found[FILMS["frontal"]].report
    assert len(archive.stored) == len(set(archive.stored)) == 12


def test_a_run_that_is_ended_says_what_it_did_and_what_it_did_not(route, tmp_path):
    archive = Failing([film("frontal"), film("nobody"), film("hand")])
    store, calls = archive.store, []

    def interrupted(files):
        calls.append(files)
        if len(calls) > 2:  # overlays and report of the first image are stored
            raise KeyboardInterrupt
        return store(files)

    archive.store = interrupted
    with pytest.raises(KeyboardInterrupt):
        route(archive, tmp_path)
    table = pd.read_csv(tmp_path / "routing.csv", dtype=str, keep_default_na=False).set_index("instance")
    states = {kind: table.loc[FILMS[kind], "state"] for kind in ("frontal", "nobody", "hand")}
    assert states == {"frontal": "stored", "nobody": "failed", "hand": "left_out"}
    assert table.loc[FILMS["nobody"], "reason"].startswith("the run ended before this image was done")
    archive.store = store
    again = route(archive, tmp_path)
    assert [again[FILMS[kind]].state for kind in ("frontal", "nobody")] == ["already_stored", "stored"]


def test_only_images_that_cannot_be_read(route, tmp_path):
    short = film("frontal")
    short.PixelData = short.PixelData[:100]
    (image,) = route(Failing([short]), tmp_path).values()
    assert (image.state, "cut short" in image.reason) == ("failed", True)
    assert (tmp_path / "routing.csv").is_file()


def test_what_headers_do_not_say_may_be_taken_for_granted(route, tmp_path):
    archive = Failing([film("frontal", BodyPartExamined="", ViewPosition="")])
    assert route(archive, tmp_path)[FILMS["frontal"]].state == "left_out"
    settings = {"unstated_body_part": "keep", "prepare_overrides#unknown_view": "keep"}
    assert route(archive, tmp_path, **settings)[FILMS["frontal"]].state == "stored"


def test_a_model_that_is_not_there_is_said_before_anything_is_fetched(route, tmp_path):
    with pytest.raises(DataError, match=r"calibration\.json: no such file; run calibrating"):
        route(Failing([film("frontal")]), tmp_path / "out", ckpt_dir=str(tmp_path))
    assert not (tmp_path / "out").exists()
