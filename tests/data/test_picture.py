"""One picture: its values, its upright square, and files that only look like one."""

from __future__ import annotations

import logging
import os
import resource
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.images import decode
from nas.data.picture import is_picture, read_square, short_side
from nas.errors import UserError

DEEP = np.array([[0, 257, 514, 1000], [32_767, 32_768, 50_000, 257 * 128]] * 2, np.uint16)
EIGHT = np.rint(DEEP / 257).astype(np.uint8)  # 0, 1, 2, 4, 127 or 128, ...


@pytest.mark.parametrize("suffix", ["png", "tif", "big.tif", "pgm"])
def test_grey_of_16_bits_is_divided_by_257(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    if suffix == "big.tif":  # the higher byte first
        Image.fromarray(DEEP.astype(">u2")).save(path)
        assert path.read_bytes()[:2] == b"MM"
    elif suffix == "pgm":
        path.write_bytes(b"P5 4 4 65535\n" + DEEP.astype(">u2").tobytes())
    else:
        Image.fromarray(DEEP).save(path)
    pixels = read_square(path, 4)
    assert pixels.shape == (4, 4, 3) and pixels.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(pixels[:, :, channel], EIGHT)


def test_grey_of_16_bits_is_scaled_before_it_is_rounded(tmp_path: Path) -> None:
    """Black and white in turn: each pixel of half the size is their mean, by hand."""
    board = np.indices((8, 8)).sum(0) % 2 * np.uint16(65_535)
    Image.fromarray(board.astype(np.uint16)).save(tmp_path / "board.png")
    inner = read_square(tmp_path / "board.png", 4)[1:3, 1:3]
    assert np.abs(inner.astype(int) - 127.5).max() <= 1


def test_colors_of_16_bits_keep_their_range(tmp_path: Path) -> None:
    values = np.array([0, 1000, 40_000, 65_535], ">u2")
    (tmp_path / "deep.ppm").write_bytes(b"P6 4 4 65535\n" + np.repeat(values, 12).tobytes())
    rows = read_square(tmp_path / "deep.ppm", 4)[:, 0, 0].astype(int)
    assert np.abs(rows - [0, 4, 156, 255]).max() <= 1


@pytest.mark.parametrize("kind", ["float", "int32", "12 bits", "white is zero", "pfm", "signed"])
def test_values_whose_range_is_not_known_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.tif"
    if kind == "float":
        Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(path)
    elif kind == "int32":
        Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)).save(path)
    elif kind == "signed":  # 8 bits: Pillow reads -1 as 255
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path, tiffinfo={339: 2})
    elif kind == "pfm":
        path.write_bytes(b"Pf\n2 2\n-1.0\n" + np.ones(4, "<f4").tobytes())
    else:
        Image.fromarray(DEEP).save(path)
        data = bytearray(path.read_bytes())
        tag, value = (258, 12) if kind == "12 bits" else (262, 0)
        place = data.index(tag.to_bytes(2, "little") + b"\x03\x00\x01\x00\x00\x00") + 8
        data[place : place + 2] = value.to_bytes(2, "little")
        path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"odd\.tif: not a readable image: .*(bits|channel)"):
        read_square(path, 4)
    with pytest.raises(UserError):
        short_side(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    """By the EXIF standard: where row 0 and column 0 of the stored picture lie in the upright one."""
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, 8:20], upright[:12, 20:32] = (250, 0, 0), (0, 250, 0)  # red top left, green top right
    upright[12:, 8:20], upright[12:, 20:32] = (0, 0, 250), (250, 250, 250)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    small = read_square(tmp_path / f"a.{suffix}", 24).astype(int)
    want = upright[:, 8:32].astype(int)
    assert np.abs(small[4:8, 4:8] - want[4:8, 4:8]).max() < 40
    assert np.abs(small - want).mean() < 10


def test_broken_exif_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (200, 0, 0)).save(
        tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"x" * 9
    )
    assert decode([tmp_path / "a.jpg"], 8)[0, 4, 4, 0] > 180


def eps() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n0 0 9 9 rectfill\nshowpage\n"


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG of one bit a pixel, whatever its size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(10**6)) for _ in range(count // 10**6)]) + packer.flush()


FOREIGN = {
    "eps": eps(),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "pdf": b"%PDF-1.4\n",
    "fits": b"SIMPLE  =                    T" + b" " * 2850,
    "psd": b"8BPS\x00\x01" + bytes(40),
    "text": b"hello",
    "empty": b"",
    "icns": b"icns\x00\x00\x00\x10" + bytes(8),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_other_formats_are_refused_by_their_content(
    tmp_path: Path, kind: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ghostscript, and any other program, is never started."""

    def started(*args: object, **given: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    path = tmp_path / f"z.{suffix}"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(UserError, match=rf"z\.{suffix}: not a readable image: its content is not PNG, JPEG"):
        read_square(path, 8)


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (200, 0, 0)).save(tmp_path / "a.gif", format="JPEG")
    assert read_square(tmp_path / "a.gif", 8).shape == (8, 8, 3)
    (tmp_path / "b").write_bytes((tmp_path / "a.gif").read_bytes())
    (tmp_path / "c").write_bytes(eps())
    assert is_picture(tmp_path / "b") and not is_picture(tmp_path / "c") and not is_picture(tmp_path / "none")


def test_too_many_pixels_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """13,300 x 13,300 pixels in half a megabyte would take 1.35 GB."""
    for name, data in (("full.png", png(13_300, 13_300, zeros(10**8))), ("header.png", png(2**31 - 1, 2**31 - 1))):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "a.bmp").write_bytes(
        b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0" + b"\xff\xff\xff\x7f" * 2 + b"\1\0\x18\0"
    )
    (tmp_path / "a.ppm").write_bytes(b"P6 99999 99999 255\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for path in sorted(tmp_path.iterdir()):
            for read in (short_side, lambda p: decode([p], 8)):
                with pytest.raises(UserError, match=r"not a readable image: ") as error:
                    read(path)
                assert "\n" not in str(error.value)
    assert not said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_a_large_jpeg_is_read_at_a_fraction_of_its_size(tmp_path: Path) -> None:
    """60 million pixels, as large cameras write them, in grey so that the test is quick."""
    large = Image.new("L", (10_000, 6_000), 90)
    large.save(tmp_path / "camera.jpg")
    large.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[Image.new("L", (8, 8))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("camera.jpg", "phone.jpg"):
        assert abs(int(read_square(tmp_path / name, 64).mean()) - 90) <= 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB


def test_a_picture_of_no_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0, 9))
    (tmp_path / "b.ppm").write_bytes(b"P6 0 0 255\n")
    for name in ("a.png", "b.ppm"):
        with pytest.raises(UserError, match="not a readable image"):
            short_side(tmp_path / name)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "broken link"])
def test_what_is_not_a_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else tmp_path / "nowhere")
    for read in (short_side, lambda p: read_square(p, 8)):
        with pytest.raises(UserError, match=r"a\.png: not a readable image: (it is a folder|.*No such file)"):
            read(path)


def test_pillow_says_nothing_of_what_it_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A palette with transparency, and a TIFF with more samples than there can be."""
    image = Image.new("P", (16, 16))
    image.putpalette([200, 0, 0] + [0] * 765)
    image.save(tmp_path / "a.png", transparency=bytes([128] + [255] * 255))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert decode([tmp_path / "a.png"], 8)[0, 4, 4].tolist() == [200, 0, 0]
    assert not said
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)


def test_libtiff_says_nothing_of_a_broken_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[200:260] = b"\xff" * 60
    (tmp_path / "a.tif").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"a\.tif: not a readable image"):
        decode([tmp_path / "a.tif"], 8)
    os.write(2, b"stderr is back")
    assert capfd.readouterr().err == "stderr is back"
