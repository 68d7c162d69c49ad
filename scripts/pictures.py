"""Draw the pictures of the README: one package in four architectures, and the certificate as it prints.

    .venv/bin/python scripts/pictures.py            draw them from what is kept
    .venv/bin/python scripts/pictures.py --run      run the demonstration, keep its certificate, and draw it

Writes docs/pictures/: every picture for a light and for a dark page, and `certificate.txt`, the text of the certificate
that `fourfold demo` printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "pictures"
TERMINAL_COLUMNS = 80

_SANS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Palette:
    """Hold the colours of a picture for one kind of page.

    Attributes:
        page: the background of a terminal.
        panel: the background of a box.
        line: edges and arrows.
        text: what is read first.
        muted: what is read second.
        accent: the package, and what is the same everywhere.
        accent_panel: the background of the package.
    """

    page: str
    panel: str
    line: str
    text: str
    muted: str
    accent: str
    accent_panel: str


PALETTES = {
    "light": Palette("#ffffff", "#f6f8fa", "#8c959f", "#1f2328", "#59636e", "#0a7a4b", "#e6f6ee"),
    "dark": Palette("#0d1117", "#161b22", "#6e7681", "#e6edf3", "#9198a1", "#3fd08b", "#0f2a1e"),
}

#: The architectures: name, what comes in and goes out, the command.
_ARCHITECTURES = (
    ("ML microservice", "a request in, a prediction out", "fourfold serve"),
    ("streaming process", "every event, as it comes", "fourfold stream"),
    ("batch process (ETML)", "a whole table, on a schedule", "fourfold batch run"),
    ("integrated", "inside your own software", "fourfold.load(…)"),
)
_MODELS = ("scikit-learn", "LightGBM · XGBoost", "CatBoost · ONNX", "MLflow · Python")
_CONTENTS = ("signature", "transforms + model", "golden rows", "how exact it is")


def main() -> None:
    """Draw every picture; with `--run`, from a new certificate."""
    FOLDER.mkdir(exist_ok=True)
    if sys.argv[1:] == ["--run"]:
        (FOLDER / "certificate.txt").write_text(run_demo(), encoding="utf-8")
    for name, content in pictures().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


def pictures() -> dict[str, str]:
    """Return the pictures, by the names of their files."""
    certificate = (FOLDER / "certificate.txt").read_text(encoding="utf-8")
    drawn = {}
    for theme, palette in PALETTES.items():
        drawn[f"four-architectures-{theme}.svg"] = draw_architectures(certificate.splitlines()[2], palette)
        drawn[f"certificate-{theme}.svg"] = draw_terminal("fourfold demo", certificate, palette)
    return drawn


def run_demo() -> str:
    """Run the demonstration, and return the certificate that it prints, as a terminal of 80 columns shows it."""
    with tempfile.TemporaryDirectory() as folder:
        return certificate_of(run_in_terminal(TERMINAL_COLUMNS, "-m", "fourfold", "demo", "--directory", folder))


def run_in_terminal(columns: int, *arguments: str) -> str:
    """Return what Python prints with these arguments to a terminal so wide, without colours.

    Raises:
        CalledProcessError: it ended with another status than 0.
    """
    parent, child = os.openpty()
    termios.tcsetwinsize(child, (40, columns))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, stdout=child, stderr=subprocess.DEVNULL, env={**environment, "TERM": "xterm"}
    ) as process:
        os.close(child)
        output = b""
        while chunk := _read(parent):
            output += chunk
    os.close(parent)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode()).replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux ends a terminal so when its last writer has gone
        return b""


def certificate_of(output: str) -> str:
    """Return the lines of the certificate in the output of `fourfold demo`, without spaces at their ends."""
    lines = [line.rstrip() for line in output.splitlines()]
    verdict = lines.index("the same bits everywhere")
    return "\n".join(lines[lines.index("certificate") : verdict + 1]) + "\n"


def draw_terminal(command: str, output: str, palette: Palette) -> str:
    """Return a picture of a terminal that shows a command and its output."""
    character_px, line_px, margin_px = 7.83, 18, 18
    lines = output.splitlines()
    width = round(TERMINAL_COLUMNS * character_px + 2 * margin_px)
    height = (len(lines) + 2) * line_px + 2 * margin_px
    frame = f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{palette.page}" '
    parts = [f'{frame}stroke="{palette.line}" stroke-opacity="0.5"/>']
    styled = [(f"$ {command}", palette.muted, False), ("", palette.text, False)]
    styled += [(line, *_style(line, palette)) for line in lines]
    for number, (line, colour, is_bold) in enumerate(styled):
        baseline = margin_px + (number + 0.75) * line_px
        weight = ' font-weight="bold"' if is_bold else ""
        # The length is given, so that every font breaks nothing and columns stay columns.
        length = f' textLength="{len(line) * character_px:.1f}" lengthAdjust="spacingAndGlyphs"' if line else ""
        parts.append(
            f'<text x="{margin_px}" y="{baseline:g}" fill="{colour}"{weight}{length} xml:space="preserve">'
            f"{escape(line)}</text>"
        )
    title = f"What {command} prints: {lines[-1]}"
    return _picture(width, height, f'<g font-family="{_MONO}" font-size="13">', parts, title)


def _style(line: str, palette: Palette) -> tuple[str, bool]:
    if line == "the same bits everywhere":
        return palette.accent, True
    if line == "certificate" or line.startswith("eta:"):
        return palette.text, True
    return (palette.muted, False) if line.startswith(("sha256:", " ──")) else (palette.text, False)


def draw_architectures(digest: str, palette: Palette) -> str:
    """Return the picture of a model, its package of this digest, the four architectures and the certificate."""
    width, height, box_height = 880, 356, 68
    tops = [24 + index * (box_height + 12) for index in range(len(_ARCHITECTURES))]
    middle = (tops[0] + tops[-1] + box_height) / 2
    parts = [
        *_box((16, middle - 74, 150, 148), palette.panel, palette.line),
        _text(91, middle - 48, "your model", palette.text, bold=True),
        *(_text(91, middle - 18 + 22 * index, name, palette.muted) for index, name in enumerate(_MODELS)),
        *_arrow((166, middle), (252, middle), palette.line),
        _text(207, middle - 10, "pack", palette.text, mono=True),
        *_box((254, middle - 92, 176, 184), palette.accent_panel, palette.accent, stroke_width=2),
        _text(342, middle - 62, "one package", palette.accent, bold=True, size=17),
        *(_text(342, middle - 28 + 24 * index, name, palette.text) for index, name in enumerate(_CONTENTS)),
        _text(342, middle + 74, f"{digest[:15]}…", palette.muted, mono=True, size=11),
    ]
    for top, (name, words, command) in zip(tops, _ARCHITECTURES, strict=True):
        centre = top + box_height / 2
        parts += _arrow((432, middle), (498, centre), palette.accent)
        parts += _box((500, top, 228, box_height), palette.panel, palette.line)
        parts.append(_text(614, top + 21, name, palette.text, bold=True))
        parts.append(_text(614, top + 39, words, palette.muted, size=12))
        parts.append(_text(614, top + 57, command, palette.text, mono=True, size=12))
        parts += _arrow((728, centre), (772, centre), palette.accent)
    bottom = tops[-1] + box_height
    parts += _box((774, tops[0], 90, bottom - tops[0]), palette.accent_panel, palette.accent, stroke_width=2)
    for offset, line in enumerate(("the", "same", "answer,", "bit", "for bit")):
        parts.append(_text(819, middle - 44 + 22 * offset, line, palette.accent, bold=True))
    parts.append(_text(819, middle + 92, "certify", palette.text, mono=True, size=12))
    title = "One package runs in four architectures, and all of them give the same answer, bit for bit"
    return _picture(width, height, f'<g font-family="{_SANS}" font-size="14">', parts, title)


def _picture(width: int, height: int, group: str, parts: Sequence[str], title: str) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img">\n<title>{escape(title)}</title>\n{group}\n{body}\n</g>\n</svg>\n'
    )


def _box(rectangle: tuple[float, float, float, float], fill: str, stroke: str, *, stroke_width: float = 1) -> list[str]:
    left, top, width, height = rectangle
    area = f'x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="8"'
    return [f'<rect {area} fill="{fill}" stroke="{stroke}" stroke-width="{stroke_width:g}"/>']


def _text(x: float, y: float, text: str, colour: str, *, bold: bool = False, mono: bool = False, size: int = 0) -> str:
    style = (' font-weight="600"' if bold else "") + (f' font-family="{_MONO}"' if mono else "")
    style += f' font-size="{size}"' if size else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{colour}"{style}>{escape(text)}</text>'


def _arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> list[str]:
    """Return a curve that leaves and arrives level, with a head."""
    (x0, y0), (x1, y1) = start, end
    bend = (x0 + x1) / 2
    curve = f"M{x0:g} {y0:g}C{bend:g} {y0:g} {bend:g} {y1:g} {x1 - 6:g} {y1:g}"
    return [
        f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
        f'<path d="M{x1:g} {y1:g}l-9 -5v10z" fill="{colour}"/>',
    ]


if __name__ == "__main__":
    main()
