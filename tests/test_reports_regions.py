"""Regions for other programs: each format is read back by its definition."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import os
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_audio.calibration import p_deepfake
from deepfake_audio.detector import Detection, ModelRef
from deepfake_audio.localisation import Region, Timeline
from deepfake_audio.reports.regions import CSV_COLUMNS, FORMATS, recording_names

Span = tuple[float, float]


def detection(*spans: Span, cells: int = 4, duration: float = 5000.5, path: str = "a.wav") -> Detection:
    """Return a detection with regions, and with so many cells of a second each."""
    start = np.arange(cells, dtype=np.float64)
    llr = np.linspace(2.0, -4.0, cells)
    return Detection(
        path=path,
        verdict="genuine",
        p_deepfake=0.1,
        llr_genuine=2.2,
        reasons=(),
        duration_seconds=duration,
        speech_seconds=4.0,
        sample_rate=16_000,
        channels=1,
        sha256="0" * 64,
        segments=(),
        model=ModelRef("default", "1" * 64),
        regions=tuple(Region(a, b, p_deepfake(-3.5), -3.5) for a, b in spans),
        timeline=Timeline(start, start + 1, llr, 1.0, duration, 2.2),
    )


NONE = detection()
TWO = detection((1.2504, 3.0), (3723.9996, 3725.0))
SILENT = dataclasses.replace(
    detection(cells=0), verdict="no_speech", p_deepfake=None, llr_genuine=None, regions=(), timeline=None
)
# p_deepfake(-3.5) is 1 / (1 + exp(-3.5)) = 0.9707.


def written(name: str, *named: tuple[str, Detection]) -> str:
    """Return what a format makes of recordings."""
    stream = io.StringIO(newline="")
    FORMATS[name].write(iter(named), stream)
    return stream.getvalue()


# --- CSV -------------------------------------------------------------------------------------------------------


def test_csv() -> None:
    """Regions come first, then the cells of the timeline, of each recording in turn."""
    text = written("csv", ("a", TWO), ("b", dataclasses.replace(NONE, path="b,\n.wav")), ("c", SILENT))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == CSV_COLUMNS
    assert [(row["path"], row["kind"]) for row in rows] == [
        *[("a.wav", "region")] * 2,
        *[("a.wav", "cell")] * 4,
        *[("b,\n.wav", "cell")] * 4,
    ]
    numbers = [tuple(float(row[key]) for key in CSV_COLUMNS[2:]) for row in rows]
    assert numbers[:2] == [(1.25, 3.0, 0.9707, -3.5), (3724.0, 3725.0, 0.9707, -3.5)]
    # At log-likelihood ratios of 2, 0, -2 and -4.
    assert numbers[2:6] == [(0, 1, 0.1192, 2), (1, 2, 0.5, 0), (2, 3, 0.8808, -2), (3, 4, 0.982, -4)]


def test_csv_of_nothing_is_its_header() -> None:
    """A table without rows is still a table."""
    assert written("csv") == written("csv", ("c", SILENT)) == "path,kind,start,end,p_deepfake,llr_genuine\n"


@pytest.mark.parametrize("path", ["komma, and.wav", 'a "quoted".wav', "two\nlines.wav", "日本語.wav", "=1+1.wav"])
def test_csv_keeps_names(path: str) -> None:
    """A program gets back the path that it gave."""
    text = written("csv", ("a", dataclasses.replace(TWO, path=path)))
    assert {row["path"] for row in csv.DictReader(io.StringIO(text, newline=""))} == {path}


def test_csv_escapes_a_lone_carriage_return() -> None:
    """As in the records, since csv leaves it as it is and readers take it for the end of a row."""
    text = written("csv", ("a", dataclasses.replace(TWO, path="a\rb.wav")))
    assert {row["path"] for row in csv.DictReader(io.StringIO(text, newline=""))} == {"a\\rb.wav"}


# --- RTTM ------------------------------------------------------------------------------------------------------


def test_rttm() -> None:
    """Ten fields a line: type, file, channel, start, duration, -, -, name, confidence, -."""
    text = written("rttm", ("x_a", TWO), ("b", NONE), ("c", detection((0.0, 2.0))))
    lines = [line.split(" ") for line in text.splitlines()]
    assert lines == [
        ["SPEAKER", "x_a", "1", "1.250", "1.750", "<NA>", "<NA>", "synthetic", "0.9707", "<NA>"],
        ["SPEAKER", "x_a", "1", "3724.000", "1.000", "<NA>", "<NA>", "synthetic", "0.9707", "<NA>"],
        ["SPEAKER", "c", "1", "0.000", "2.000", "<NA>", "<NA>", "synthetic", "0.9707", "<NA>"],
    ]
    assert text.endswith("\n")


# --- Audacity --------------------------------------------------------------------------------------------------


def test_audacity() -> None:
    """Start, end and label, between tabs, one label a line."""
    rows = [line.split("\t") for line in written("audacity", ("a", TWO)).splitlines()]
    assert [(float(a), float(b), label) for a, b, label in rows] == [
        (1.2504, 3.0, "synthetic 0.97"),
        (3723.9996, 3725.0, "synthetic 0.97"),
    ]


# --- SRT -------------------------------------------------------------------------------------------------------

CUE = re.compile(r"(\d+)\n(\d{2,}):([0-5]\d):([0-5]\d),(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d),(\d{3})\n(.+)\n\n")


def cues(text: str) -> list[tuple[int, float, float, str]]:
    """Read subtitles: number, start, end and text of each."""
    assert CUE.sub("", text) == ""
    found = []
    for number, *times, label in CUE.findall(text):
        h, m, s, ms, h2, m2, s2, ms2 = (int(t) for t in times)
        found.append((int(number), 3600 * h + 60 * m + s + ms / 1000, 3600 * h2 + 60 * m2 + s2 + ms2 / 1000, label))
    return found


def test_srt() -> None:
    """Subtitles have numbers from 1 and times to the millisecond, rounded; minutes and seconds stay below 60."""
    assert cues(written("srt", ("a", TWO))) == [
        (1, 1.25, 3.0, "synthetic 0.97"),
        (2, 3724.0, 3725.0, "synthetic 0.97"),
    ]
    assert "01:02:04,000 --> 01:02:05,000" in written("srt", ("a", TWO))
    late = detection((59.9996, 3599.9999), (360_000.0, 400_000.0), duration=400_000.0)
    assert "00:01:00,000 --> 01:00:00,000" in written("srt", ("a", late))
    assert "100:00:00,000 --> 111:06:40,000" in written("srt", ("a", late))


# --- Praat -----------------------------------------------------------------------------------------------------

HEADER = re.compile(
    r'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = (\S+)\nxmax = (\S+)\ntiers\? <exists>\n'
    r"size = (\d+)\nitem \[\]:\n"
)
TIER = re.compile(
    r' {4}item \[(\d+)\]:\n {8}class = "IntervalTier"\n {8}name = "(.*)"\n {8}xmin = (\S+)\n {8}xmax = (\S+)\n'
    r" {8}intervals: size = (\d+)\n((?: {8}intervals \[.*\]:\n(?: {12}.*\n){3})*)"
)
INTERVAL = re.compile(r' {8}intervals \[(\d+)\]:\n {12}xmin = (\S+)\n {12}xmax = (\S+)\n {12}text = "(.*)"\n')


def tiers(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """Read a text grid, checking all that Praat demands of its tiers."""
    header = HEADER.match(text)
    assert header is not None
    assert float(header[1]) == 0
    found = TIER.findall(text)
    assert HEADER.sub("", TIER.sub("", text)) == ""
    assert [int(number) for number, *_ in found] == list(range(1, int(header[3]) + 1))
    grid = {}
    for _, name, first, last, size, body in found:
        assert (first, last) == (header[1], header[2])
        intervals = INTERVAL.findall(body)
        assert INTERVAL.sub("", body) == ""
        assert [int(number) for number, *_ in intervals] == list(range(1, int(size) + 1))
        # Intervals cover the tier without gap or overlap, to the letter, and none is empty.
        assert (intervals[0][1], intervals[-1][2]) == (first, last)
        assert all(a[2] == b[1] for a, b in itertools.pairwise(intervals))
        assert all(float(a) < float(b) for _, a, b, _ in intervals)
        grid[name] = [(float(a), float(b), label) for _, a, b, label in intervals]
    return grid


def test_textgrid() -> None:
    """Two tiers, of regions and of cells, that cover the recording."""
    text = written("textgrid", ("a", TWO))
    assert "\nxmax = 5000.5\n" in text
    assert tiers(text) == {
        "regions": [
            (0.0, 1.2504, ""),
            (1.2504, 3.0, "synthetic 0.97"),
            (3.0, 3723.9996, ""),
            (3723.9996, 3725.0, "synthetic 0.97"),
            (3725.0, 5000.5, ""),
        ],
        "P(deepfake)": [
            (0.0, 1.0, "0.12"),
            (1.0, 2.0, "0.50"),
            (2.0, 3.0, "0.88"),
            (3.0, 4.0, "0.98"),
            (4.0, 5000.5, ""),
        ],
    }


@pytest.mark.parametrize("which", [NONE, SILENT], ids=["no region", "no speech"])
def test_textgrid_without_regions(which: Detection) -> None:
    """One empty interval covers all of it."""
    assert tiers(written("textgrid", ("a", which)))["regions"] == [(0.0, 5000.5, "")]


def test_textgrid_of_a_whole_recording() -> None:
    """A region from beginning to end leaves no room for empty intervals."""
    whole = detection((0.0, 4.0), duration=4.0)
    assert tiers(written("textgrid", ("a", whole)))["regions"] == [(0.0, 4.0, "synthetic 0.97")]
    assert len(tiers(written("textgrid", ("a", whole)))["P(deepfake)"]) == 4


@settings(deadline=None)
@given(st.lists(st.floats(0, 9000), max_size=8, unique=True), st.floats(1e-6, 2000), st.integers(0, 9))
def test_any_regions_can_be_read_back(edges: list[float], rest: float, cells: int) -> None:
    """Wherever regions lie, each format is valid; to its precision, TextGrid and labels hold them."""
    edges = sorted(edges)
    regions = list(zip(edges[::2], edges[1::2], strict=False))
    made = detection(*regions, cells=cells, duration=max([cells, *edges]) + rest)
    kept = [(a, b) for a, b, text in tiers(written("textgrid", ("a", made)))["regions"] if text]
    wide = [(a, b) for a, b in regions if f"{a:.6f}" != f"{b:.6f}"]
    np.testing.assert_allclose(np.array(kept).reshape(-1, 2), np.array(wide).reshape(-1, 2), rtol=0, atol=2e-6)
    labels = [line.split("\t")[:2] for line in written("audacity", ("a", made)).splitlines()]
    np.testing.assert_allclose(np.array(labels, dtype=float).ravel(), np.array(regions).ravel(), rtol=0, atol=1e-6)
    shown = cues(written("srt", ("a", made)))
    assert [start for _, start, _, _ in shown] == pytest.approx([start for start, _ in regions], abs=6e-4)
    assert all(start <= end for _, start, end, _ in shown)
    assert len(written("rttm", ("a", made)).splitlines()) == len(regions)


# --- all -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_recordings_without_regions(name: str) -> None:
    """No format invents one, and none fails without a timeline."""
    for which in (NONE, SILENT, dataclasses.replace(NONE, regions=None, timeline=None)):
        assert "synthetic" not in written(name, ("a", which))


@pytest.mark.parametrize("name", FORMATS)
def test_only_some_formats_hold_many(name: str) -> None:
    """Those that do name each recording in each row or line."""
    lines = written(name, ("a", TWO), ("b", dataclasses.replace(TWO, path="b.wav"))).splitlines()
    told = all(("a" in line.split(",")[0] or "b" in line.split(",")[0]) for line in lines) if name == "csv" else False
    told = told or all(line.split(" ")[1] in {"a", "b"} for line in lines if name == "rttm")
    assert FORMATS[name].holds_many == (name in {"csv", "rttm"})
    if FORMATS[name].holds_many:
        assert told


# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        pytest.param(["a.wav"], ["a"], id="one"),
        pytest.param(["x/a.wav", "x/b.mp3"], ["a", "b"], id="one directory"),
        pytest.param(["x/s1/001.wav", "x/s2/001.wav"], ["s1_001", "s2_001"], id="several directories"),
        pytest.param(["x/a.wav", "x/a.mp3", "x/A.ogg", "x/a-2.wav"], ["a", "a-2", "A-3", "a-2-2"], id="alike"),
        pytest.param(["-"], ["stdin"], id="standard input"),
        pytest.param(["-", "stdin.wav", "x/a.wav"], ["stdin", "stdin-2", "x_a"], id="standard input and a file"),
        pytest.param(["../../etc/passwd", "a.wav"], None, id="upwards"),
        pytest.param(["two words.wav"], ["two_words"], id="a blank"),
        pytest.param(["<img src=x onerror=alert(1)>.wav"], ["_img_src_x_onerror_alert_1__"], id="markup"),
        pytest.param(["a\nb\tc.wav"], ["a_b_c"], id="control characters"),
        pytest.param(["日本語 ünï.wav"], ["日本語_ünï"], id="other letters"),
        pytest.param(["u\u0308.wav", "ü.wav"], ["ü", "ü-2"], id="the same letter, written in two ways"),
        pytest.param([os.fsdecode(b"caf\xe9.wav")], ["caf_"], id="no UTF-8"),
        pytest.param(["con.wav", "NUL.tar.wav", "console.wav"], ["_con", "_NUL.tar", "console"], id="devices"),
        pytest.param(["..."], ["recording"], id="nothing but dots"),
        pytest.param([".hidden.wav", ".wav"], ["hidden", "wav"], id="dots at the beginning"),
        pytest.param(["a.b.c.wav"], ["a.b.c"], id="several suffixes"),
        pytest.param(["no suffix"], ["no_suffix"], id="none"),
    ],
)
def test_names(paths: list[str], names: list[str] | None) -> None:
    """Names are those of the files where that is safe, with the directories that they differ in."""
    found = recording_names(paths)
    assert names is None or found == names
    assert_safe(found)


def test_long_names_are_cut_at_their_beginning() -> None:
    """What remains fits into a file name, and tells its recordings apart."""
    found = recording_names([f"{'ä' * 100}{'/deep' * 30}/{n}.wav" for n in range(3)] + ["z.wav"])
    assert_safe(found)
    assert [name[-7:] for name in found[:3]] == ["_deep_0", "_deep_1", "_deep_2"]
    assert_safe(recording_names(["ä" * 120 + ".wav"] * 12))


def test_names_of_recordings_that_share_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On several drives, as Windows has, names hold the whole path."""

    def refuse(paths: set[str]) -> str:
        raise ValueError(f"Paths don't have the same drive: {paths}")

    monkeypatch.setattr(os.path, "commonpath", refuse)
    found = recording_names(["/c/x/a.wav", "/d/x/a.wav"])
    assert [name[-5:] for name in found] == ["c_x_a", "d_x_a"]
    assert_safe(found)


@given(st.lists(st.text(min_size=1), max_size=9))
def test_any_names_are_safe(paths: list[str]) -> None:
    """Whatever a path holds, its name can be a file's, and no two are alike."""
    assert_safe(recording_names(paths))


def assert_safe(names: list[Any]) -> None:
    """Names are single, printable parts of a path, short enough, without blanks, and differ in more than case."""
    for name in names:
        assert re.fullmatch(r"[\w.-]+", name)
        assert not name.startswith(".")
        assert len(name.encode()) <= 230
        assert name.isprintable()
    assert len({name.casefold() for name in names}) == len(names)
