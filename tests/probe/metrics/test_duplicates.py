import numpy as np

from probe.metrics.duplicates import cluster_near_duplicates, signature, text_key


def _text(seed: int, words: int = 80) -> list[str]:
    return [f"word{number}" for number in np.random.default_rng(seed).integers(0, 5000, words)]


def _clusters(*texts: str) -> list[int]:
    return cluster_near_duplicates(signature(text) for text in texts)


def test_texts_that_differ_in_white_space_and_case_have_one_key() -> None:
    assert text_key("Open the  file\n now") == text_key("open the file now")


def test_texts_that_differ_in_an_operator_have_different_keys() -> None:
    assert text_key("return a + b") != text_key("return a - b")
    assert text_key("+++") != text_key("---")


def test_a_text_with_one_other_word_is_a_near_duplicate() -> None:
    words = _text(1, 160)
    changed = [*words[:-1], "other"]
    assert len(set(_clusters(" ".join(words), " ".join(changed)))) == 1


def test_texts_with_half_of_the_words_in_common_are_no_near_duplicates() -> None:
    words = _text(2)
    other = [*words[:40], *_text(3, 40)]
    assert len(set(_clusters(" ".join(words), " ".join(other)))) == 2


def test_near_duplicates_are_found_among_many_texts() -> None:
    texts = [" ".join(_text(seed)) for seed in range(100, 200)]
    clusters = _clusters(*texts, texts[40])
    assert clusters[100] == clusters[40]
    assert len(set(clusters)) == 100


def test_texts_without_words_are_near_duplicates_only_if_equal() -> None:
    clusters = _clusters("+++", "---", "+++")
    assert clusters[0] == clusters[2] != clusters[1]


def test_no_texts_have_no_clusters() -> None:
    assert cluster_near_duplicates([]) == []


def test_a_near_duplicate_of_the_first_text_is_found_behind_another_with_an_equal_band() -> None:
    first = np.arange(64, dtype=np.uint32)
    between = first.copy()
    between[4:48] = 500
    last = first.copy()
    last[5:48:4] = 999
    clusters = cluster_near_duplicates([first, between, last])
    assert clusters[0] == clusters[2] != clusters[1]
