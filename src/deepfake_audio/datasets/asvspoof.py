"""
ASVspoof 2019, 2021 and 5: their protocols and keys, and the folders of their audio.

Positions of columns are those of the published files, not of their descriptions, which differ.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from deepfake_audio.datasets.core import LABELS
from deepfake_audio.datasets.folders import subdirectories
from deepfake_audio.datasets.protocols import Protocol, existing, read_protocol, upwards
from deepfake_audio.datasets.text import first_line, rows
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from deepfake_audio.datasets.core import Utterance

# --- ASVspoof 2019 ---------------------------------------------------------------------------------------------

_COLUMNS_2019 = ("speaker", "utterance", "environment", "system", "key")
_PROTOCOLS_2019 = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
_NAME_2019 = re.compile(r"ASVspoof2019\.(LA|PA)\.cm\.(train|dev|eval)\.")
_ID_2019 = re.compile(r"(LA|PA)_([TDE])_\d+")
_LETTERS = {"T": "train", "D": "dev", "E": "eval"}


def is_2019(root: Path) -> bool:
    """Return whether the protocols of LA or PA are at or right below a directory, or this is one of them."""
    return _is_protocol_2019(root) if root.is_file() else bool(_parts_2019(root))


def _is_protocol_2019(path: Path) -> bool:
    cells = first_line(path).split()
    return path.name.startswith("ASVspoof2019.") or (
        len(cells) == len(_COLUMNS_2019) and bool(_ID_2019.fullmatch(cells[1])) and cells[-1].lower() in LABELS
    )


def _parts_2019(root: Path) -> list[tuple[Path, str]]:
    """Return (directory, LA or PA) of each part at or right below the root."""
    return [
        (directory, part)
        for part in ("LA", "PA")
        for directory in (root, root / part)
        if (directory / f"ASVspoof2019_{part}_cm_protocols").is_dir()
    ]


def read_2019(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read lines of ``SPEAKER UTTERANCE ENVIRONMENT SYSTEM KEY``; LA says no environment."""
    if root.is_file() and _is_protocol_2019(root):
        return read_protocol(_protocol_2019(root))
    parts = _parts_2019(root)
    if not parts:
        raise DataError(
            f"{root}: expected a directory ASVspoof2019_LA_cm_protocols or ASVspoof2019_PA_cm_protocols here, or a "
            "protocol of five columns"
        )
    if len(parts) > 1:
        raise DataError(f"{root}: holds both LA and PA; give {' or '.join(str(directory) for directory, _ in parts)}")
    ((directory, part),) = parts
    names = [f"ASVspoof2019.{part}.cm.{name}.txt" for name in _PROTOCOLS_2019.values()]
    protocols = [directory / f"ASVspoof2019_{part}_cm_protocols" / name for name in names]
    if not any(path.is_file() for path in protocols):
        raise DataError(f"{protocols[0].parent}: expected {', '.join(names)} here, none is there")
    return (utterance for path in protocols if path.is_file() for utterance in read_protocol(_protocol_2019(path)))


def _protocol_2019(path: Path) -> Protocol:
    """Find a protocol's part, partition and audio by its name, or by its first utterance where it was renamed."""
    part, partition = "", ""
    if named := _NAME_2019.match(path.name):
        part, partition = named.groups()
    elif known := _ID_2019.search(first_line(path)):
        part, partition = known[1], _LETTERS[known[2]]
    *_, above = upwards(path, 2)
    directory = above / f"ASVspoof2019_{part}_{partition}" / "flac"
    return Protocol(path, _COLUMNS_2019, lambda _: (partition, directory), source=part)


# --- ASVspoof 2021 ---------------------------------------------------------------------------------------------

_COLUMNS_2021 = {
    "LA": ("speaker", "utterance", "codec", "transmission", "system", "key", "trim", "subset"),
    "PA": (
        "speaker",
        "utterance",
        "asv_room",
        "asv_mic",
        "dis_to_asv",
        "att_room",
        "att_mic",
        "att_d",
        "att_to_spk",
        "key",
        "trim",
        "subset",
    ),
    "DF": (
        "speaker",
        "utterance",
        "codec",
        "source",
        "system",
        "key",
        "trim",
        "subset",
        "vocoder",
        "task",
        "team",
        "gender_pair",
        "language",
    ),
}
_TRACKS_2021 = {len(columns): track for track, columns in _COLUMNS_2021.items()}
_KEY_2021 = "trial_metadata.txt"
_AUDIO_2021 = re.compile(r"ASVspoof2021_(LA|PA|DF)_eval")


def is_2021(root: Path) -> bool:
    """Return whether keys or audio of 2021 are at or below a directory, or this is a key file."""
    if root.is_file():
        return root.name.startswith((_KEY_2021, "ASVspoof2021.")) or _is_key_2021(root)
    return any(_AUDIO_2021.fullmatch(path.name) for path in (root, *subdirectories(root))) or bool(_keys_2021(root))


def _is_key_2021(path: Path) -> bool:
    cells = first_line(path).split()
    track = _TRACKS_2021.get(len(cells))
    return track is not None and cells[_COLUMNS_2021[track].index("key")].lower() in LABELS


def read_2021(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read the keys of one track: lines of 8 columns are LA's, of 12 PA's, of 13 DF's."""
    keys = [root] if root.is_file() else _keys_2021(root)
    if not keys:
        raise DataError(
            f"{root}: expected keys/LA/CM/{_KEY_2021} (or PA or DF) here or next to it; the list of trials beside the "
            "audio says no labels"
        )
    protocols = {protocol.source: protocol for protocol in map(_protocol_2021, reversed(keys))}
    if named := _AUDIO_2021.fullmatch(root.name):
        protocols = {track: protocol for track, protocol in protocols.items() if track == named[1]}
        if not protocols:
            raise DataError(f"{root}: holds {named[1]}, but the only keys are {' and '.join(map(str, keys))}")
    if len(protocols) > 1:
        *others, last = sorted(protocols)
        raise DataError(
            f"{root}: holds keys of {', '.join(others)} and {last}; give one of them: "
            f"{' or '.join(str(protocols[track].path) for track in sorted(protocols))}"
        )
    (protocol,) = protocols.values()
    return read_protocol(protocol)


def _keys_2021(root: Path) -> list[Path]:
    """Return the key files at, below, and for a directory of audio also next to a root."""
    beside = [next(upwards(root, 1))] if _AUDIO_2021.fullmatch(root.name) else []
    below = [path for path in subdirectories(root) if "2021" in path.name or "keys" in path.name]
    bases = [base / keys for base in (root, *beside, *below) for keys in ("", "keys")]
    found = [base / folder / _KEY_2021 for base in bases for folder in ("LA/CM", "PA/CM", "DF/CM", "CM", "")]
    return list(dict.fromkeys(path for path in found if path.is_file()))


def _protocol_2021(key: Path) -> Protocol:
    number, cells = next(rows(key), (1, []))
    track = _TRACKS_2021.get(len(cells))
    if track is None:
        raise DataError(
            f"{key}, line {number}: expected 8 columns (LA), 12 (PA) or 13 (DF), found {len(cells)}; a list of trials "
            f"without keys does not do: give keys/LA/CM/{_KEY_2021} (or PA or DF)"
        )
    name = f"ASVspoof2021_{track}_eval"
    above = list(upwards(key, 5))
    beside_keys = next((base.parent for base in above if base.name == "keys"), above[0])
    places = [base if base.name == name else base / name for base in (beside_keys, *above)]
    directory = existing([place / "flac" for place in places])
    return Protocol(key, _COLUMNS_2021[track], lambda _: ("eval", directory), source=track)


# --- ASVspoof 5 ------------------------------------------------------------------------------------------------

_COLUMNS_5 = (
    "speaker",
    "utterance",
    "gender",
    "codec",
    "codec_quality",
    "codec_seed",
    "attack_tag",
    "system",
    "key",
    "tmp",
)
# Keys for the official scorer have a header: its names -> ours.
_HEADER_5 = {
    "filename": "utterance",
    "trial_anon": "utterance",
    "spk": "speaker",
    "tar_spk_anon": "speaker",
    "attack_anon": "system",
    "cm-label": "key",
}
# What protocols are unpacked into; the directories of audio have too many files to be looked through.
_PROTOCOLS_5 = re.compile("asvspoof5|protocol", re.IGNORECASE)
_AUDIO_5 = {"T": "flac_T", "D": "flac_D", "E": "flac_E_eval"}


def is_5(root: Path) -> bool:
    """Return whether protocols of track 1 are at or right below a directory, or this is a protocol or a key."""
    if not root.is_file():
        return bool(_protocols_5(root))
    cells = first_line(root).split()
    return (
        root.name.startswith("ASVspoof5.")
        or "cm-label" in cells
        or (len(cells) == len(_COLUMNS_5) and cells[_COLUMNS_5.index("key")].lower() in LABELS)
    )


def _protocols_5(root: Path) -> list[Path]:
    """Return the protocols of train, dev and eval that are there, in this order."""
    places = [root, *(path for path in subdirectories(root) if _PROTOCOLS_5.search(path.name))]
    found: list[Path] = []
    for partition in _LETTERS.values():
        names = (f"ASVspoof5.{partition}.tsv", f"ASVspoof5.{partition}.track_1.tsv")
        there = (place / name for place in places for name in names if (place / name).is_file())
        found += itertools.islice(there, 1)
    return found


def read_5(root: Path, _columns: Mapping[str, str]) -> Iterator[Utterance]:
    """Read the ten columns of track 1 (their README says five), or a key whose header has ``cm-label``."""
    protocols = [root] if root.is_file() else _protocols_5(root)
    if not protocols:
        raise DataError(f"{root}: expected ASVspoof5.train.tsv or ASVspoof5.eval.track_1.tsv here or right below")
    bases = [] if root.is_file() else [root]
    return (utterance for path in protocols for utterance in read_protocol(_protocol_5(path, bases)))


def _protocol_5(path: Path, bases: Sequence[Path]) -> Protocol:
    cells = first_line(path).split()
    has_header = "cm-label" in cells
    columns = tuple(_HEADER_5.get(name, name) for name in cells) if has_header else _COLUMNS_5
    if "utterance" not in columns:
        raise DataError(f"{path}, line 1: expected a column filename beside cm-label, found {', '.join(cells)}")
    above = [*bases, *upwards(path, 2)]
    places = {
        letter: (partition, existing([base / _AUDIO_5[letter] for base in above]))
        for letter, partition in _LETTERS.items()
    }
    elsewhere = ("", above[0])
    return Protocol(
        path,
        columns,
        lambda utterance_id: places.get(utterance_id[:1], elsewhere),
        source="ASVspoof5",
        has_header=has_header,
    )
