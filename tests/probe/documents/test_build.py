"""Own documents become a BEIR data set: nothing vanishes, ids and paths stay, and no query stands in its document."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_documents import TOPICS, section, write_documents
from tiny_data import write_lines

from probe.documents.build import BuildOptions, BuiltDataset, build_dataset
from probe.errors import CallError, DataError
from probe.formats.document import RecordFields
from probe.sources.loading import load_dataset


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def corpus_of(built: BuiltDataset) -> dict[str, dict[str, Any]]:
    return {record["_id"]: record for record in read_jsonl(built.folder / "corpus.jsonl")}


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> BuiltDataset:
    root = tmp_path_factory.mktemp("village")
    return build_dataset(write_documents(root / "in"), root / "out")


def test_ids_are_relative_paths_or_the_records_own(village: BuiltDataset) -> None:
    found = corpus_of(village)
    assert {"guide.md", "guide.md#2", "pages/bridge.html", "notes.txt", "archive.rst", "kb0", "tool.py"} <= set(found)
    assert found["kb0"]["metadata"] == {"source": "faq.jsonl", "line": 1}
    assert found["pages/bridge.html"]["metadata"]["source"] == "pages/bridge.html"


def test_a_passage_has_the_path_of_its_headings_as_title(tmp_path: Path) -> None:
    lines = ["# Village", "## Water", "### Pump", section("copper pump"), "## Light", section("paper lantern")]
    built = build_dataset(write_lines(tmp_path / "a.md", lines), tmp_path / "out")
    titles = {record["title"] for record in corpus_of(built).values()}
    assert any(title.startswith("Village > Water") for title in titles)


def test_every_file_is_counted_as_read_or_skipped_with_a_reason(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    write_lines(folder / "picture.svg", ["<svg/>"])
    write_lines(folder / "empty.md", [""])
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 20)
    write_lines(folder / "table.csv", ["price,count", "1,2"])
    write_lines(folder / ".hidden" / "a.md", ["x"])
    write_lines(folder / ".gitignore", ["*.log"])
    write_lines(folder / "run.log", ["nothing"])
    report = build_dataset(folder, tmp_path / "out").report
    assert report.files == 6
    assert {reason: one.first for reason, one in report.skipped.items()} == {
        "unknown type .svg": "picture.svg",
        "Markdown, empty": "empty.md",
        "text, binary content": "binary.txt",
        "CSV, no column of the usual names": "table.csv",
        "hidden folder": ".hidden",
        "hidden file": ".gitignore",
        "ignored by .gitignore": "run.log",
    }


def test_each_query_says_its_kind_and_machine_made_ones_how(village: BuiltDataset) -> None:
    queries = {record["text"]: record["metadata"] for record in read_jsonl(village.folder / "queries.jsonl")}
    assert queries["Where can I find the silver compass?"] == {"kind": "question"}
    kinds = {metadata["kind"] for metadata in queries.values()}
    assert {"question", "heading", "link"} <= kinds
    assert all(
        ("synthetic" in metadata) == (metadata["kind"] not in ("own", "question")) for metadata in queries.values()
    )


def test_a_heading_that_is_a_query_leaves_the_title(village: BuiltDataset) -> None:
    corpus = corpus_of(village)
    heading = next(one for one in village.splits["test-heading"] if "copper pump" in one.text)
    assert all("copper pump" not in corpus[name]["title"] for name in heading.relevant)
    assert all("copper pump" in corpus[name]["text"] for name in heading.relevant)


def test_a_link_text_finds_the_place_it_leads_to(village: BuiltDataset) -> None:
    (link,) = village.splits["test-link"]
    assert (link.text, link.relevant) == ("the story of the bridge", ("pages/bridge.html",))


def test_no_sentence_stands_in_its_own_document(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number, topic in enumerate(TOPICS):
        write_lines(folder / f"{number}.txt", [section(topic)])
    built = build_dataset(folder, tmp_path / "out")
    corpus = corpus_of(built)
    sentences = built.splits["test-sentence"]
    assert sentences
    assert all(one.text not in corpus[name]["text"] for one in sentences for name in one.relevant)


def test_few_queries_are_all_in_test_and_many_are_divided_by_document(tmp_path: Path, village: BuiltDataset) -> None:
    assert "train" not in village.splits
    folder = tmp_path / "in"
    for number in range(120):
        topic = list(TOPICS)[number % len(TOPICS)]
        write_lines(
            folder / f"{number}.md",
            [f"# Place {'abcdefghij'[number % 10]}{number} near the {topic}", section(topic) + f" Number {number}."],
        )
    rows = [
        json.dumps(
            {
                "id": f"kb{i}",
                "question": f"What is the price of item {i} in the {list(TOPICS)[i % 8]}?",
                "answer": f"Item {i} costs {i * 7} coins at the market of the {list(TOPICS)[i % 8]}.",
            }
        )
        for i in range(150)
    ]
    write_lines(folder / "faq.jsonl", rows)
    built = build_dataset(folder, tmp_path / "out")
    parts = {split: {one.document for one in built.splits[split]} for split in ("train", "dev", "test")}
    assert all(parts.values())
    assert not parts["train"] & parts["test"] | parts["train"] & parts["dev"] | parts["dev"] & parts["test"]
    for split in parts:
        assert len(load_dataset(built.folder, split).queries) == len(built.splits[split])


def test_equal_passages_are_one_document_and_near_ones_lend_no_query(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_lines(tmp_path / "in" / f"{name}.md", [f"# {name}", section("copper pump")])
    near = section("granite bridge")
    write_lines(tmp_path / "in" / "c.txt", [near])
    write_lines(tmp_path / "in" / "d.txt", [near + " Amen."])
    write_lines(tmp_path / "in" / "e.md", ["# How the paper lantern burns", section("paper lantern")])
    built = build_dataset(tmp_path / "in", tmp_path / "out")
    assert (built.intake.exact_duplicates, len(built.intake.near_duplicates)) == (1, 2)
    relevant = {name for queries in built.splits.values() for one in queries for name in one.relevant}
    assert not relevant & {"c.txt", "d.txt"}


def test_passages_fit_the_model(tmp_path: Path) -> None:
    text = " ".join(section(topic) for topic in TOPICS) + "".join(f" word{number}" for number in range(1000))
    built = build_dataset(
        write_lines(tmp_path / "a.txt", [text]), tmp_path / "out", options=BuildOptions(max_tokens=64)
    )
    from probe.documents.token_count import open_counter

    counter = open_counter("minilm", 64)
    assert max(counter.count([record["text"] for record in corpus_of(built).values()])) <= 64


def test_columns_may_be_named(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.tsv", ["nr\thead\tcell", f"7\tPump\t{section('copper pump')}"])
    with pytest.raises(CallError, match="--text-field"):
        build_dataset(file, tmp_path / "out")
    options = BuildOptions(fields=RecordFields("cell", "head", "nr"))
    built = build_dataset(file, tmp_path / "out", options=options)
    assert list(corpus_of(built)) == ["7"]


def test_two_records_with_one_id_are_both_kept(tmp_path: Path) -> None:
    for name, topic in (("a", "copper pump"), ("b", "paper lantern")):
        write_lines(tmp_path / "in" / f"{name}.csv", ["id,text", f"kb0,{section(topic).replace(',', ' ')}"])
    built = build_dataset(tmp_path / "in", tmp_path / "out")
    assert list(corpus_of(built)) == ["kb0", "b.csv:2"]
    assert built.intake.clashes == ["'kb0' in b.csv:2"]


def test_ids_of_records_and_of_further_passages_never_meet(tmp_path: Path) -> None:
    lines = [section(topic) + "\n" for topic in list(TOPICS)[:4]]
    write_lines(tmp_path / "in" / "a.txt", lines)
    rows = [json.dumps({"id": name, "text": section("barley field") + name}) for name in ("a.txt#2", "a.txt#3", "b")]
    write_lines(tmp_path / "in" / "z.jsonl", rows)
    built = build_dataset(tmp_path / "in", tmp_path / "out", options=BuildOptions(max_tokens=80))
    ids = [record["_id"] for record in read_jsonl(built.folder / "corpus.jsonl")]
    assert len(ids) == len(set(ids)) == built.documents
    assert {"a.txt#2", "z.jsonl:1", "z.jsonl:2", "b"} <= set(ids)


def test_a_foreign_folder_with_the_same_names_is_not_replaced(tmp_path: Path) -> None:
    folder = build_dataset(write_documents(tmp_path / "in"), tmp_path / "out").folder
    (folder / "build.json").write_text("[]")
    with pytest.raises(CallError, match="not made by this command"):
        build_dataset(tmp_path / "in", folder, force=True)


def test_white_space_in_paths_is_encoded_in_ids_alone(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "my notes.txt", [section("copper pump")])
    (name, record), *_ = corpus_of(build_dataset(tmp_path / "in", tmp_path / "out")).items()
    assert (name, record["metadata"]["source"]) == ("my%20notes.txt", "my notes.txt")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    built = [build_dataset(folder, tmp_path / name).folder for name in ("x", "y")]
    files = sorted(path.relative_to(built[0]) for path in built[0].rglob("*") if path.is_file())
    assert len(files) > 4
    assert all((built[0] / file).read_bytes() == (built[1] / file).read_bytes() for file in files)


def test_strict_stops_at_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    write_lines(folder / "empty.md", [""])
    with pytest.raises(DataError, match=r"'empty.md': empty; without --strict"):
        build_dataset(folder, tmp_path / "out", options=BuildOptions(strict=True))
    assert not (tmp_path / "out").exists()


def test_strict_stops_at_a_broken_link(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    with pytest.raises(DataError, match=r"'gone.md': broken link; without --strict"):
        build_dataset(folder, tmp_path / "out", options=BuildOptions(strict=True))


def test_patterns_choose_files(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    built = build_dataset(folder, tmp_path / "out", options=BuildOptions(patterns=("*.md", "*.rst")))
    assert built.report.read == {"Markdown": 1, "reStructuredText": 1}


def test_patterns_that_match_nothing_are_named(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"no file in '.*in' matches \*.pdf"):
        build_dataset(write_documents(tmp_path / "in"), tmp_path / "out", options=BuildOptions(patterns=("*.pdf",)))


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    (folder / "loop").symlink_to(folder)
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    report = build_dataset(folder, tmp_path / "out").report
    assert {"link to a folder", "broken link"} <= set(report.skipped)


def test_an_existing_folder_is_not_overwritten_without_force(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    build_dataset(folder, tmp_path / "out")
    write_lines(folder / "new.txt", [section("barley field")])
    with pytest.raises(CallError, match="--force"):
        build_dataset(folder, tmp_path / "out")
    assert "new.txt" in corpus_of(build_dataset(folder, tmp_path / "out", force=True))


@pytest.mark.parametrize("out", ["others", "others/deep/..", ".", "a.txt", "empty", "mixed"])
def test_force_replaces_nothing_but_a_data_set(tmp_path: Path, out: str) -> None:
    folder = write_documents(tmp_path / "in")
    write_lines(tmp_path / "others" / "deep" / "mine.txt", ["precious"])
    write_lines(tmp_path / "a.txt", ["precious"])
    build_dataset(folder, tmp_path / "mixed")
    write_lines(tmp_path / "mixed" / "mine.txt", ["precious"])
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CallError, match="choose another --out"):
        build_dataset([folder], tmp_path / out, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_force_replaces_a_data_set_of_an_older_version(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    old = build_dataset(folder, tmp_path / "out").folder
    (old / "build.json").unlink()
    metadata = {"synthetic": "known-item: a passage's first sentence, taken out of it, finds the rest"}
    write_lines(old / "queries.jsonl", [json.dumps({"_id": "q1", "text": "x", "metadata": metadata})])
    assert build_dataset(folder, old, force=True).queries > 1


def test_force_does_not_replace_the_input(tmp_path: Path) -> None:
    folder = build_dataset(write_documents(tmp_path / "in"), tmp_path / "out").folder
    with pytest.raises(CallError, match="contains the input"):
        build_dataset([folder / "corpus.jsonl"], folder, force=True)
    assert (folder / "corpus.jsonl").exists()


def test_an_out_that_cannot_be_written_is_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_documents(tmp_path / "in")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr("probe.documents.build.read_files", lambda *_, **__: pytest.fail("something was read"))
    with pytest.raises(CallError, match="no permission"):
        build_dataset(folder, tmp_path / "out")


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")

    def stop(step: str, done: int, total: int) -> None:
        if step == "making queries":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_dataset(folder, tmp_path / "out", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def write_nothing(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: folder, "file '.*in' not found"),
        (write_nothing, "nothing to read in '.*in'; no files. Expected Markdown, "),
        (lambda folder: write_lines(folder / "a.svg", ["x"]).parent, r"skipped: a.svg: unknown type .svg"),
    ],
)
def test_a_folder_without_anything_readable_is_a_wrong_call(
    tmp_path: Path, write: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        build_dataset(write(tmp_path / "in"), tmp_path / "out")


def test_texts_without_a_query_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 passages in 1 files lends a query"):
        build_dataset(write_lines(tmp_path / "a.txt", ["Too short."]), tmp_path / "out")


def test_own_queries_change_no_document_and_lead(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "in")
    log = [
        "query,document,clicks",
        "how does the pump work,guide.md,3",
        "old lamp,notes.txt,1",
        "lost,gone.md,1",
        "alone,,",
    ]
    file = write_lines(tmp_path / "log.csv", log)
    built = build_dataset(folder, tmp_path / "out", options=BuildOptions(queries=file))
    assert {one.text for one in built.splits["test-own"]} == {"how does the pump work", "old lamp"}
    assert {one.kind for one in built.splits["test"]} == {"own", "question", "link"}
    assert (built.made.own.unknown, built.made.own.unjudged) == (1, ("lost", "alone"))
    plain = build_dataset(folder, tmp_path / "plain", options=BuildOptions(kinds=("question",)))
    assert corpus_of(built) == corpus_of(plain)
    assert {"lost", "alone"} <= {record["text"] for record in read_jsonl(built.folder / "queries.jsonl")}
    assert load_dataset(built.folder, "test-own").synthetic == ""


def test_passages_of_a_few_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="--max-tokens 3 is out of range: expected 16 or more"):
        build_dataset(write_documents(tmp_path / "in"), tmp_path / "out", options=BuildOptions(max_tokens=3))


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="unknown kind of query 'headings': expected some of own, question"):
        build_dataset(write_documents(tmp_path / "in"), tmp_path / "out", options=BuildOptions(kinds=("headings",)))  # type: ignore[arg-type]
