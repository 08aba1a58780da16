"""Sections as text for a terminal, as Markdown, and as one self-contained HTML page."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from deepfake_audio.reports.assessment import Assessment, Section, sections
from deepfake_audio.reports.tables import console_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LIMITS = (
    (
        "These figures hold for these recordings. On other voices, microphones, languages and generators a detector "
        "does worse, most of all on generators that it has never heard."
    ),
    (
        "The equal error rate assumes that somebody knew the best threshold for these very recordings; a user has "
        "only the threshold that is stored with the model."
    ),
    (
        "A verdict about one recording is evidence, not proof. Probabilities assume that deepfakes and genuine "
        "recordings are equally likely beforehand."
    ),
)


def write_text(assessment: Assessment, stream: TextIO) -> None:
    """Write tables for a terminal or a text file."""
    console = console_for(stream)
    console.print(Text(assessment.title, style="bold"))
    for section in sections(assessment):
        table = Table(box=None, pad_edge=False, header_style="bold", title=f"\n{section.title}", title_justify="left")
        for number, header in enumerate(section.headers):
            table.add_column(header, justify="right" if number else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
        for paragraph in section.text:
            console.print(Text(paragraph))


def markdown(assessment: Assessment, plots: Mapping[str, str]) -> str:
    """
    Return a report in Markdown.

    Args:
        assessment: What was found.
        plots: Name of a plot -> where its file lies, seen from the report.
    """
    lines = [f"# {_escaped(assessment.title)}", "", _facts_as_markdown(assessment), ""]
    for section in sections(assessment):
        lines += [f"## {_escaped(section.title)}", "", *_markdown_table(section), ""]
        for paragraph in section.text:
            lines += [_escaped(paragraph), ""]
        lines += [f"![{name}]({_address(plots[name])})\n" for name in section.plots if name in plots]
    lines += ["## Limits", "", *(f"- {limit}" for limit in LIMITS), ""]
    return "\n".join(lines)


def _address(path: str) -> str:
    return f"<{path}>" if re.search(r"[\s()]", path) else path


def _facts(assessment: Assessment) -> list[tuple[str, str]]:
    """Return what was evaluated, on what, when and with which command."""
    model = "" if assessment.model is None else f"{assessment.model.name}, SHA-256 {assessment.model.sha256}"
    facts = [
        ("Model", model),
        ("Scores" if assessment.model is None else "", assessment.subject),
        ("Data", f"{assessment.data} ({assessment.layout})" if assessment.data else assessment.layout),
        ("Partition", ", ".join(assessment.partitions)),
        ("Subset", ", ".join(assessment.subsets)),
        ("Command", assessment.command),
        ("Date", assessment.date),
        ("Versions", ", ".join(f"{name} {version}" for name, version in assessment.versions.items())),
    ]
    return [(name, value) for name, value in facts if name and value]


def _facts_as_markdown(assessment: Assessment) -> str:
    return "\n".join(f"- {name}: {_escaped(value)}" for name, value in _facts(assessment))


def _escaped(text: str) -> str:
    """Return a text without any meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)


def _markdown_table(section: Section) -> Iterable[str]:
    if not section.rows:
        return
    yield "| " + " | ".join(_escaped(header) for header in section.headers) + " |"
    yield "|---" + "|---:" * (len(section.headers) - 1) + "|"
    for row in section.rows:
        yield "| " + " | ".join(_escaped(cell) for cell in row) + " |"


_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
td + td { white-space: nowrap; }
thead th { border-bottom: 1px solid var(--line); } tbody tr:hover { background: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
figure { margin: 0; background: #fff; flex: 1 1 26rem; max-width: 44rem; border: 1px solid var(--line); }
figure svg { display: block; width: 100%; height: auto; }
.headline { font-size: 1.1rem; border-left: 4px solid #0072b2; padding: .5rem 1rem; background: var(--soft); }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def page(assessment: Assessment, drawings: Mapping[str, str]) -> str:
    """
    Return a report as one HTML page that needs nothing from outside.

    Args:
        assessment: What was found.
        drawings: Name of a plot -> its SVG element.
    """
    text = html.escape
    facts = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in _facts(assessment))
    body = "".join(_section_as_html(section, drawings) for section in sections(assessment))
    limits = "".join(f"<li>{text(limit)}</li>" for limit in LIMITS)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing is loaded and nothing runs, whatever a file name or a label may hold.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{text(assessment.title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{text(assessment.title)}</h1>\n"
        f'<p class="headline">{text(headline(assessment))}</p>\n<dl>{facts}</dl>\n{body}'
        f"<section><h2>Limits</h2><ul>{limits}</ul></section></body></html>\n"
    )


def headline(assessment: Assessment) -> str:
    """Return the result in two sentences."""
    evaluation = assessment.evaluation
    at = evaluation.at_threshold
    n = f"{evaluation.n_bonafide:,} genuine and {evaluation.n_spoof:,} deepfake recordings"
    return (
        f"On {n}, at {assessment.threshold_name}, balanced accuracy is {100 * at.balanced_accuracy:.1f} %: "
        f"{100 * at.frr:.1f} % of the genuine ones are called deepfake, {100 * at.far:.1f} % of the deepfakes genuine. "
        f"The equal error rate is {100 * evaluation.figures['eer'].value:.1f} %."
    )


def _section_as_html(section: Section, drawings: Mapping[str, str]) -> str:
    parts = [f"<section><h2>{html.escape(section.title)}</h2>"]
    if section.rows:
        head = "".join(f'<th scope="col">{html.escape(header)}</th>' for header in section.headers)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows
        )
        parts.append(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>')
    parts += [f"<p>{html.escape(paragraph)}</p>" for paragraph in section.text]
    figures = "".join(f"<figure>{drawings[name]}</figure>" for name in section.plots if name in drawings)
    if figures:
        parts.append(f'<div class="plots">{figures}</div>')
    return "".join(parts) + "</section>\n"
