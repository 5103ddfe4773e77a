"""Archives: images come out where they belong, and whatever is wrong with one leaves nothing behind."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest

SUFFIXES = [".png", ".jpg"]


@pytest.fixture
def unpack(lib, tmp_path):
    """Write members to an archive and unpack it: names to contents, or ``ZipInfo`` with content."""

    def run(content, raw=None, **limits):
        archive = tmp_path / "a.zip"
        if raw is not None:
            archive.write_bytes(raw)
        else:
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
                for name, data in content:
                    file.writestr(name, data)
        archives = lib("archives")
        target = tmp_path / "out"
        found = archives.unpack_images(archive, target, SUFFIXES, archives.ArchiveLimits(**limits))
        return {path.relative_to(target).as_posix(): path.read_bytes() for path in found}

    run.target = tmp_path / "out"
    return run


@pytest.fixture
def refuses(lib, unpack):
    """Unpack what must be refused; returns the status and the message."""

    def run(content=(), **arguments):
        with pytest.raises(lib("errors").RequestError) as refused:
            unpack(content, **arguments)
        assert not unpack.target.exists(), "nothing is left of it"
        return refused.value.status, str(refused.value)

    return run


def test_images_with_their_folders_and_nothing_else(unpack):
    members = [
        ("smear 1/a.png", b"1"), ("smear 1/b.JPG", b"2"), ("c.png", b"3"), ("notes.txt", b"x"), ("run.sh", b"x"),
        (".hidden.png", b"x"), ("__MACOSX/._a.png", b"x"), ("inner.zip", b"x"), ("folder/", b""),
    ]  # fmt: skip
    assert unpack(members) == {"smear 1/a.png": b"1", "smear 1/b.JPG": b"2", "c.png": b"3"}


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "a/../../evil.png",
        "/tmp/evil.png",
        "a\\..\\evil.png",
        "C:/evil.png",
        "a\n.png",
        "x" * 201 + ".png",
    ],
)
def test_names_that_leave_the_folder(refuses, name, tmp_path):
    status, message = refuses([("good.png", b"1"), (name, b"2")])
    assert status == 400
    assert "leaves the archive's folder" in message
    assert not (tmp_path / "evil.png").exists()


def test_a_name_with_a_zero_byte(refuses):
    """What follows the zero byte is cut off by some readers: ``x.png\\0.sh`` is ``x.png`` to them."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("aXb.png", b"1")
    assert refuses(raw=content.getvalue().replace(b"aXb.png", b"a\0b.png"))[0] == 400


def test_links(refuses):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    status, message = refuses([("good.png", b"1"), (link, b"/etc/passwd")])
    assert (status, "is a link" in message) == (400, True)


def test_devices(refuses):
    device = zipfile.ZipInfo("device.png")
    device.external_attr = (stat.S_IFCHR | 0o666) << 16
    assert refuses([(device, b"")])[0] == 400


def test_too_many_members(refuses):
    status, message = refuses([(f"{i}.png", b"1") for i in range(4)], members=3)
    assert (status, "4 members, expected at most 3" in message) == (413, True)


def test_too_much(refuses):
    status, message = refuses([(f"{i}.png", bytes(range(256)) * 8) for i in range(4)], total_bytes=4096)
    assert (status, "unpacked" in message) == (413, True)


def test_a_bomb(refuses):
    status, message = refuses([("bomb.png", b"\0" * (64 << 20))])
    assert (status, "unpacks to far more" in message) == (413, True)


def test_an_archive_that_lies_about_sizes(refuses):
    """The directory says 5 bytes, the packed data hold 5000: no more than was said is ever written."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", b"\1" * 5000)
    raw = content.getvalue()
    assert raw.count((5000).to_bytes(4, "little")) == 2
    assert refuses(raw=raw.replace((5000).to_bytes(4, "little"), (5).to_bytes(4, "little")))[0] in (400, 413)


def test_a_file_that_is_there_twice(refuses):
    assert "is there twice" in refuses([("a.png", b"1"), ("A.PNG", b"2")])[1]


@pytest.mark.parametrize("raw", [b"", b"no archive", b"PK\3\4" + b"\0" * 100])
def test_what_is_no_archive(refuses, raw):
    status, message = refuses(raw=raw)
    assert (status, "cannot be read as ZIP" in message) == (400, True)


def test_a_broken_archive(refuses):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.png", b"\1" * 500)
    raw = bytearray(content.getvalue())
    raw[100] ^= 1
    assert "cannot be read as ZIP" in refuses(raw=bytes(raw))[1], "the checksum is wrong"


def test_an_encrypted_archive(refuses):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.png", b"1")
    raw = bytearray(content.getvalue())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(signature) + offset] |= 1
    assert "is encrypted" in refuses(raw=bytes(raw))[1]


def test_no_image(refuses):
    assert "no image in it, expected .png, .jpg" in refuses([("a.txt", b"1")])[1]
