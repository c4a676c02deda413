"""Own documents become a BEIR data set with synthetic queries that do not leak into their documents."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_data import write_lines

from probe.data.loading import load_dataset
from probe.documents.build import SYNTHETIC, build_dataset
from probe.errors import CallError, DataError

SENTENCE = "The quick brown fox jumps over the lazy dog."
REST = "It then runs through the wide forest and hides under an old fallen tree until night."


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_first_sentence_is_taken_out_of_its_document(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])
    built = build_dataset([file], tmp_path / "out")
    dataset = load_dataset(str(built.folder))
    assert dataset.queries.texts == (SENTENCE,)
    assert [text for _, text in dataset.documents] == [REST]
    assert dataset.qrels == {"q1": {"d1": 1}}


def test_every_query_is_marked_synthetic(tmp_path: Path) -> None:
    built = build_dataset([write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])], tmp_path / "out")
    assert all(query["metadata"]["synthetic"] == SYNTHETIC for query in read_jsonl(built.folder / "queries.jsonl"))
    assert load_dataset(str(built.folder)).synthetic == SYNTHETIC


def test_no_query_stands_in_its_own_document(tmp_path: Path) -> None:
    lines = ["# A", f"{SENTENCE} {REST} {SENTENCE}", "# B", f"Another thing is said here now. {REST}"]
    built = build_dataset([write_lines(tmp_path / "a.md", lines)], tmp_path / "out")
    dataset = load_dataset(str(built.folder))
    assert len(dataset.queries) == 1
    documents = dict(dataset.documents)
    for query, text in dataset.queries:
        assert text not in documents[next(iter(dataset.qrels[query]))]
    assert documents["d1"].count(SENTENCE) == 2


def test_markdown_is_split_at_headings_outside_code(tmp_path: Path) -> None:
    lines = [
        "# One",
        f"{SENTENCE} {REST}",
        "```",
        "# not a heading",
        "```",
        "## Two ##",
        f"Some other words here. {REST}",
    ]
    built = build_dataset([write_lines(tmp_path / "a.md", lines)], tmp_path / "out")
    corpus = read_jsonl(built.folder / "corpus.jsonl")
    assert [record["title"] for record in corpus] == ["One", "Two"]
    assert "# not a heading" in corpus[0]["text"]


def test_long_texts_are_split_at_paragraphs(tmp_path: Path) -> None:
    paragraphs = [line for i in range(30) for line in (f"Paragraph {i} begins with this sentence. {REST}", "")]
    built = build_dataset([write_lines(tmp_path / "a.txt", paragraphs)], tmp_path / "out")
    lengths = [len(record["text"].split()) for record in read_jsonl(built.folder / "corpus.jsonl")]
    assert len(lengths) > 3
    assert max(lengths) <= 150


def test_jsonl_csv_and_folders_are_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", [json.dumps({"title": "T", "text": f"First of them all. {REST}"})])
    write_lines(tmp_path / "in" / "deep" / "b.csv", ["title,text", f'U,"Second of them, too. {REST}"'])
    write_lines(tmp_path / "in" / "c.md", [f"Third of them is here. {REST}"])
    write_lines(tmp_path / "in" / "ignored.py", ["print()"])
    built = build_dataset([tmp_path / "in"], tmp_path / "out")
    assert (built.files, built.documents, built.queries) == (3, 3, 3)
    assert {record["metadata"]["source"] for record in read_jsonl(built.folder / "corpus.jsonl")} == {
        "a.jsonl:1",
        "b.csv:2",
        "c.md",
    }


def test_short_passages_stay_documents_without_a_query(tmp_path: Path) -> None:
    lines = ["# A", "Too short.", "# B", f"{SENTENCE} {REST}"]
    built = build_dataset([write_lines(tmp_path / "a.md", lines)], tmp_path / "out")
    assert (built.documents, built.queries) == (2, 1)


def test_the_same_files_give_the_same_data_set(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / f"{i}.txt", [f"Text number {i} begins here. {REST}"]) for i in range(3)]
    first, second = build_dataset(files, tmp_path / "x"), build_dataset(files[::-1], tmp_path / "y")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_an_existing_folder_is_not_overwritten_without_force(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])
    build_dataset([file], tmp_path / "out")
    write_lines(file, [f"Another sentence begins it now. {REST}"])
    with pytest.raises(CallError, match="--force"):
        build_dataset([file], tmp_path / "out")
    assert load_dataset(str(tmp_path / "out")).queries.texts == (SENTENCE,)
    build_dataset([file], tmp_path / "out", force=True)
    assert load_dataset(str(tmp_path / "out")).queries.texts == ("Another sentence begins it now.",)


@pytest.mark.parametrize("out", ["others", "others/deep/..", ".", "a.txt", "empty", "mixed", "published"])
def test_force_replaces_nothing_but_a_data_set(tmp_path: Path, out: str) -> None:
    file = write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])
    write_lines(tmp_path / "others" / "deep" / "mine.txt", ["precious"])
    build_dataset([file], tmp_path / "mixed")
    write_lines(tmp_path / "mixed" / "mine.txt", ["precious"])
    published = build_dataset([file], tmp_path / "published").folder / "queries.jsonl"
    write_lines(published, ['{"_id": "q1", "text": "a query that somebody asked"}'])
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CallError, match="choose another --out"):
        build_dataset([file], tmp_path / out, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_swap_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])
    build_dataset([file], tmp_path / "out")
    # As on a file system where two folders cannot be exchanged in one step.
    monkeypatch.setattr("probe.io.publishing._find_call", lambda: None)
    original = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "made":
            raise OSError("no space left on device")
        return original(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DataError, match="no space left"):
        build_dataset([file], tmp_path / "out", force=True)
    assert load_dataset(str(tmp_path / "out")).queries.texts == (SENTENCE,)


def test_force_does_not_replace_what_it_reads(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.txt", [f"{SENTENCE} {REST}"])
    folder = build_dataset([file], tmp_path / "out").folder
    with pytest.raises(CallError, match="contains the input"):
        build_dataset([folder / "corpus.jsonl"], folder, force=True)
    assert (folder / "corpus.jsonl").exists()


def test_hidden_files_and_data_sets_inside_a_folder_are_not_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "a.txt", [f"{SENTENCE} {REST}"])
    write_lines(tmp_path / "in" / ".git" / "b.md", [f"Hidden sentences are not read. {REST}"])
    first = build_dataset([tmp_path / "in"], tmp_path / "in" / "data")
    second = build_dataset([tmp_path / "in"], tmp_path / "in" / "data", force=True)
    assert (first.documents, second.documents) == (1, 1)


def test_a_passage_that_stands_twice_is_one_document(tmp_path: Path) -> None:
    lines = ["# Same", f"{SENTENCE} {REST}", "# Same", f"{SENTENCE} {REST}"]
    assert build_dataset([write_lines(tmp_path / "a.md", lines)], tmp_path / "out").documents == 1


def test_a_huge_paragraph_is_split_at_sentences_and_words(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {i} begins here. {REST}" for i in range(60)) + "".join(
        f" word{i}" for i in range(1000)
    )
    built = build_dataset([write_lines(tmp_path / "a.txt", [text])], tmp_path / "out")
    words = [len(record["text"].split()) for record in read_jsonl(built.folder / "corpus.jsonl")]
    assert max(words) <= 150
    assert sum(words) > 1900


def test_scripts_without_spaces_are_split_and_asked(tmp_path: Path) -> None:
    text = "".join(
        f"敏捷的棕色狐狸跳过了懒狗{i}。然后它跑过宽阔的森林,躲在一棵古老的倒下的树下直到夜晚。" for i in range(20)
    )
    built = build_dataset([write_lines(tmp_path / "zh.txt", [text])], tmp_path / "out")
    assert built.documents > 2
    assert load_dataset(str(built.folder)).queries.texts[0] == "敏捷的棕色狐狸跳过了懒狗0。"


def test_half_a_character_becomes_a_replacement(tmp_path: Path) -> None:
    line = f'{{"text": "The quick \\ud800 fox jumps. {REST}"}}'
    built = build_dataset([write_lines(tmp_path / "a.jsonl", [line])], tmp_path / "out")
    assert load_dataset(str(built.folder)).queries.texts == ("The quick \ufffd fox jumps.",)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = write_lines(tmp_path / "a.jsonl", ["{broken"])
    with pytest.raises(DataError):
        build_dataset([broken], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"{broken", "a.jsonl:1: not JSON"),
        ("a.jsonl", b'{"body": "x"}', 'a.jsonl:1: expected an object with a string "text"'),
        ("a.csv", b"body\nx\n", "a.csv:1: expected comma-separated columns with 'text' among them, found 'body'"),
        ("a.csv", b"", "a.csv:1: .* found an empty file"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.txt", b"one\ntwo \xff\xfe\x00", "a.txt:2: not UTF-8"),
        ("a.txt", b"short", "long enough for a query"),
        ("a.txt", b"", "long enough for a query"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        build_dataset([tmp_path / name], tmp_path / "out")


@pytest.mark.parametrize("name", ["missing.txt", "a.pdf", "empty"])
def test_paths_that_cannot_be_read_are_wrong_calls(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CallError):
        build_dataset([tmp_path / name], tmp_path / "out")
