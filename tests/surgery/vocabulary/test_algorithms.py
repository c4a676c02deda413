"""Tokenizers with fewer tokens: a text whose tokens all stay keeps them, and nothing becomes unknown that was not."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tiny_models import WORDS, make_texts
from tiny_tokenizers import write_make
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from probe.errors import ModelError
from surgery.vocabulary.bpe import BytePairs
from surgery.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer, renumber

UNKNOWN = ("[UNK]", "<unk>", "<|end|>")
# Letters of the tests' words and others, combining marks, scripts without spaces, symbols beyond the first plane.
ALPHABET = "abcdefghilmnoprstuwxyz  AE\u00e4\u00df\u4e2d\u0301\U0001f600.,-!1\u200b\n"


def drawn_texts(seed: int, count: int = 400) -> list[str]:
    """Return random texts, and some of the tests' words glued together and with strange characters inside."""
    rng = random.Random(seed)
    drawn = ["".join(rng.choices(ALPHABET, k=rng.randint(1, 20))) for _ in range(count)]
    glued = ["".join(rng.choices([*WORDS, *ALPHABET], k=rng.randint(1, 6))) for _ in range(count)]
    return drawn + glued + make_texts(100, seed)


def of_make(make: str) -> Callable[[Any], Tokenizer]:
    return lambda folder: Tokenizer.from_file(str(write_make(folder, make) / "tokenizer.json"))


def clip_like(folder: object) -> Tokenizer:
    """Byte pairs of characters whose last one in a word has a mark."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=160, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def prefixed(folder: object) -> Tokenizer:
    """Byte pairs whose tokens inside a word have a mark."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=160, special_tokens=["<unk>"], continuing_subword_prefix="##", show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def whole_words(folder: object) -> Tokenizer:
    """Byte pairs that take a word whole if it is a token, merges or not."""
    tokenizer = Tokenizer.from_str(of_make("gpt")(folder).to_str())
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = True
    content["model"]["vocab"]["\u0120quixotic"] = len(content["model"]["vocab"])
    return Tokenizer.from_str(json.dumps(content))


def bert_processed(folder: object) -> Tokenizer:
    """Special tokens put around a text by their ids, in another form."""
    tokenizer = of_make("bert")(folder)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


KINDS: dict[str, Callable[[Any], Tokenizer]] = {
    **{make: of_make(make) for make in ("bert", "bert-cased", "roberta", "xlmr", "gpt")},
    **{made.__name__: made for made in (clip_like, prefixed, whole_words, bert_processed)},
}


def reduce_at_random(tokenizer: Tokenizer, seed: int, share: float = 0.4) -> tuple[TokenizerFile, dict[int, int]]:
    file = parse_tokenizer(tokenizer.to_str(), "m")
    every = sorted(tokenizer.get_vocab().values())
    chosen = random.Random(seed).sample(every, int(len(every) * share))
    return file, renumber(file.close(file.fixed() | set(chosen)), None, file)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_keep_their_tokens_and_nothing_becomes_unknown(kind: str, seed: int, tmp_path: Any) -> None:
    before = KINDS[kind](tmp_path)
    file, ids = reduce_at_random(before, seed)
    after = Tokenizer.from_str(json.dumps(file.reduce(ids)))
    vocabulary = before.get_vocab()
    assert after.get_vocab() == {token: ids[old] for token, old in vocabulary.items() if old in ids}
    assert len(ids) < len(vocabulary)
    unknown = {vocabulary[token] for token in UNKNOWN if token in vocabulary}
    kept, changed = 0, 0
    for text in drawn_texts(seed):
        old, new = before.encode(text), after.encode(text)
        if all(one in ids for one in old.ids):
            assert [ids[one] for one in old.ids] == new.ids, (text, old.tokens, new.tokens)
            kept += 1
        else:
            changed += 1
        assert sum(one in unknown for one in old.ids) == sum(one in {ids[u] for u in unknown} for one in new.ids), text
    assert kept > 50
    assert changed > 50


def test_a_word_without_the_dropped_token_is_split_as_before() -> None:
    """WordPiece takes the longest token that fits: prefixes and extensions of a dropped one are found as before."""
    letters = [f"{mark}{letter}" for letter in "unaffordble" for mark in ("", "##")]
    vocabulary = ["[UNK]", *letters, "un", "##aff", "##afford", "##able", "aff", "##ord"]
    tokenizer = word_pieces(vocabulary)
    file = parse_tokenizer(tokenizer.to_str(), "m")
    dropped = tokenizer.token_to_id("##afford")
    after = Tokenizer.from_str(json.dumps(file.reduce(renumber(set(range(len(vocabulary))) - {dropped}, None, file))))
    assert tokenizer.encode("unaffordable").tokens == ["un", "##afford", "##able"]
    assert after.encode("unaffordable").tokens == ["un", "##aff", "##ord", "##able"]
    for word in ("afford", "unafford", "unable", "affable"):
        if "##afford" not in tokenizer.encode(word).tokens:
            assert after.encode(word).tokens == tokenizer.encode(word).tokens


def word_pieces(vocabulary: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def test_tokens_on_the_way_to_a_kept_one_stay() -> None:
    pairs = BytePairs((("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("e", "l"), ("hel", "lo")))
    assert pairs.close(["hello"]) == {"he", "ll", "hell", "hello"}
    assert pairs.keep({"h", "e", "l", "o", "he", "ll", "hell"}) == [("h", "e"), ("l", "l"), ("he", "ll")]


def test_everything_that_could_become_a_token_stays_if_its_characters_do_not() -> None:
    pairs = BytePairs((("a", "b"), ("b", "c"), ("a", "bc")))
    assert pairs.close(["abc"]) == {"abc", "a", "bc", "b", "c"}


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_a_vocabulary_in_which_words_could_become_unknown_is_refused(kind: str) -> None:
    made = (
        word_pieces(["[UNK]", "a", "##a", "b", "ab"])
        if kind == "wordpiece"
        else Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("ab", -2.0)], unk_id=0))
    )
    with pytest.raises(ModelError, match=r"no token for 'b'.*cannot be trimmed"):
        parse_tokenizer(made.to_str(), "m").fixed()


def test_symbols_that_are_always_words_of_their_own_need_no_token_inside_a_word() -> None:
    file = parse_tokenizer(word_pieces(["[UNK]", "a", "##a", "[unused1]", "aa"]).to_str(), "m")
    assert file.fixed() == {0, 1, 2}


def test_a_first_character_without_a_token_keeps_the_tokens_that_begin_with_it() -> None:
    file = parse_tokenizer(word_pieces(["[UNK]", "a", "##a", "##b", "ba", "ab"]).to_str(), "m")
    assert 4 in file.fixed()
    assert 5 not in file.fixed()


def test_the_score_of_unknown_characters_stays() -> None:
    """It is that of the least likely piece, less a constant: with another, unknown ones would be chosen elsewhere."""
    pieces = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", -20.0), ("aa", -2.0)]
    file = parse_tokenizer(Tokenizer(models.Unigram(pieces, unk_id=0)).to_str(), "m")
    assert file.fixed() == {0, 1, 2, 3}


def test_bytes_stay_and_make_missing_characters_harmless() -> None:
    pieces = [("<unk>", 0.0), ("a", -1.0), ("<0x62>", -9.0), ("ab", -2.0), ("ac", -3.0)]
    file = parse_tokenizer(Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True)).to_str(), "m")
    assert file.fixed() == {0, 1, 2}


def test_the_padding_keeps_its_id_where_it_can() -> None:
    file = parse_tokenizer(word_pieces(["<s>", "x", "y", "<pad>", "a", "b", "c"]).to_str(), "m")
    assert renumber({0, 3, 4, 5, 6}, 3, file) == {0: 0, 4: 1, 5: 2, 3: 3, 6: 4}
    assert renumber({0, 3, 4}, 3, file) == {0: 0, 4: 1, 3: 2}
    assert renumber({0, 2, 4}, None, file) == {0: 0, 2: 1, 4: 2}


def test_other_algorithms_are_refused() -> None:
    made = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(
        ModelError, match=r"'m' has a tokenizer of the type WordLevel.*expected WordPiece, BPE, Unigram"
    ):
        parse_tokenizer(made.to_str(), "m")


def test_old_files_do_not_name_their_algorithm_and_write_merges_as_text(tmp_path: Any) -> None:
    for make in ("bert", "roberta", "xlmr"):
        content = json.loads(of_make(make)(tmp_path).to_str())
        del content["model"]["type"]
        if "merges" in content["model"]:
            content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
        file = parse_tokenizer(json.dumps(content), "m")
        reduced = file.reduce(renumber(file.close(file.fixed()), None, file))
        assert len(reduced["model"]["vocab"]) < len(content["model"]["vocab"])
        assert all(isinstance(pair, str) for pair in reduced["model"].get("merges", ()))


def test_the_normalizer_stays(tmp_path: Any) -> None:
    tokenizer = of_make("bert")(tmp_path)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    file, ids = reduce_at_random(tokenizer, 1)
    before, after = json.loads(tokenizer.to_str()), file.reduce(ids)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        assert after[part] == before[part]
