"""How common words, sentences and headings are."""

from probe.documents.terms import TermTable, plain_heading


def table(*texts: str) -> TermTable:
    terms = TermTable()
    for text in texts:
        terms.add_passage(text)
    return terms


def test_words_and_sentences_are_counted_once_per_passage() -> None:
    terms = table("Fox fox. A hen runs.", "Fox\nA hen runs.")
    assert (terms.frequency("fox"), terms.frequency("cow")) == (2, 0)
    assert (terms.sentence_frequency("A hen runs."), terms.sentence_frequency("Fox fox.")) == (2, 1)


def test_common_words_weigh_less_and_function_words_tell_nothing() -> None:
    terms = table(*(f"apple pear{number} and then" for number in range(20)))
    assert terms.weight("apple") == 0
    assert terms.weight("pear3") == 1
    assert terms.telling_words("apple pear3 which doesn't 12 x") == {"pear3"}


def test_headings_are_compared_without_numbers_and_marks() -> None:
    terms = TermTable()
    terms.add_phrases(["2. Install", "Install:"])
    terms.add_phrases(["install"])
    assert plain_heading("3.2 Install!") == "install"
    assert terms.phrase_frequency("INSTALL") == 2
