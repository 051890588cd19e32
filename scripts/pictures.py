#!/usr/bin/env python3
"""Generates the pictures of tests/fixtures/pictures, good and broken, from two pictures of the footage.

    python3 -m venv /tmp/pictures && /tmp/pictures/bin/pip install pillow==13.0.0
    /tmp/pictures/bin/python scripts/pictures.py

The script also writes `expected.toml` with the expected answer of each picture. The pictures are in the repository so that
the tests need no encoders; the script documents how they were made, and can make more.
"""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "tests/fixtures/pictures"
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"

# The only face of plain.jpg and of close-up.webp: left, top, width, height in pixels.
FACE = (89, 45, 49, 66)
CLOSE_UP = (12, 6, 651, 954)
SIZE = (320, 180)

written = []


def keep(name, data, face=None, refused=None):
    """Writes a picture and its expected answer: a face with its place, or a reason for refusing the picture."""
    (FOLDER / name).write_bytes(data)
    written.append((name, face, refused))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stored(image, orientation):
    """Returns the picture as a camera with this EXIF orientation stores it."""
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    return image.transpose(turn[orientation])


def exif(orientation):
    return b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without_segments(jpeg, marker):
    """Returns the JPEG without the segments of one kind before its first scan."""
    kept, at = jpeg[:2], 2
    while jpeg[at : at + 2] != START_OF_SCAN:
        end = at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        if jpeg[at + 1] != marker:
            kept += jpeg[at:end]
        at = end
    return kept + jpeg[at:]


def changed(data, at, value):
    return data[:at] + bytes([value]) + data[at + 1 :]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_png_chunk(png, kind, content):
    # After the header: 8 bytes of signature and 25 of IHDR.
    return png[:33] + chunk(kind, content) + png[33:]


def png_of(size, colour_type, interlace, rows, *chunks):
    """A PNG of 8 bits. `rows` are the rows of samples, each with its filter type before it."""
    header = struct.pack(">IIBBBBB", *size, 8, colour_type, 0, 0, interlace)
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def interlaced_png(image):
    # The seven passes of Adam7: first column and row, and the steps to the next.
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    width, height = image.size
    rows = b""
    for left, top, across, down in passes:
        for y in range(top, height, down):
            rows += b"\0" + b"".join(bytes(image.getpixel((x, y))) for x in range(left, width, across))
    return png_of(image.size, 2, 1, rows)


def riff(*chunks):
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_with_exif(webp, size, content):
    width, height = size
    head = bytes([0x08, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return riff((b"VP8X", head), (webp[12:16], webp[20:]), (b"EXIF", content))


def restart_markers(jpeg):
    return [at for at in range(len(jpeg) - 1) if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= 0xD7]


def make_jpegs(image):
    plain = encoded(image, "JPEG", quality=85)
    scan = plain.index(START_OF_SCAN)
    frame = plain.index(b"\xff\xc0")
    middle = (scan + len(plain)) // 2

    keep("jpeg-no-end-marker.jpg", plain[:-2], FACE)
    keep("jpeg-half-an-end-marker.jpg", plain[:-1], FACE)
    keep("jpeg-padding-instead-of-end-marker.jpg", plain[:-2] + bytes(500), FACE)
    keep("jpeg-padding-before-end-marker.jpg", plain[:-2] + bytes(500) + END_OF_IMAGE, FACE)
    keep("jpeg-trailer.jpg", plain + b"a trailer of the camera's maker" * 20, FACE)
    keep("jpeg-unknown-jfif-version.jpg", changed(plain, 11, 7), FACE)
    keep("jpeg-no-huffman-tables.jpg", without_segments(plain, 0xC4), FACE)
    keep("jpeg-grey.jpg", encoded(image.convert("L"), "JPEG", quality=85), FACE)
    keep("jpeg-cmyk.jpg", encoded(image.convert("CMYK"), "JPEG", quality=85), FACE)

    progressive = encoded(image, "JPEG", quality=85, progressive=True)
    scans = [at for at in range(len(progressive)) if progressive[at : at + 2] == START_OF_SCAN]
    keep("jpeg-progressive.jpg", progressive, FACE)
    keep("jpeg-progressive-first-scans-only.jpg", progressive[: scans[4]] + END_OF_IMAGE, refused="truncated")

    # Of one colour, so that a scan has only a few bytes. It still costs a pass over all pixels.
    grey = encoded(Image.new("RGB", SIZE, (90, 90, 90)), "JPEG", progressive=True)
    second = grey.index(START_OF_SCAN, grey.index(START_OF_SCAN) + 1)
    tables = grey.index(b"\xff\xc4", second)
    hostile = grey[:tables] + grey[second:tables] * 200 + grey[tables:]
    keep("jpeg-many-scans.jpg", hostile, refused="too-many-scans")
    held = with_segments(hostile, segment(0xE1, b"Exif\0\0" + exif(6)))
    keep("jpeg-many-scans-exif.jpg", held, refused="too-many-scans")

    for orientation in (3, 6, 8):
        held = encoded(stored(image, orientation), "JPEG", quality=85)
        keep(f"jpeg-exif-{orientation}.jpg", with_segments(held, segment(0xE1, b"Exif\0\0" + exif(orientation))), FACE)
    held = encoded(stored(image, 6), "JPEG", quality=85)
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    keep("jpeg-exif-6-after-xmp.jpg", with_segments(held, xmp, segment(0xE1, b"Exif\0\0" + exif(6))), FACE)

    keep("jpeg-cut.jpg", plain[:middle], refused="truncated")
    keep("jpeg-cut-with-end-marker.jpg", plain[:middle] + END_OF_IMAGE, refused="truncated")
    keep("jpeg-cut-with-odd-version.jpg", changed(plain[:middle] + END_OF_IMAGE, 11, 7), refused="truncated")
    keep("jpeg-lost-packet.jpg", plain[:middle] + plain[middle + 1400 :], refused="truncated")
    restarts = encoded(image, "JPEG", quality=85, restart_marker_rows=1)
    marks = restart_markers(restarts)
    keep("jpeg-restart-markers.jpg", restarts, FACE)
    keep("jpeg-lost-interval.jpg", restarts[: marks[3]] + restarts[marks[4] :], refused="damaged")
    keep("jpeg-lost-part-of-interval.jpg", restarts[: marks[3] - 60] + restarts[marks[3] :], refused="damaged")

    keep("jpeg-table-changed.jpg", changed(plain, plain.index(b"\xff\xc4") + 4, 0x77), refused="undecodable")
    keep("jpeg-12-bit.jpg", changed(plain, frame + 4, 12), refused="undecodable")
    keep("jpeg-lossless.jpg", changed(plain, frame + 1, 0xC3), refused="undecodable")
    keep("jpeg-arithmetic.jpg", changed(plain, frame + 1, 0xC9), refused="undecodable")
    keep("jpeg-ls.jpg", changed(plain, frame + 1, 0xF7), refused="undecodable")


def make_pngs(image):
    plain = encoded(image.quantize(48), "PNG", optimize=True)
    keep("png-plain.png", plain, FACE)
    keep("png-transparent.png", encoded(image.resize((160, 90)).convert("RGBA"), "PNG"), tuple(side // 2 for side in FACE))
    held = encoded(stored(image, 8).quantize(48), "PNG", optimize=True)
    keep("png-exif-8.png", with_png_chunk(held, b"eXIf", exif(8)), FACE)
    # Each unpacks to 8 MB, and libpng would unpack all of them before the first pixel.
    text = b"Comment\0\0" + zlib.compress(bytes(7 << 20), 9)
    keep("png-packed-texts.png", plain[:33] + chunk(b"zTXt", text) * 3 + plain[33:], FACE)
    keep("png-cut.png", plain[: len(plain) // 2], refused="truncated")
    keep("png-header-checksum.png", changed(plain, 30, plain[30] ^ 1), refused="undecodable")
    # A palette of one colour and a third.
    half = png_of((100, 100), 3, 0, bytes(101 * 100), (b"PLTE", b"\1\2\3\4"))
    keep("png-half-a-colour.png", half, refused="undecodable")
    keep("png-interlaced.png", interlaced_png(image.resize((160, 90))), tuple(side // 2 for side in FACE))
    data = plain.index(b"IDAT")
    keep("png-data-checksum.png", changed(plain, data + 2000, plain[data + 2000] ^ 1), refused="undecodable")


def make_webps(image):
    plain = encoded(image, "WEBP", quality=80)
    keep("webp-plain.webp", plain, FACE)
    keep("webp-lossless.webp", encoded(image.resize((160, 90)), "WEBP", lossless=True), tuple(side // 2 for side in FACE))
    held = encoded(stored(image, 6), "WEBP", quality=80)
    keep("webp-exif-6.webp", webp_with_exif(held, SIZE[::-1], exif(6)), FACE)
    keep("webp-exif-6-with-prefix.webp", webp_with_exif(held, SIZE[::-1], b"Exif\0\0" + exif(6)), FACE)
    keep("webp-cut.webp", plain[: len(plain) // 2], refused="truncated")
    # The container's length fits, the picture's does not.
    half = plain[20 : len(plain) // 2]
    keep("webp-cut-inside.webp", riff((b"VP8 ", half)), refused="undecodable")
    keep("webp-start-code.webp", changed(plain, 23, 0), refused="undecodable")
    small = [image.resize((160, 90)), image.resize((160, 90)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    animated = encoded(small[0], "WEBP", save_all=True, append_images=small[1:], duration=100)
    keep("webp-animated.webp", animated, refused="undecodable")


def make_others(image):
    keep("empty.jpg", b"", refused="empty")
    keep("page.jpg", b"<html><title>401 Unauthorized</title></html>", refused="not-a-picture")
    keep("gif.jpg", encoded(image.resize((64, 36)), "GIF"), refused="not-a-picture")
    keep("signature-only.png", b"\x89PNG\r\n\x1a\n", refused="truncated")


def write_expectations():
    lines = ["# What each picture must give: made by scripts/pictures.py. A face is left, top, width, height in pixels."]
    for name, face, refused in sorted(written):
        lines += ["", "[[pictures]]", f'file = "{name}"']
        lines += [f"face = {list(face)}"] if face else [f'refused = "{refused}"']
    (FOLDER / "expected.toml").write_text("\n".join(lines) + "\n")


def main():
    image = Image.open(FOLDER / "plain.jpg").convert("RGB")
    assert image.size == SIZE
    written.append(("plain.jpg", FACE, None))
    written.append(("close-up.webp", CLOSE_UP, None))
    make_jpegs(image)
    make_pngs(image)
    make_webps(image)
    make_others(image)
    write_expectations()
    print(f"{len(written)} pictures")


main()
