"""Every file is counted once: read, read in part or skipped for a reason."""

import json
from pathlib import Path

from probe.formats.document import Block, Document, SourceFile
from probe.formats.files import SkippedFile
from probe.formats.reading_report import ReadingReport


def report() -> ReadingReport:
    made = ReadingReport()
    for name in ("a.md", "b.md", "c.mbox"):
        made.add_file(SourceFile(Path(name), name))
    for name, dropped in (("a.md", 2), ("b.md", 1), ("c.mbox", 0), ("c.mbox", 0), ("c.mbox", 0), ("c.mbox", 0)):
        made.add_document(SourceFile(Path(name), name), Document(name, name, "", (Block("x"),), dropped=dropped))
    return made


def test_files_and_documents_are_counted_by_format() -> None:
    made = report()
    assert (made.files, made.read, made.documents) == (
        3,
        {"Markdown": 2, "e-mail": 1},
        {"Markdown": 2, "e-mail": 4},
    )
    assert made.dropped == 3


def test_one_reason_has_one_count_with_the_first_file_and_its_whole_message() -> None:
    made = ReadingReport()
    made.skip(SkippedFile("a.pdf", "damaged PDF (end of file)"), kind="PDF")
    made.skip(SkippedFile("b.pdf", "damaged PDF (no table)"), kind="PDF")
    made.skip(SkippedFile("c.pdf", "no text: scanned pages or drawings"), kind="PDF")
    made.skip(SkippedFile(".d", "hidden"))
    assert {reason: (one.count, one.first, one.detail) for reason, one in made.skipped.items()} == {
        "PDF, damaged PDF": (2, "a.pdf", "damaged PDF (end of file)"),
        "PDF, no text": (1, "c.pdf", "no text: scanned pages or drawings"),
        "hidden": (1, ".d", "hidden"),
    }


def test_files_read_in_part_are_apart_from_those_skipped() -> None:
    made = ReadingReport()
    made.read_partly(SkippedFile("a.csv", "3 records cannot be read"), kind="CSV")
    assert (list(made.partly), made.skipped) == (["CSV, 3 records cannot be read"], {})


def test_lines_begin_with_the_most_frequent_and_name_an_example() -> None:
    made = report()
    made.skip(SkippedFile("y", "hidden"))
    made.skip(SkippedFile("x.zip", "unknown type .zip"))
    made.skip(SkippedFile("z.zip", "unknown type .zip"))
    made.read_partly(SkippedFile("a.csv", "bad lines"), kind="CSV")
    assert list(made.lines()) == [
        "read: 2 Markdown, 1 e-mail",
        "skipped: 2 unknown type .zip (x.zip)",
        "skipped: 1 hidden (y)",
        "read in part: 1 CSV, bad lines (a.csv)",
    ]


def test_a_report_of_no_files_says_so() -> None:
    assert list(ReadingReport().lines()) == ["read: nothing"]


def test_a_report_is_plain_json_in_a_fixed_order() -> None:
    made = report()
    made.skip(SkippedFile("y", "hidden"))
    values = made.to_json()
    assert json.loads(json.dumps(values)) == values
    assert list(values["read"]) == ["Markdown", "e-mail"]
    assert values["skipped"] == {"hidden": {"count": 1, "first": "y", "detail": "hidden"}}
    assert values["navigation_dropped"] == 3
