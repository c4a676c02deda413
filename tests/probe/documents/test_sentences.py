"""Sentences and words of several scripts, and how common words are."""

from probe.documents.terms import TermTable, plain_heading
from probe.formats.sentences import count_words, is_unspaced, split_sentences, words_of


def test_abbreviations_and_initials_do_not_end_sentences() -> None:
    text = "Use a shell, e.g. Bash, by B. Fox. It is free. 3 more follow."
    assert split_sentences(text) == ["Use a shell, e.g. Bash, by B. Fox.", "It is free.", "3 more follow."]


def test_closing_marks_belong_to_their_sentence() -> None:
    assert split_sentences('He said "stop." Then he left.') == ['He said "stop."', "Then he left."]


def test_sentences_without_spaces_between_them_are_split() -> None:
    assert split_sentences("你好。再见。") == ["你好。", "再见。"]


def test_every_chinese_character_is_a_word_and_korean_has_spaces() -> None:
    assert count_words("安装软件 now") == 5
    assert words_of("설치 방법") == ["설치", "방법"]
    assert is_unspaced("安装软件")
    assert not is_unspaced("설치 방법")
    assert not is_unspaced("install")


def test_words_have_no_punctuation_and_keep_apostrophes() -> None:
    assert words_of("Don't stop, re-run: it_now!") == ["don't", "stop", "re", "run", "it", "now"]


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
