"""
Data sets: from a directory or a manifest to a list of utterances.

Every layout is one entry of ``LAYOUTS``: how to recognise it, and how to read it. A layout that does not fit is a
``DataError`` that says which file and line, what was expected and what was found.

- ``folders``       a directory whose sub-directories, at any depth, are named after a label
- ``csv``           a manifest with a header; columns are found by name
- ``asvspoof2019``  ASVspoof 2019 LA or PA as it is unpacked
"""

from __future__ import annotations

import contextlib
import csv
import enum
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class Label(enum.StrEnum):
    """The field's words; a person reads genuine and deepfake."""

    BONAFIDE = "bonafide"
    SPOOF = "spoof"


_LABELS = {
    **dict.fromkeys(("bonafide", "bona fide", "bona-fide", "bona_fide", "genuine", "real", "human"), Label.BONAFIDE),
    **dict.fromkeys(("spoof", "spoofed", "deepfake", "fake", "synthetic"), Label.SPOOF),
}
_PARTITIONS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing"), "eval"),
}
AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".m4a",
        ".mp4",
        ".aac",
        ".webm",
        ".mkv",
        ".mka",
        ".mov",
        ".3gp",
        ".amr",
        ".wma",
    ]
)


@dataclass(frozen=True)
class Utterance:
    """
    One recording of a data set.

    Attributes:
        path: The audio file.
        label: Bona fide or spoof.
        utterance_id: Its name in the data set.
        partition: ``train``, ``dev``, ``eval`` or another word of the data set; empty where there is none.
        source: Where the recording comes from: a data set, a page, a folder.
        group: What must not be on both sides of a split: speaker, author, list of sentences.
        system: What synthesised it; empty for bona fide.
        speaker: Who speaks, where known.
    """

    path: Path
    label: Label
    utterance_id: str
    partition: str = ""
    source: str = ""
    group: str = ""
    system: str = ""
    speaker: str = ""

    @property
    def is_bonafide(self) -> bool:
        """Whether a person spoke it."""
        return self.label is Label.BONAFIDE


@dataclass(frozen=True)
class Dataset:
    """The utterances of one data set, and the name of its layout."""

    root: Path
    layout: str
    utterances: tuple[Utterance, ...]

    def select(self, partition: str) -> Dataset:
        """
        Return one partition, or several, such as ``train,dev``.

        Raises:
            DataError: If there is none of a name.
        """
        names = [name.strip() for name in partition.split(",")]
        wanted = {_PARTITIONS.get(name.lower(), name): name for name in names}
        if missing := [name for key, name in wanted.items() if key not in self.partitions]:
            there = ", ".join(self.partitions) or "none"
            raise DataError(f"{self.root}: has no partition {missing[0]!r}; partitions: {there}")
        return Dataset(self.root, self.layout, tuple(u for u in self.utterances if u.partition in wanted))

    @property
    def partitions(self) -> tuple[str, ...]:
        """The names of the partitions, in the order in which they appear."""
        return tuple(dict.fromkeys(u.partition for u in self.utterances if u.partition))

    @property
    def n_bonafide(self) -> int:
        """How many utterances are bona fide."""
        return sum(u.is_bonafide for u in self.utterances)

    @property
    def n_spoof(self) -> int:
        """How many utterances are spoofed."""
        return len(self.utterances) - self.n_bonafide


@dataclass(frozen=True)
class Layout:
    """A kind of data set: how to recognise one, and how to read it."""

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Mapping[str, str]], Iterator[Utterance]]


def read_dataset(
    root: str | os.PathLike[str], layout: str = "auto", columns: Mapping[str, str] | None = None
) -> Dataset:
    """
    Read a data set.

    Args:
        root: A directory, or a CSV manifest.
        layout: One of ``LAYOUTS``, or ``auto`` to recognise it.
        columns: For manifests whose header uses other names: our name -> theirs, such as ``{"path": "clip"}``.

    Raises:
        DataError: If nothing is there, or it does not fit the layout.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"{root}: there is no such directory or manifest")
    if layout == "auto":
        layout = _recognise(root)
    if layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}; layouts: auto, {', '.join(LAYOUTS)}")
    utterances = tuple(LAYOUTS[layout].read(root, columns or {}))
    if not utterances:
        raise DataError(f"{root}: no labelled audio files were found (layout {layout})")
    repeated = [path for path, count in Counter(u.path for u in utterances).items() if count > 1]
    if repeated:
        raise DataError(f"{root}: {len(repeated)} files are listed more than once, first {repeated[0]}")
    return Dataset(root, layout, utterances)


def _recognise(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(root):
            return name
    raise DataError(
        f"{root}: the layout was not recognised; expected a CSV manifest, sub-directories named bonafide (genuine, "
        "real) and spoof (deepfake, fake), or an unpacked ASVspoof 2019 directory"
    )


def _label(text: str, where: str) -> Label:
    try:
        return _LABELS[text.strip().lower()]
    except KeyError:
        raise DataError(f"{where}: expected a label such as bonafide or spoof, found {text!r}") from None


def audio_files(directory: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """
    Yield the audio files below a directory in a stable order.

    Hidden files and directories are left out, and links to directories are not followed.

    Args:
        directory: Where to look.
        on_error: Told of each directory that cannot be listed.

    Raises:
        DataError: If a directory cannot be listed and nobody is told: its files would be missing without a word.
    """
    for parent, directories, names in os.walk(directory, onerror=on_error or _refuse):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield Path(parent) / name


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: the directory cannot be listed ({error.strerror})") from error


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[TextIO]:
    """Open a manifest or protocol; what cannot be read is a ``DataError``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as text in UTF-8 ({error})") from error


# --- folders ---------------------------------------------------------------------------------------------------


def _is_folders(root: Path) -> bool:
    return root.is_dir() and any(_folder_label(path.relative_to(root)) for path in audio_files(root))


def _folder_label(relative: Path) -> Label | None:
    """Return the label that the nearest directory above a file names."""
    return next((_LABELS[part.lower()] for part in reversed(relative.parts[:-1]) if part.lower() in _LABELS), None)


def _read_folders(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    for path in audio_files(root):
        relative = path.relative_to(root)
        if label := _folder_label(relative):
            folders = relative.parts[:-1]
            partition = next((_PARTITIONS[part.lower()] for part in folders if part.lower() in _PARTITIONS), "")
            others = [part for part in folders if part.lower() not in {**_LABELS, **_PARTITIONS}]
            yield Utterance(
                path,
                label,
                utterance_id=relative.as_posix(),
                partition=partition,
                source="/".join(others),
                group="/".join(others),
                system="/".join(others) if label is Label.SPOOF else "",
            )


# --- csv -------------------------------------------------------------------------------------------------------

# Our name of a column -> the names under which it is found in headers.
_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "audio", "wav"),
    "label": ("label", "class", "target", "key"),
    "partition": ("partition", "split", "subset", "set"),
    "source": ("source", "dataset", "corpus"),
    "group": ("group", "fold"),
    "system": ("system", "attack", "attack_id", "generator"),
    "speaker": ("speaker", "speaker_id", "spk"),
}


def _is_csv(root: Path) -> bool:
    return root.is_file() and root.suffix.lower() in {".csv", ".tsv"}


def _read_csv(root: Path, columns: Mapping[str, str]) -> Iterator[Utterance]:
    if not root.is_file():
        raise DataError(f"{root}: the layout csv needs a manifest file, this is a directory")
    with _reading(root) as stream:
        rows = csv.DictReader(stream, delimiter=_delimiter(stream))
        places = _find_columns(root, rows.fieldnames or (), columns)
        for row in rows:
            where = f"{root}, line {rows.line_num}"
            values = {name: (row[header] or "").strip() for name, header in places.items()}
            if not any(values.values()):
                continue  # spreadsheets leave rows of nothing but separators
            if not values["path"]:
                raise DataError(f"{where}: the column {places['path']!r} is empty")
            yield _csv_utterance(root, values, where)


def _delimiter(stream: TextIO) -> str:
    """Return what separates the columns: of comma, semicolon and tab the one that the header has most of."""
    header = stream.readline()
    stream.seek(0)
    return max(",;\t", key=header.count)


def _csv_utterance(root: Path, values: Mapping[str, str], where: str) -> Utterance:
    label = _label(values["label"], where)
    partition = values.get("partition", "")
    return Utterance(
        _csv_path(root, values["path"]),
        label,
        utterance_id=values["path"],
        partition=_PARTITIONS.get(partition.lower(), partition),
        source=values.get("source", ""),
        group=values.get("group", ""),
        system=values.get("system", "") if label is Label.SPOOF else "",
        speaker=values.get("speaker", ""),
    )


def _csv_path(root: Path, text: str) -> Path:
    """Return where a file lies: seen from the manifest, unless its path is absolute."""
    path = root.parent / text
    if "\\" in text and not path.exists():
        return root.parent / text.replace("\\", "/")  # the manifest was written on Windows
    return path


def _find_columns(root: Path, header: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    found = {}
    by_lower = {name.strip().lower(): name for name in header}
    for ours, synonyms in _COLUMNS.items():
        if ours in chosen and chosen[ours] not in header:
            raise DataError(f"{root}: has no column {chosen[ours]!r}; columns: {', '.join(header)}")
        theirs = chosen.get(ours) or next((by_lower[name] for name in synonyms if name in by_lower), None)
        if theirs is not None:
            found[ours] = theirs
    if unknown := sorted(set(chosen) - set(_COLUMNS)):
        raise DataError(f"unknown column {unknown[0]!r}; columns that are used: {', '.join(_COLUMNS)}")
    for needed in ("path", "label"):
        if needed not in found:
            names = ", ".join(_COLUMNS[needed])
            raise DataError(
                f"{root}: needs a column for the {needed} ({names}); columns: {', '.join(header) or 'none'}"
            )
    return found


# --- ASVspoof 2019 ---------------------------------------------------------------------------------------------

_ASVSPOOF2019_PROTOCOLS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
_ASVSPOOF2019_COLUMNS = 5


def _is_asvspoof2019(root: Path) -> bool:
    return root.is_dir() and bool(_asvspoof2019_parts(root))


def _asvspoof2019_parts(root: Path) -> list[tuple[Path, str]]:
    """Return (directory, LA or PA) of each part at or right below the root."""
    return [
        (directory, part)
        for part in ("LA", "PA")
        for directory in (root, root / part)
        if (directory / f"ASVspoof2019_{part}_cm_protocols").is_dir()
    ]


def _read_asvspoof2019(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    parts = _asvspoof2019_parts(root)
    if not parts:
        raise DataError(
            f"{root}: expected a directory ASVspoof2019_LA_cm_protocols or ASVspoof2019_PA_cm_protocols here"
        )
    if len(parts) > 1:
        raise DataError(f"{root}: holds both LA and PA; give {' or '.join(str(directory) for directory, _ in parts)}")
    ((directory, part),) = parts
    for partition, name in _ASVSPOOF2019_PROTOCOLS.items():
        protocol = directory / f"ASVspoof2019_{part}_cm_protocols" / f"ASVspoof2019.{part}.cm.{name}.txt"
        if protocol.is_file():
            yield from _read_asvspoof2019_protocol(protocol, directory / f"ASVspoof2019_{part}_{partition}", partition)


def _read_asvspoof2019_protocol(protocol: Path, audio: Path, partition: str) -> Iterator[Utterance]:
    """Read lines of ``SPEAKER UTTERANCE ENVIRONMENT SYSTEM KEY``, separated by spaces."""
    with _reading(protocol) as lines:
        for number, line in enumerate(lines, start=1):
            columns = line.split()
            if not columns:
                continue
            where = f"{protocol}, line {number}"
            if len(columns) != _ASVSPOOF2019_COLUMNS:
                raise DataError(
                    f"{where}: expected 5 columns (speaker, utterance, environment, system, key), found {len(columns)}"
                )
            speaker, utterance, _environment, system, key = columns
            label = _label(key, where)
            yield Utterance(
                audio / "flac" / f"{utterance}.flac",
                label,
                utterance_id=utterance,
                partition=partition,
                source=utterance[:2],
                group=speaker,
                system=system if label is Label.SPOOF else "",
                speaker=speaker,
            )


LAYOUTS: dict[str, Layout] = {
    "csv": Layout(_is_csv, _read_csv),
    "asvspoof2019": Layout(_is_asvspoof2019, _read_asvspoof2019),
    "folders": Layout(_is_folders, _read_folders),
}
