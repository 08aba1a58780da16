"""Data sets: each layout as its owners publish it, and everything that can be wrong with a manifest."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from deepfake_audio.datasets import LAYOUTS, Dataset, Label, Utterance, audio_files, read_dataset
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

# Columns: speaker, utterance, environment, system, key. LA has no environment; PA names systems by two letters.
LA_PROTOCOL = "LA_0079 LA_T_1138215 - - bonafide\nLA_0080 LA_T_1271820 - A01 spoof\n"
PA_PROTOCOL = "PA_0079 PA_T_0000001 aaa - bonafide\nPA_0080 PA_T_0000002 abc BA spoof\n"


def touch(root: Path, *names: str) -> Path:
    """Make empty files; a data set is read without opening its audio."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def manifest(root: Path, text: str, name: str = "manifest.csv") -> Path:
    """Write a manifest."""
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def asvspoof(root: Path, part: str, **protocols: str) -> Path:
    """Write protocols in the directories of ASVspoof 2019; ``part`` is LA or PA."""
    directory = root / f"ASVspoof2019_{part}_cm_protocols"
    directory.mkdir(parents=True)
    for partition, text in protocols.items():
        suffix = "trn" if partition == "train" else "trl"
        (directory / f"ASVspoof2019.{part}.cm.{partition}.{suffix}.txt").write_text(text, encoding="utf-8")
    return root


def make_csv(root: Path) -> Path:
    """Write the smallest manifest."""
    return manifest(root, "path,label\na.wav,bonafide\nb.wav,spoof\n")


def make_asvspoof2019(root: Path) -> Path:
    """Write the smallest ASVspoof 2019 directory."""
    return asvspoof(root, "LA", train=LA_PROTOCOL)


def make_folders(root: Path) -> Path:
    """Make the smallest labelled folders."""
    return touch(root, "bonafide/a.wav", "spoof/b.wav")


EXAMPLES = {"csv": make_csv, "asvspoof2019": make_asvspoof2019, "folders": make_folders}


def only(data: Dataset, name: str) -> Utterance:
    """Return the one utterance of that id."""
    (found,) = [u for u in data.utterances if u.utterance_id == name]
    return found


# --- all layouts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_is_recognised_and_read(layout: str, tmp_path: Path) -> None:
    """Each layout has an example here, `auto` recognises it, and both classes are found."""
    root = EXAMPLES[layout](tmp_path)
    data = read_dataset(root)
    assert (data.layout, data.n_bonafide, data.n_spoof) == (layout, 1, 1)
    assert data == read_dataset(str(root), layout)
    assert [u.is_bonafide for u in data.utterances] == [True, False]


@pytest.mark.parametrize(
    ("make", "layout", "match"),
    [
        pytest.param(lambda root: root / "nowhere", "auto", "nowhere: there is no such directory", id="missing"),
        pytest.param(
            make_folders, "kaldi", "unknown layout 'kaldi'; layouts: auto, csv, asvspoof2019, folders", id="x"
        ),
        pytest.param(lambda root: root, "auto", "the layout was not recognised; expected a CSV", id="empty directory"),
        pytest.param(lambda root: root, "folders", "no labelled audio files were found", id="no folders"),
        pytest.param(lambda root: root, "asvspoof2019", "expected a directory ASVspoof2019_LA_cm_", id="no protocols"),
        pytest.param(lambda root: root, "csv", "needs a manifest file, this is a directory", id="no manifest"),
        pytest.param(make_csv, "folders", "the directory cannot be listed", id="file for folders"),
        pytest.param(make_csv, "asvspoof2019", "expected a directory ASVspoof2019_LA_cm_", id="file for asvspoof"),
        pytest.param(lambda root: touch(root, "a.wav") / "a.wav", "auto", "was not recognised", id="a recording"),
        pytest.param(lambda root: touch(root, "a.wav", "b/c.wav"), "auto", "was not recognised", id="no labels"),
        pytest.param(lambda root: touch(root, "spoof/readme.txt"), "auto", "was not recognised", id="no audio"),
    ],
)
def test_what_does_not_fit_a_layout(make: Callable[[Path], Path], layout: str, match: str, tmp_path: Path) -> None:
    """A place that holds no data set of that layout is refused, and the message says what was expected."""
    with pytest.raises(DataError, match=match):
        read_dataset(make(tmp_path), layout)


def test_select_a_partition(tmp_path: Path) -> None:
    """A partition is found by its name or a synonym of it; a wrong name is answered with the right ones."""
    data = read_dataset(touch(tmp_path, "train/real/a.wav", "val/real/b.wav", "val/fake/c.wav"))
    assert data.partitions == ("train", "dev")
    assert [u.path.name for u in data.select("dev").utterances] == ["c.wav", "b.wav"]
    assert data.select("Validation") == data.select("dev")
    assert data.select("train, validation") == data
    for wrong in ("eval", "train,eval"):
        with pytest.raises(DataError, match="has no partition 'eval'; partitions: train, dev"):
            data.select(wrong)


def test_select_without_partitions(tmp_path: Path) -> None:
    """A data set without partitions says so."""
    with pytest.raises(DataError, match="no partition 'dev'; partitions: none"):
        read_dataset(make_folders(tmp_path)).select("dev")


# --- folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", ["", "a/", "a/b/c/"])
@pytest.mark.parametrize(
    ("folder", "label"),
    [
        *((name, Label.BONAFIDE) for name in ("bonafide", "bona-fide", "genuine", "real", "Human", "Bona Fide")),
        *((name, Label.SPOOF) for name in ("spoof", "deepfake", "fake", "SPOOFED", "synthetic")),
    ],
)
def test_folder_names_are_labels(folder: str, label: Label, depth: str, tmp_path: Path) -> None:
    """A folder named after a label labels what is below it, at any depth and in any case."""
    data = read_dataset(touch(tmp_path, f"{depth}{folder}/speaker/x.wav"))
    assert [u.label for u in data.utterances] == [label]


def test_folders_give_partition_source_and_system(tmp_path: Path) -> None:
    """Folders that are neither label nor partition are the source, and for spoof the system (here: FoR's names)."""
    data = read_dataset(touch(tmp_path, "for-norm/training/real/a.wav", "for-norm/testing/fake/tts/b.wav"))
    folders = {"partition": "eval", "source": "for-norm/tts", "group": "for-norm/tts", "system": "for-norm/tts"}
    name = "for-norm/testing/fake/tts/b.wav"
    assert only(data, name) == Utterance(tmp_path / name, Label.SPOOF, name, **folders)
    folders = {"partition": "train", "source": "for-norm", "group": "for-norm", "system": ""}
    name = "for-norm/training/real/a.wav"
    assert only(data, name) == Utterance(tmp_path / name, Label.BONAFIDE, name, **folders)


def test_the_nearest_folder_decides(tmp_path: Path) -> None:
    """Of two labels above a file the nearer one counts; names above the root do not count at all."""
    root = touch(tmp_path / "fake", "fake/real/a.wav", "b.wav")
    assert [(u.path.name, u.label) for u in read_dataset(root).utterances] == [("a.wav", Label.BONAFIDE)]


@pytest.mark.parametrize(
    "name", ["two words.wav", "line\nbreak.wav", "komma,\"quote'.wav", "日本語.flac", "[bold]x.MP3"]
)
def test_odd_file_names(name: str, tmp_path: Path) -> None:
    """Every file name that a file system takes is read."""
    assert [u.path for u in read_dataset(touch(tmp_path, f"real/{name}")).utterances] == [tmp_path / "real" / name]


def test_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A name of bytes that are no UTF-8 is read like any other."""
    (tmp_path / "real").mkdir()
    path = Path(os.fsdecode(os.fsencode(tmp_path / "real") + b"/caf\xe9.wav"))
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert [u.path for u in read_dataset(tmp_path).utterances] == [path]


def test_audio_files_are_found_in_order(tmp_path: Path) -> None:
    """Only files with the suffix of audio are found, in a stable order; nothing hidden, nothing behind links."""
    root = touch(tmp_path / "root", "b/2.WAV", "b/10.opus", "a/x.m4a", "z.wav", "notes.txt", "noext", "a/x.wav.part")
    touch(root, ".hidden.wav", "__MACOSX/._z.wav", ".trash/old.wav", "b/.cache/y.wav")
    touch(tmp_path / "elsewhere", "far.wav")
    (root / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    found = [path.relative_to(root).as_posix() for path in audio_files(root)]
    assert found == ["z.wav", "a/x.m4a", "b/10.opus", "b/2.WAV"]


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without permission is an error: its files would be missing without a word."""
    real_scandir = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    touch(tmp_path, "real/a.wav", "real/closed/b.wav")
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"closed: the directory cannot be listed \(Permission denied\)"):
        read_dataset(tmp_path)


# --- csv -------------------------------------------------------------------------------------------------------


def test_csv_takes_all_columns(tmp_path: Path) -> None:
    """Every column that is known is taken, in any order; others are ignored; a bona fide utterance has no system."""
    text = (
        "speaker,seconds,label,split,path,source,group,system\n"
        "ann,3.4,genuine,validation,x/a.wav,page1,author1,human\n"
        "bob,2.0,fake,fold 7,b.wav,page2,author2,vits\n"
    )
    real, fake = read_dataset(manifest(tmp_path, text)).utterances
    assert real == Utterance(tmp_path / "x/a.wav", Label.BONAFIDE, "x/a.wav", "dev", "page1", "author1", "", "ann")
    assert fake == Utterance(tmp_path / "b.wav", Label.SPOOF, "b.wav", "fold 7", "page2", "author2", "vits", "bob")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("file,speaker,label\na b.wav,Ann,bona-fide\n", "meta.csv", id="In-the-Wild"),
        pytest.param("\ufefffilename,class\na b.wav,Real\n", "bom.csv", id="byte order mark"),
        pytest.param("  PATH , Label\n a b.wav , bona fide \n", "spaces.csv", id="spaces and case"),
        pytest.param("path\tlabel\na b.wav\tgenuine\n", "tabs.TSV", id="tabs"),
        pytest.param('"path","label"\r\n"a b.wav","human"\r\n\r\n', "crlf.csv", id="quotes, CRLF, blank line"),
        pytest.param("audio,key,extra\na b.wav,bonafide\n", "short.csv", id="short row"),
        pytest.param("path,label\na b.wav,bonafide,too,many\n", "long.csv", id="long row"),
        pytest.param("path,label\na b.wav,bonafide", "end.csv", id="no newline at the end"),
    ],
)
def test_csv_dialects(text: str, name: str, tmp_path: Path) -> None:
    """Headers are found by their synonyms, and the usual ways to write a table are all read."""
    (utterance,) = read_dataset(manifest(tmp_path, text, name)).utterances
    assert (utterance.path, utterance.label) == (tmp_path / "a b.wav", Label.BONAFIDE)


def test_csv_quoted_fields(tmp_path: Path) -> None:
    """Quoted commas, quotes and line breaks belong to the path, and line numbers go by lines of the file."""
    text = 'path,label\n"a, ""b""\nc.wav",real\nd.wav,perhaps\n'
    with pytest.raises(DataError, match=r"manifest.csv, line 4: .* found 'perhaps'"):
        read_dataset(manifest(tmp_path, text))
    (utterance,) = read_dataset(manifest(tmp_path, text.replace("perhaps", "real"))).utterances[:1]
    assert utterance.path == tmp_path / 'a, "b"\nc.wav'


def test_csv_columns_are_chosen(tmp_path: Path) -> None:
    """A column that is named by the user wins over one that is found by its header."""
    path = manifest(tmp_path, "path,clip,label,truth\nwrong.wav,right.wav,spoof,real\n")
    (utterance,) = read_dataset(path, columns={"path": "clip", "label": "truth"}).utterances
    assert (utterance.path.name, utterance.label) == ("right.wav", Label.BONAFIDE)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"path": "clip"}, "manifest.csv: has no column 'clip'; columns: path, label"),
        ({"colour": "label"}, "unknown column 'colour'; columns that are used: path, label, partition"),
    ],
    ids=["not in the header", "not one of ours"],
)
def test_csv_columns_that_are_not_there(columns: dict[str, str], match: str, tmp_path: Path) -> None:
    """A wrong name on either side of OURS=THEIRS is refused with the right ones."""
    with pytest.raises(DataError, match=match):
        read_dataset(make_csv(tmp_path), columns=columns)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param(b"", "needs a column for the path .*; columns: none", id="empty file"),
        pytest.param(b"path,label\n", "no labelled audio files were found", id="header only"),
        pytest.param(b"a.wav,bonafide\n", "needs a column for the path .*; columns: a.wav, bonafide", id="no header"),
        pytest.param(b"path,speaker\na.wav,x\n", r"needs a column for the label \(label, class", id="no label column"),
        pytest.param(b"label,speaker\nreal,x\n", r"needs a column for the path \(path, file", id="no path column"),
        pytest.param(b"path,label\na.wav,real\nb.wav,1\n", "csv, line 3: expected a label .* '1'", id="unknown label"),
        pytest.param(b"path,label\na.wav\n", "csv, line 2: expected a label .* found ''", id="no label"),
        pytest.param(b"path,label\n  ,real\n", "csv, line 2: the column 'path' is empty", id="empty path"),
        pytest.param(b"path,label\ncaf\xe9.wav,real\n", "cannot be read as text in UTF-8", id="not UTF-8"),
        pytest.param("path,label\na.wav,real\n".encode("utf-16"), "cannot be read as text in UTF-8", id="UTF-16"),
        pytest.param(b'path,label\n"' + b"a" * 200_000, r"UTF-8 \(field larger than", id="open quote"),
        pytest.param(
            b"path,label\na.wav,real\n./a.wav,spoof\nb.wav,spoof\nb.wav,spoof\n",
            "2 files are listed more than once, first .*a.wav",
            id="listed twice",
        ),
    ],
)
def test_csv_faults(content: bytes, match: str, tmp_path: Path) -> None:
    """Each fault of a manifest is a message with the file, and the line where there is one."""
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match) as raised:
        read_dataset(path)
    assert str(raised.value).startswith(str(path))


def test_csv_absolute_path(tmp_path: Path) -> None:
    """An absolute path stays one; all others are seen from the manifest, wherever the program was started."""
    absolute = tmp_path / "elsewhere" / "a.wav"
    (tmp_path / "sub").mkdir()
    data = read_dataset(manifest(tmp_path / "sub", f"path,label\n{absolute},real\n../b.wav,fake\n"))
    assert [u.path for u in data.utterances] == [absolute, tmp_path / "sub" / "../b.wav"]


@pytest.mark.skipif(os.name == "nt", reason="a backslash is always a separator there")
def test_csv_written_on_windows(tmp_path: Path) -> None:
    """Backslashes separate folders, unless there is a file with backslashes in its name."""
    touch(tmp_path, "clips/a.wav", "odd\\name.wav")
    text = "path,label\nclips\\a.wav,real\nodd\\name.wav,fake\nclips\\missing.wav,fake\n"
    data = read_dataset(manifest(tmp_path, text))
    expected = ["clips/a.wav", "odd\\name.wav", "clips/missing.wav"]
    assert [u.path.relative_to(tmp_path).as_posix() for u in data.utterances] == expected
    assert data.utterances[0].utterance_id == "clips\\a.wav"


def test_manifest_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest without permission is an error of this package."""
    path = make_csv(tmp_path)

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"manifest.csv: cannot be opened \(Permission denied\)"):
        read_dataset(path)


# --- ASVspoof 2019 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "protocol", "spoof"),
    [
        ("LA", LA_PROTOCOL, ("LA_T_1271820", "LA", "LA_0080", "A01")),
        ("PA", PA_PROTOCOL, ("PA_T_0000002", "PA", "PA_0080", "BA")),
    ],
    ids=["LA", "PA"],
)
@pytest.mark.parametrize("above", ["", "{part}"], ids=["at the part", "above it"])
def test_asvspoof2019(part: str, protocol: str, spoof: tuple[str, ...], above: str, tmp_path: Path) -> None:
    """Lines are speaker, utterance, environment, system, key; the root is LA (PA) or what LA was unpacked into."""
    directory = tmp_path / above.format(part=part)
    asvspoof(directory, part, train=protocol)
    data = read_dataset(tmp_path)
    name, source, speaker, system = spoof
    path = directory / f"ASVspoof2019_{part}_train" / "flac" / f"{name}.flac"
    assert data.utterances[1] == Utterance(path, Label.SPOOF, name, "train", source, speaker, system, speaker)
    assert data.utterances[0].label is Label.BONAFIDE
    assert data.utterances[0].system == ""


def test_asvspoof2019_partitions(tmp_path: Path) -> None:
    """Each protocol is a partition with its own audio directory; a protocol that is not there is left out."""
    train, dev = LA_PROTOCOL, "\n" + LA_PROTOCOL.replace("_T_", "_D_").replace("\n", "\r\n")
    data = read_dataset(asvspoof(tmp_path, "LA", train=train, dev=dev))
    assert data.partitions == ("train", "dev")
    folder = tmp_path / "ASVspoof2019_LA_dev" / "flac"
    names = ["LA_D_1138215.flac", "LA_D_1271820.flac"]
    assert [u.path for u in data.select("dev").utterances] == [folder / name for name in names]


@pytest.mark.parametrize(
    ("protocol", "match"),
    [
        ("LA_0079 LA_T_1 - - bonafide\nLA_0079 LA_T_2 - bonafide\n", r"trn\.txt, line 2: expected 5 col.*, found 4"),
        ("LA_0079 LA_T_1 - - bonafide trim\n", r"trn\.txt, line 1: expected 5 columns .*, found 6"),
        ("LA_0079 LA_T_1 - A01 bonafid\n", r"trn\.txt, line 1: expected a label .*, found 'bonafid'"),
        ("LA_0079 LA_T_1 - - bonafide\n" * 2, "1 files are listed more than once, first .*LA_T_1.flac"),
        ("", "no labelled audio files were found"),
    ],
    ids=["four columns", "six columns", "unknown key", "listed twice", "empty"],
)
def test_asvspoof2019_faults(protocol: str, match: str, tmp_path: Path) -> None:
    """A line that does not fit is named with its file and number."""
    with pytest.raises(DataError, match=match):
        read_dataset(asvspoof(tmp_path, "LA", train=protocol))


def test_asvspoof2019_protocol_that_is_not_text(tmp_path: Path) -> None:
    """A protocol that was not unpacked is refused like a manifest that is no text."""
    protocol = asvspoof(tmp_path, "LA") / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    protocol.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(DataError, match=r"trn\.txt: cannot be read as text in UTF-8"):
        read_dataset(tmp_path)


def test_asvspoof2019_with_both_parts(tmp_path: Path) -> None:
    """LA and PA below one root are two data sets; the message names the two directories to choose from."""
    asvspoof(tmp_path / "LA", "LA", train=LA_PROTOCOL)
    asvspoof(tmp_path / "PA", "PA", train=PA_PROTOCOL)
    with pytest.raises(DataError, match=re.escape(f"give {tmp_path / 'LA'} or {tmp_path / 'PA'}")):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "PA").n_spoof == 1


# --- real data -------------------------------------------------------------------------------------------------


def test_real_corpus(shared: Path) -> None:
    """The corpus has the counts that its README states, its files are there, and no group is on both sides."""
    data = read_dataset(shared / "corpus" / "manifest.csv")
    counts = Counter((u.partition, u.label) for u in data.utterances)
    assert data.layout == "csv"
    assert counts == {
        ("train", "bonafide"): 1_648,
        ("train", "spoof"): 1_673,
        ("dev", "bonafide"): 741,
        ("dev", "spoof"): 703,
    }
    assert all(u.path.is_file() for u in data.utterances)
    assert not any(u.system for u in data.utterances if u.is_bonafide)
    train, dev = data.select("train").utterances, data.select("dev").utterances
    assert (len({u.source for u in train}), len({u.source for u in dev})) == (94, 48)
    assert not {u.group for u in train} & {u.group for u in dev}


@pytest.mark.parametrize("root", ["asvspoof", "asvspoof/LA"])
def test_real_asvspoof2019(root: str, shared: Path) -> None:
    """The real protocols have the published numbers of lines, and their audio lies where the layout says."""
    data = read_dataset(shared / root)
    assert data.layout == "asvspoof2019"
    sizes = {name: (data.select(name).n_bonafide, data.select(name).n_spoof) for name in data.partitions}
    assert sizes == {"train": (2_580, 22_800), "dev": (2_548, 22_296), "eval": (7_355, 63_882)}
    assert {u.system for u in data.select("eval").utterances} == {"", *(f"A{n:02}" for n in range(7, 20))}
    there = [u.path for u in data.utterances if u.path.is_file()]
    assert sorted(there) == sorted((shared / "asvspoof").rglob("*.flac"))
    assert there


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, separator: str) -> None:
    """Any of the three separators, a mark at the beginning, CRLF, and rows of nothing but separators."""
    rows = ["path,label,note", "a.wav,real,x", ",,", "b.wav,fake,y", ",,"]
    text = "\ufeff" + "\r\n".join(rows).replace(",", separator)
    (tmp_path / "m.csv").write_text(text, encoding="utf-8", newline="")
    read = read_dataset(tmp_path / "m.csv").utterances
    assert [(u.utterance_id, str(u.label)) for u in read] == [("a.wav", "bonafide"), ("b.wav", "spoof")]
