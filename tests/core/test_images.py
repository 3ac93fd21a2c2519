"""Pictures that strangers send are known by their content, and drawn anew."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from app.core.images import (
    EDGE_PIXELS_MAX,
    IMAGE_BYTES_MAX,
    ImageTooLarge,
    NotAnImage,
    Picture,
    redrawn,
)
from tests.factories.files import a_picture

RED, BLUE = (200, 0, 0), (0, 0, 200)
ORIENTATION = 0x0112
SECRET = b"31.2304 N 121.4737 E"


def seen(picture: Picture) -> Image.Image:
    return Image.open(BytesIO(picture.content))


def is_near(found: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(found, tuple)
    return all(abs(one - other) < 24 for one, other in zip(found, wanted, strict=False))


def a_bomb(edge: int) -> bytes:
    """A PNG of a few bytes that says it has many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/png"),
    ],
)
def test_a_picture_keeps_its_look_and_its_kind(kind: str, content_type: str) -> None:
    picture = redrawn(a_picture(kind))
    assert (picture.content_type, picture.width, picture.height) == (content_type, 40, 30)
    image = seen(picture)
    assert Image.MIME[str(image.format)] == content_type
    assert is_near(image.convert("RGB").getpixel((5, 15)), RED)
    assert is_near(image.convert("RGB").getpixel((35, 15)), BLUE)


def test_what_the_camera_wrote_is_gone_and_the_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera was held on its side
    exif[0x010E] = SECRET.decode()
    for kind in ("JPEG", "WEBP", "PNG"):
        given = a_picture(kind, exif=exif)
        assert SECRET in given
        picture = redrawn(given)
        assert SECRET not in picture.content
        assert len(seen(picture).getexif()) == 0
        assert (picture.width, picture.height) == (30, 40), kind
        assert is_near(seen(picture).convert("RGB").getpixel((15, 5)), RED)
        assert is_near(seen(picture).convert("RGB").getpixel((15, 35)), BLUE)


def test_what_hides_behind_a_picture_or_beside_it_is_gone() -> None:
    hidden = b"<script>alert(1)</script>"
    comment = a_picture("JPEG", comment=hidden)
    for given in (a_picture("PNG") + hidden, a_picture("GIF") + hidden, comment):
        assert hidden in given
        assert hidden not in redrawn(given).content


def test_a_large_picture_becomes_as_large_as_a_page_shows() -> None:
    for kind in ("JPEG", "PNG"):
        picture = redrawn(a_picture(kind, (4_400, 1_100)))
        assert (picture.width, picture.height) == (EDGE_PIXELS_MAX, 512)
        assert seen(picture).size == (EDGE_PIXELS_MAX, 512)


def test_a_transparent_picture_stays_transparent() -> None:
    written = BytesIO()
    Image.new("RGBA", (8, 8), (0, 200, 0, 0)).save(written, "PNG")
    image = seen(redrawn(written.getvalue()))
    assert image.mode == "RGBA"
    assert image.getpixel((4, 4)) == (0, 200, 0, 0)


def test_of_an_animation_the_first_picture_is_kept() -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    for kind in ("GIF", "WEBP"):
        written = BytesIO()
        first.save(written, kind, save_all=True, append_images=[second], duration=50)
        image = seen(redrawn(written.getvalue()))
        assert getattr(image, "n_frames", 1) == 1
        assert is_near(image.convert("RGB").getpixel((4, 4)), RED)


@pytest.mark.parametrize("edge", [5_001, 7_100, 30_000])
def test_an_image_bomb_is_refused_before_it_is_decoded(edge: int) -> None:
    """Above the limit, above where the library itself warns, and above where it refuses."""
    with pytest.raises(ImageTooLarge):
        redrawn(a_bomb(edge))


def test_more_bytes_than_allowed_are_not_looked_at() -> None:
    with pytest.raises(ImageTooLarge):
        redrawn(a_picture() + b"\0" * IMAGE_BYTES_MAX)


def test_what_is_no_picture_of_the_four_kinds_is_refused() -> None:
    bitmap = a_picture("BMP")
    tiff = a_picture("TIFF")
    cut_off = a_picture("PNG", (400, 300))[:200]
    vector = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    page = b"<!doctype html><title>cover.png</title>"
    for given in (b"", b"\x89PNG\r\n\x1a\n", bitmap, tiff, cut_off, vector, page, b"\xff\xd8\xff"):
        with pytest.raises(NotAnImage):
            redrawn(given)
