"""Evaluations as text, Markdown and HTML: all say the same, nothing breaks out, nothing comes from outside."""

from __future__ import annotations

import dataclasses
import html.parser
import io
import re
from pathlib import Path

import numpy as np
import pytest

from deepfake_audio.datasets import Label, Utterance
from deepfake_audio.detector import ModelRef
from deepfake_audio.evaluation import Trials, compare, evaluate
from deepfake_audio.reports.assessment import Assessment, Section, sections
from deepfake_audio.reports.documents import markdown, page, write_text
from deepfake_audio.shortcuts import Joint, Shortcut, ShortcutCheck
from deepfake_audio.stress import StressRow

ODD = "<img src=x onerror=alert(1)>|*_`[x](y)\n"


def trials(shift: float = 0.0, source: str = "demo", n: int = 40) -> Trials:
    """Return made-up trials of two systems, with verdicts."""
    rng = np.random.default_rng(1)
    utterances, scores = [], []
    for number in range(n):
        label = Label.SPOOF if number % 2 else Label.BONAFIDE
        system = f"A0{1 + number % 4 // 2}" if number % 2 else ""
        utterances.append(Utterance(Path(f"{number}.wav"), label, str(number), source=source, system=system))
        scores.append(float(rng.normal(-1.5 if number % 2 else 1.5)) + shift)
    verdicts = tuple("inconclusive" if abs(x) < 0.7 else "genuine" if x > 0 else "deepfake" for x in scores)
    return Trials(tuple(utterances), np.array(scores), 0.0, verdicts, np.full(n, 3.0))


ROW = StressRow("clean", 20, 20, 0, 0.1, 0.2, 0.3, 0.75, 0.0, 0.0, 0.0, 0.0)
STRESS = (ROW, dataclasses.replace(ROW, condition="MP3 32 kbit/s", eer=0.15, eer_change=0.05, llr_change_median=0.5))
SHORTCUTS = ShortcutCheck(
    20,
    20,
    (),
    (
        Shortcut("leading silence", "s", 0.1, 0.4, "spoof", 0.9, 0.62, 0.15, tells_apart=True),
        Shortcut("file format", "", "wav", "mp3", None, 0.5, 0.62, 0.5, tells_apart=False),
    ),
    Joint(5, "group", auc=0.95, chance_auc=0.62, eer=0.12, tells_apart=True),
)


def assessment(subject: str = "default", data: str = "corpus", source: str = "demo") -> Assessment:
    """Return what an evaluation with everything switched on may have found."""
    first, second = trials(source=source), trials(0.5, source=source)
    return Assessment(
        subject,
        data,
        "csv",
        ("dev",),
        (),
        ModelRef(subject, "0" * 64),
        evaluate(first, n_resamples=20),
        compare({subject: first, "other": second}, n_resamples=20),
        STRESS,
        SHORTCUTS,
        command="deepfake-audio evaluate corpus --stress",
        date="2026-01-02T03:04:05+00:00",
        versions={"deepfake-audio": "0.1.0", "numpy": "2.0"},
    )


TITLES = [
    "Overall",
    "Decisions at the model's own threshold, and at the one that the EER assumes to be known",
    "Verdicts",
    "If only the most certain got a verdict",
    "By system",
    "Compared",
    "Under stress",
    "Shortcuts in the data",
]


def text(found: Assessment) -> str:
    """Return an assessment as text."""
    stream = io.StringIO()
    write_text(found, stream)
    return stream.getvalue()


def test_sections() -> None:
    """There is a section for each thing that was found, and each table has as many cells as headers."""
    told = list(sections(assessment()))
    assert [section.title for section in told] == TITLES
    for section in told:
        assert section.rows
        assert {len(row) for row in section.rows} == {len(section.headers)}


def test_sections_without_extras() -> None:
    """Scores alone, without verdicts, comparison, stress and so on, leave their sections out."""
    bare = dataclasses.replace(trials(), verdicts=None, durations=None)
    found = Assessment("scores.txt", "", "asvspoof2019", (), (), None, evaluate(bare, by=()))
    assert [section.title for section in sections(found)] == [TITLES[0], TITLES[1], TITLES[3]]


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_all_forms_say_the_same(form: str) -> None:
    """Every title, header, cell and sentence of every section is in each form."""
    found = assessment()
    written = {"text": text(found), "markdown": markdown(found, {}), "html": page(found, {})}[form]
    written = re.sub(r"\s+", " ", visible(written) if form == "html" else written.replace("\\", ""))
    for section in sections(found):
        for words in (section.title, *section.text, *(cell for row in section.rows for cell in row)):
            assert re.sub(r"\s+", " ", words) in written


class Text(html.parser.HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.words.append(data)


def parsed(written: str) -> Text:
    """Return a page in parts."""
    parser = Text()
    parser.feed(written)
    parser.close()
    return parser


def visible(written: str) -> str:
    """Return the text of a page."""
    return "".join(parsed(written).words)


def test_page_is_self_contained() -> None:
    """Nothing is loaded, nothing runs, and the page says so to the browser as well."""
    found = parsed(page(assessment(), {"roc": "<svg><title>a curve</title></svg>"}))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name in {"src", "href", "action"} or name.startswith("on")]
    policy = dict(found.attributes)["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "a curve" in found.words


def test_page_names_command_versions_and_limits() -> None:
    """An editor or a lawyer finds what was run, when, with what, and what it does not say."""
    words = visible(page(assessment(), {}))
    for expected in ("0" * 64, "evaluate corpus --stress", "2026-01-02T03:04:05", "numpy 2.0", "Limits", "not proof"):
        assert expected in words


def test_odd_names_stay_text() -> None:
    """A name that looks like HTML or Markdown is shown as it is, in every place where a name can stand."""
    found = assessment(ODD, ODD, ODD)
    written = parsed(page(found, {}))
    assert "img" not in written.tags
    assert "onerror=alert(1)" in "".join(written.words)
    marked = markdown(found, {})
    assert "<img" not in marked.replace("\\<img", "")
    assert not re.search(r"(?<!\\)\[x\]", marked)
    tables = [line for line in marked.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", tables[0])) for line in tables[:3])


def test_markdown_shows_plots_where_they_lie() -> None:
    """A plot stands in its section; a path with a blank is written so that it can be read."""
    marked = markdown(assessment(), {"roc": "plots/roc.png", "stress": "my plots/stress.png"})
    assert "![roc](plots/roc.png)" in marked.partition("## Decisions")[0]
    assert "![stress](<my plots/stress.png>)" in marked
    assert "![det]" not in marked


def test_every_table_of_the_text_has_its_title() -> None:
    """The text begins with what was evaluated on what, and has a title above each table."""
    lines = [line.strip() for line in text(assessment()).splitlines()]
    assert lines[0] == "default on corpus, partition dev"
    assert [line for line in lines if line in TITLES] == TITLES


def test_few_of_a_system_are_counted() -> None:
    """A system of fewer than five deepfakes is left out of the table, and that is said."""
    few = trials(n=16)
    found = dataclasses.replace(assessment(), evaluation=evaluate(few))
    (section,) = (section for section in sections(found) if section.title == "By system")
    assert section.rows == ()
    assert any("Not shown: 2 with fewer than 5 deepfakes" in sentence for sentence in section.text)


def test_many_parts_are_cut_short() -> None:
    """Of a hundred speakers those with the most recordings are shown, in the order of their names, and that is said."""
    many = trials(n=300)
    speakers = [f"p{number % 100:03}" if number < 200 else f"p{number % 10:03}" for number in range(300)]
    spoken = tuple(dataclasses.replace(u, speaker=s) for u, s in zip(many.utterances, speakers, strict=True))
    found = dataclasses.replace(assessment(), evaluation=evaluate(dataclasses.replace(many, utterances=spoken)))
    (section,) = (section for section in sections(found) if section.title == "By speaker")
    names = [row[0] for row in section.rows]
    assert len(names) == 60
    assert names == sorted(names)
    assert names[:10] == [f"p{number:03}" for number in range(10)]
    assert "Shown are the 60 of 100 with the most recordings; JSON has all." in section.text


def test_section_is_plain() -> None:
    """A section without a table is a title and sentences."""
    assert Section("x", ("y",)).rows == ()
