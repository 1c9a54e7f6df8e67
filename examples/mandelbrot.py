"""A picture of the Mandelbrot set: the rows are the items, the PNG is written by rank 0.

    mpiexec -n 4 python mandelbrot.py
    mpiexec -n 4 python mandelbrot.py --width 1500 --output big.png
"""

import argparse
import struct
import zlib
from pathlib import Path

from mpicomp import plist

LEFT, TOP, WIDTH, HEIGHT = -2.1, 1.2, 3.0, 2.4  # the part of the plane that is drawn


def escape(c: complex) -> int:
    """Count the steps of z -> z*z + c until abs(z) > 2: 1 to 255, or 0 if it stays."""
    z = 0j
    for count in range(1, 256):
        z = z * z + c
        if abs(z) > 2:
            return count
    return 0


def row(y: float, columns: int) -> bytes:
    """Draw one row: a byte per pixel, taken at the middle of the pixel."""
    step = WIDTH / columns
    return bytes(escape(complex(LEFT + (i + 0.5) * step, y)) for i in range(columns))


def png(rows: list[bytes]) -> bytes:
    """Pack rows into a PNG: 8 bits a pixel, from black over blue to white (ISO/IEC 15948)."""
    shades = [(i / 255) ** 0.4 for i in range(256)]
    palette = bytes(int(255 * v) for t in shades for v in (t * t, t, t**0.5))
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + r for r in rows))  # 0: this row is unfiltered
    parts = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts
    )


parser = argparse.ArgumentParser(description="Draw the Mandelbrot set.")
parser.add_argument("--width", type=int, default=600, help="pixels in a row (600)")
parser.add_argument("--output", type=Path, default=Path("mandelbrot.png"), help="PNG to write")
args = parser.parse_args()
step = WIDTH / args.width

# Rows through the middle take longest: dealing them out one by one shares them fairly.
ys = [TOP - (j + 0.5) * step for j in range(round(HEIGHT / step))]
rows = plist((row(y, args.width) for y in ys), schedule="static,1")

if rows is not None:
    args.output.write_bytes(png(rows))
    area = sum(r.count(0) for r in rows) * step * step
    print(f"{args.output}: {args.width} x {len(rows)} pixels, area of the set {area:.3f}")
