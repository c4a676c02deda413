from probe.documents.boilerplate import BlockCounts, drop_boilerplate
from probe.formats.document import Block, Document


def _document(name: str, *texts: str) -> Document:
    return Document(name, name, "", tuple(Block(text) for text in texts))


def _count(documents: list[Document]) -> BlockCounts:
    counts = BlockCounts()
    for document in documents:
        counts.add(document)
    return counts


def test_a_block_of_many_files_is_dropped_and_returned() -> None:
    documents = [_document(f"{number}.md", "All rights  reserved.", f"Text {number}.") for number in range(8)]
    rest, dropped = drop_boilerplate(documents[3], _count(documents))
    assert [block.text for block in rest.blocks] == ["Text 3."]
    assert dropped == ["All rights  reserved."]


def test_white_space_and_case_do_not_make_another_block() -> None:
    documents = [
        _document(f"{number}.md", "All rights" + " " * (number + 1) + "RESERVED", f"{number}") for number in range(8)
    ]
    assert drop_boilerplate(_document("x", "all rights reserved"), _count(documents))[1]


def test_a_phrase_of_few_files_stays() -> None:
    documents = [_document(f"{number}.md", "Returns the size.") for number in range(4)]
    assert drop_boilerplate(documents[0], _count(documents)) == (documents[0], [])


def test_a_phrase_of_few_files_of_a_large_collection_stays() -> None:
    documents = [_document(f"{number}.md", "Returns the size." if number < 9 else f"{number}") for number in range(200)]
    assert drop_boilerplate(documents[0], _count(documents))[1] == []


def test_copies_of_one_file_are_no_boilerplate() -> None:
    documents = [_document(f"{number}.md", "A queue.", "It has a head.") for number in range(18)]
    assert drop_boilerplate(documents[0], _count(documents)) == (documents[0], [])


def test_repetition_in_one_file_counts_once() -> None:
    counts = BlockCounts()
    for number in range(50):
        counts.add(_document("log.txt", "Same line."), same_file=number > 0)
    assert counts.files == 1
    assert not counts.is_boilerplate(Block("Same line."))


def test_source_code_repeats_itself_with_reason() -> None:
    documents = [_document(f"{number}.py", "x: Data of the model.") for number in range(8)]
    assert drop_boilerplate(documents[0], _count(documents)) == (documents[0], [])
