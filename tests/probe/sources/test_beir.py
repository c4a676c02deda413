"""BEIR's files, whole and broken: every fault is named by file and line."""

import json
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_beir, write_lines, zip_folder

from probe.data.texts import Texts
from probe.errors import CallError, DataError
from probe.sources.beir import read_beir

HEADER = "query-id\tcorpus-id\tscore"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small, flawless data set."""
    return write_beir(tmp_path / "small", {"1": "one", "2": "two"}, {"1": "uno", "q": "due"}, {"q": {"2": 1}})


def write_qrels(folder: Path, *rows: str) -> str:
    write_lines(folder / "qrels" / "test.tsv", list(rows))
    return str(folder)


def test_text_is_title_space_text_stripped(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "a", {"d": "x"}, {"q": "y"}, {"q": {"d": 1}})
    rows = [{"_id": "d", "title": "Title", "text": "text"}, {"_id": "e", "text": " bare "}, {"_id": "f", "text": None}]
    write_lines(folder / "corpus.jsonl", [json.dumps(row) for row in rows])
    assert Texts.gather(read_beir(str(folder)).documents).texts == ("Title text", "bare", "")


def test_ids_stay_strings_as_written(folder: Path) -> None:
    rows = ['{"_id": "007", "text": "a"}', '{"_id": 7, "text": "b"}', '{"_id": "1e3", "text": "c"}']
    write_lines(folder / "corpus.jsonl", rows)
    dataset = read_beir(write_qrels(folder, HEADER, "q\t007\t1", "q\t7\t2", "q\t1e3\t1"))
    assert Texts.gather(dataset.documents).ids == ("007", "7", "1e3")
    assert dataset.qrels == {"q": {"007": 1, "7": 2, "1e3": 1}}
    assert dataset.defects == ()


def test_crlf_and_byte_order_marks_are_read_over(folder: Path) -> None:
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    dataset = read_beir(str(folder))
    assert dataset.qrels == {"q": {"2": 1}}
    assert Texts.gather(dataset.documents).texts == ("one", "two")
    assert dataset.defects == ()


def test_qrels_without_a_header_lose_no_line(folder: Path) -> None:
    dataset = read_beir(write_qrels(folder, "q\t1\t1", "q\t2\t1"))
    assert dataset.qrels == {"q": {"1": 1, "2": 1}}
    assert "without a header" in dataset.defects[0]


def test_negative_grades_count_as_zero_and_are_named(folder: Path) -> None:
    dataset = read_beir(write_qrels(folder, HEADER, "q\t1\t-1", "q\t2\t1"))
    assert dataset.qrels == {"q": {"1": 0, "2": 1}}
    assert "negative grades" in dataset.defects[0]
    assert "test.tsv:2" in dataset.defects[0]


def test_judgements_of_missing_documents_are_kept_and_named(folder: Path) -> None:
    dataset = read_beir(write_qrels(folder, HEADER, "q\tgone\t1"))
    assert dataset.qrels == {"q": {"gone": 1}}
    assert "test.tsv:2" in dataset.defects[0]


def test_judgements_of_missing_queries_are_dropped_and_named(folder: Path) -> None:
    dataset = read_beir(write_qrels(folder, HEADER, "q\t1\t1", "nobody\t1\t1"))
    assert list(dataset.qrels) == ["q"]
    assert "test.tsv:3" in dataset.defects[0]


def test_empty_documents_are_named(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", ['{"_id": "2", "text": "x"}', '{"_id": "3", "title": " ", "text": ""}'])
    assert "1 empty documents: small/corpus.jsonl:2" in read_beir(str(folder)).defects


def test_many_defects_are_counted_not_listed(folder: Path) -> None:
    dataset = read_beir(write_qrels(folder, HEADER, *[f"q\tgone{i}\t1" for i in range(50)]))
    assert dataset.defects[0].startswith("50 relevance labels for missing documents")
    assert dataset.defects[0].count("test.tsv") == 3


def test_queries_order_and_qrels_order_agree(tmp_path: Path) -> None:
    qrels = {"b": {"d": 1}, "a": {"d": 1}}
    dataset = read_beir(str(write_beir(tmp_path / "x", {"d": "one"}, {"a": "1", "b": "2"}, qrels)))
    assert set(dataset.queries.ids) == set(dataset.qrels)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", r"small/corpus.jsonl:1: not JSON"),
        ('["a list"]', r"small/corpus.jsonl:1: expected an object"),
        ('{"id": "1", "text": "x"}', r"small/corpus.jsonl:1: expected an object with \"_id\""),
        ('{"_id": "1"}', r"small/corpus.jsonl:1: expected a string as \"text\", found nothing"),
        ('{"_id": "1", "text": 5}', r"small/corpus.jsonl:1: expected a string as \"text\", found a int"),
        ('{"_id": "1", "title": [], "text": "x"}', r"small/corpus.jsonl:1: expected a string as \"title\""),
        ('{"_id": true, "text": "x"}', r"small/corpus.jsonl:1: expected a string or an integer .*, found True"),
        ('{"_id": 1.5, "text": "x"}', r"small/corpus.jsonl:1: expected a string or an integer .*, found 1.5"),
        ('{"_id": " ", "text": "x"}', r"small/corpus.jsonl:1: empty id \"_id\""),
        ('{"_id": "a\\u0000b", "text": "x"}', r"small/corpus.jsonl:1: NUL character in the id 'a\\x00b'"),
    ],
)
def test_malformed_documents_are_named_by_line(folder: Path, line: str, message: str) -> None:
    write_lines(folder / "corpus.jsonl", [line])
    with pytest.raises(DataError, match=message):
        read_beir(str(folder))


def test_duplicate_ids_are_refused(folder: Path) -> None:
    write_lines(folder / "queries.jsonl", ['{"_id": "q", "text": "x"}', "", '{"_id": "q", "text": "y"}'])
    with pytest.raises(DataError, match=r"queries.jsonl:3: duplicate id 'q', first used in line 1"):
        read_beir(str(folder))


def test_ids_that_differ_in_white_space_around_them_are_one(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", ['{"_id": "d", "text": "x"}', '{"_id": " d", "text": "y"}'])
    with pytest.raises(DataError, match=r"corpus.jsonl:2: duplicate id 'd', first used in line 1"):
        read_beir(str(folder))


@pytest.mark.parametrize("kind", ["corpus", "queries"])
def test_a_line_of_gigabytes_in_a_small_archive_is_refused(
    folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.io.text_lines.LONGEST_LINE", 1 << 20)
    with (folder / f"{kind}.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "bomb", "text": "a" * (1 << 22)}) + "\n")
    archive = zip_folder(folder, tmp_path / "a.zip")
    with pytest.raises(DataError, match=rf"{kind}.jsonl:3: line longer than 1 MiB"):
        read_beir(str(archive))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["q 1 1"], r"qrels/test.tsv:2: expected tab-separated query-id, corpus-id and score"),
        (["q\t0\t1\t1"], r"qrels/test.tsv:2: expected tab-separated query-id"),
        (["q\t1\thigh"], r"qrels/test.tsv:2: expected an integer"),
        (["q\t1\t0.5"], r"qrels/test.tsv:2: expected an integer"),
        (["q\t1\t99999999999999999999"], r"qrels/test.tsv:2: expected an integer"),
        (["q\t1\tinf"], r"qrels/test.tsv:2: expected an integer"),
        (["q\t1\t1", "q\t1\t2"], r"qrels/test.tsv:3: conflicting relevance labels for 'q' and '1'"),
    ],
)
def test_malformed_judgements_are_named_by_line(folder: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_beir(write_qrels(folder, HEADER, *rows))


def test_a_line_that_is_not_utf8_is_named(folder: Path) -> None:
    good = b'{"_id": "%d", "text": "ok"}\n'
    lines = b"".join(good % i for i in range(30))
    (folder / "corpus.jsonl").write_bytes(lines + b'{"_id": "x", "text": "\xff"}\n')
    with pytest.raises(DataError, match=r"corpus.jsonl:31: not UTF-8"):
        read_beir(str(folder))


def test_half_a_character_is_replaced_in_texts_and_refused_in_ids(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", ['{"_id": "2", "text": "a \\ud800 b"}'])
    assert Texts.gather(read_beir(str(folder)).documents).texts == ("a \ufffd b",)
    write_lines(folder / "corpus.jsonl", ['{"_id": "\\ud800", "text": "x"}'])
    with pytest.raises(DataError, match=r"corpus.jsonl:1: invalid character"):
        read_beir(str(folder))


def test_relevant_documents_with_the_querys_own_id_are_named(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", ['{"_id": "1", "text": "uno"}', '{"_id": "2", "text": "two"}'])
    dataset = read_beir(write_qrels(folder, HEADER, "1\t1\t1", "q\t2\t1"))
    assert "1 relevant documents with their query's own id" in dataset.defects[0]


def test_the_current_folder_can_be_a_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert read_beir(".").name == "small"
    (folder / "corpus.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"corpus.jsonl:1: not JSON"):
        read_beir(".")


@pytest.mark.parametrize("damage", ["cut", "flipped", "nonsense"])
def test_a_damaged_zip_is_named(folder: Path, tmp_path: Path, damage: str) -> None:
    archive = zip_folder(folder, tmp_path / "a.zip")
    content = archive.read_bytes()
    at = content.index(b'"one"') + 1
    broken = {"cut": content[:-30], "flipped": content[:at] + b"X" + content[at + 1 :], "nonsense": b"PK nonsense"}
    archive.write_bytes(broken[damage])
    with pytest.raises(DataError, match=r"not a readable zip|cannot be read"):
        read_beir(str(archive))


@pytest.mark.parametrize("name", ["queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=r"is missing|has no relevance labels"):
        read_beir(str(folder))


def test_the_only_split_is_taken(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "a", {"d": "x"}, {"q": "y"}, {"q": {"d": 1}}, split="dev")
    assert read_beir(str(folder)).split == "dev"


def test_of_several_splits_test_is_taken(folder: Path) -> None:
    write_lines(folder / "qrels" / "train.tsv", [HEADER, "1\t1\t1"])
    assert read_beir(str(folder)).split == "test"
    assert read_beir(str(folder), "train").queries.ids == ("1",)


def test_a_split_without_judgements_is_a_wrong_call(folder: Path) -> None:
    with pytest.raises(CallError, match="no split 'dev': available are test"):
        read_beir(str(folder), "dev")


def test_a_folder_of_several_data_sets_names_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_dataset(tmp_path / "many" / name)
    with pytest.raises(CallError, match=r"several data sets \(one, two\)"):
        read_beir(str(tmp_path / "many"))


def test_a_folder_of_own_documents_points_to_build(tmp_path: Path) -> None:
    write_lines(tmp_path / "notes" / "a.md", ["# Title"])
    with pytest.raises(CallError, match="probe data build"):
        read_beir(str(tmp_path / "notes"))


def test_a_file_that_is_no_zip_points_to_build(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="neither a BEIR folder nor a zip"):
        read_beir(str(write_lines(tmp_path / "a.txt", ["text"])))


def test_metadata_marks_queries_synthetic(folder: Path) -> None:
    write_lines(folder / "queries.jsonl", ['{"_id": "q", "text": "x", "metadata": {"synthetic": "made up"}}'])
    assert read_beir(str(folder)).synthetic == "made up"


def test_only_the_queries_of_the_split_say_how_they_were_made(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "one"}', encoding="utf-8")
    queries = [f'{{"_id": "{made}", "text": "two", "metadata": {{"synthetic": "{made}"}}}}' for made in ("a", "b")]
    (tmp_path / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\td\t1\n", encoding="utf-8")
    assert read_beir(str(tmp_path)).synthetic == "a"
