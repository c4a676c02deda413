"""Sentences and words of several scripts."""

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


def test_a_text_without_capital_letters_ends_its_sentences_at_full_stops() -> None:
    assert split_sentences("the wing lifts . the slipstream, e.g. at 2.5 degrees, helps . it ends") == [
        "the wing lifts .",
        "the slipstream, e.g. at 2.5 degrees, helps .",
        "it ends",
    ]
