"""Files with records: usual and given columns, own ids, questions, and damaged records counted with the first line."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probe.formats.document import Document, PartlyRead, RecordFields, SourceFile, UnreadableFile
from probe.formats.records import read

KITE, WIND = "Kites fly in the wind.", "Wind comes from the sea."


def read_file(path: Path, **fields: str) -> list[Document]:
    return list(read(SourceFile(path, path.name), RecordFields(**fields)))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def shown(documents: list[Document]) -> list[tuple[Any, ...]]:
    return [(d.id, d.title, " / ".join(block.text for block in d.blocks), d.questions, d.line) for d in documents]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"id,title,text\n7,Kite,{KITE}\nx9,Wind,{WIND}\n"),
        ("semicolon.csv", f"id;title;text\r\n7;Kite;{KITE}\r\nx9;Wind;{WIND}\r\n"),
        ("marked.csv", f"\ufeffid,title,text\n7,Kite,{KITE}\nx9,Wind,{WIND}"),
        ("a.tsv", f"id\tTitle\tText\n7\tKite\t{KITE}\nx9\tWind\t{WIND}\n"),
    ],
)
def test_usual_columns_and_own_ids_are_found(tmp_path: Path, name: str, content: str) -> None:
    documents = read_file(write(tmp_path / name, content))
    assert shown(documents) == [("7", "Kite", KITE, (), 2), ("x9", "Wind", WIND, (), 3)]


def test_json_lines_arrays_and_parquet_give_the_same_records(tmp_path: Path) -> None:
    rows = [{"id": "7", "title": "Kite", "text": KITE}, {"id": "x9", "title": None, "text": WIND}]
    lines = "\n".join(map(json.dumps, rows))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    pq.write_table(
        pa.table({**pa.Table.from_pylist(rows).to_pydict(), "vector": [[0.5, 1.5]] * 2}), tmp_path / "a.parquet"
    )
    expected = [("7", "Kite", KITE, (), 1), ("x9", "", WIND, (), 2)]
    for path in (
        write(tmp_path / "a.jsonl", lines),
        write(tmp_path / "a.json", json.dumps({"version": 1, "data": rows})),
        tmp_path / "a.jsonl.gz",
        tmp_path / "a.parquet",
    ):
        assert shown(read_file(path)) == expected, path.name


def test_given_columns_go_before_usual_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,text,story,head,code\n1,no,{KITE},Kite,k1\n")
    assert shown(read_file(path, text="story", title="head", id="code")) == [("k1", "Kite", KITE, (), 2)]


def test_questions_come_with_their_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.csv", f"question,answer\nWhat flies in the wind?,{KITE}\n")
    assert shown(read_file(path)) == [("faq.csv:2", "", KITE, ("What flies in the wind?",), 2)]
    rows = [{"questions": ["What flies?", "Which toy needs wind?"], "answer": KITE}]
    (document,) = read_file(write(tmp_path / "faq.json", json.dumps(rows)))
    assert document.questions == ("What flies?", "Which toy needs wind?")


def test_paragraphs_and_lines_of_quoted_values_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f'id,text\n1,"{KITE}\n\n{WIND}"\n2,"So ""high"", they fly."\n')
    assert shown(read_file(path)) == [
        ("1", "", f"{KITE} / {WIND}", (), 2),
        ("2", "", 'So "high", they fly.', (), 5),
    ]


def test_quotation_marks_of_tab_separated_text_are_text_unless_they_enclose_it(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.tsv", f'id\ttext\n1\t"Fly" is a verb.\n2\t{WIND}\n')
    quoted = write(tmp_path / "quoted.tsv", f'id\ttext\n1\t"Two\nlines with ""marks""."\n2\t{WIND}\n')
    assert [d.blocks[0].text for d in read_file(plain)] == ['"Fly" is a verb.', WIND]
    assert [d.blocks[0].text for d in read_file(quoted)] == ['Two lines with "marks".', WIND]


def test_separators_of_lines_within_json_strings_do_not_end_a_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "Kites\u2028fly\u0085in the wind."}\n')
    assert [d.blocks[0].text for d in read_file(path)] == [KITE]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            f'{{"text": "{KITE}"}}\n{{"text": \n[1]\n{{"text": "{WIND}"}}\n',
            "of 4 records 2 damaged, first at line 2",
        ),
        (
            "a.csv",
            f"id,text\n1,{KITE}\n2,too, many\n3,{WIND}\n4,\n",
            "of 4 records 1 damaged, first at line 3; 1 without text, first at line 5",
        ),
        (
            "b.csv",
            f'id,text\n1,{KITE}\n2,{WIND}\n3,"never\nclosed\n4,again\n',
            "of 5 records 3 damaged, first at line 4",
        ),
        ("a.json", json.dumps([{"text": KITE}, 3, {"text": WIND}]), "of 3 records 1 damaged, first at record 2"),
    ],
)
def test_damaged_records_are_counted_after_the_good_ones(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(PartlyRead) as error:
        read_file(write(tmp_path / name, content))
    assert str(error.value) == message


def test_good_records_are_given_before_the_error(tmp_path: Path) -> None:
    records = read(
        SourceFile(write(tmp_path / "a.jsonl", f'{{"text": "{KITE}"}}\nbroken\n'), "a.jsonl"), RecordFields()
    )
    assert next(records).blocks[0].text == KITE
    with pytest.raises(PartlyRead):
        next(records)


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        ("a.csv", "a,b\n1,2\n", {}, "no column of the usual names .*: name one of a, b with --text-field"),
        ("a.csv", "a,text\n1,2\n", {"text": "c"}, "no column 'c': name one of a, text with --text-field"),
        ("a.csv", "a,text\n1,2\n", {"id": "c"}, "no column 'c': name one of a, text with --id-field"),
        ("a.csv", "text,text\n1,2\n", {}, "two columns are called 'text'"),
        ("a.csv", "id,text\n1,\n", {}, "no record with text .1 without text, first at line 2"),
        ("a.json", '{"text": "a setting"}', {}, "JSON without a list of objects"),
        ("a.json", "[" * 100_000, {}, "not JSON"),
        ("a.parquet", "no Parquet", {}, "not a readable Parquet file"),
        ("a.jsonl", "\n \n", {}, "empty"),
    ],
)
def test_files_without_text_say_what_is_there_and_what_to_do(
    tmp_path: Path, name: str, content: str, fields: dict[str, str], message: str
) -> None:
    with pytest.raises(UnreadableFile, match=message):
        read_file(write(tmp_path / name, content), **fields)


def test_columns_missing_in_the_first_record_are_found(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", f'{{"id": 1, "text": "{KITE}"}}\n{{"id": 2, "text": "{WIND}", "title": "Wind"}}\n'
    )
    assert [d.title for d in read_file(path)] == ["", "Wind"]


def test_large_files_are_streamed(tmp_path: Path) -> None:
    line = json.dumps({"text": "Kites fly in the wind. " * 50}) + "\n"
    path = write(tmp_path / "a.jsonl", line * 5_000)
    tracemalloc.start()
    count = sum(1 for _ in read(SourceFile(path, path.name), RecordFields()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, peak < path.stat().st_size / 3) == (5_000, True)
