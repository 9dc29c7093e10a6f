"""Corpus BLEU and chrF by sacrebleu, each with the signature that makes it comparable, and COMET if it is installed.

    >>> score = score_translation(["Das ist ein Haus."], ["Das ist ein Haus."], utt_ids=["1"], language="de")
    >>> round(score.bleu.points), score.bleu.signature.split("|version")[0]
    (100, 'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp')

Texts must be cased, punctuated and detokenised. For BLEU and chrF only their Unicode is composed (NFC). BLEU (Papineni et al.
2002; Post 2018 for the signature) needs words, so its tokenizer depends on the target language:

    zh      zh: each Chinese character is a word
    ja      ja-mecab, if sacrebleu[ja] is installed; else char, with a note, as its scores are mostly higher
    others  13a: the default of sacrebleu, which papers report

BLEU scores of different tokenizers are not comparable; any other language without spaces needs `tokenizer="char"`. chrF
(Popović 2015) compares characters and needs no tokenizer.

This module and its imports from auralign need the standard library alone: unbabel-comet pins versions that auralign no longer
supports, so `score_comet` may run in another environment, with the toolkit on its PYTHONPATH.

Legend: N utterances; BLEU and chrF in points, 0 to 100; COMET as its model gives it, mostly 0 to 1.
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auralign.text.characters import compose
from auralign.text.language import main_code

TOKENIZERS = ("13a", "zh", "char", "ja-mecab", "ko-mecab", "intl", "none")
"""The tokenizers of sacrebleu that download nothing."""
NUM_RESAMPLES = 1000
COMET_BATCH = 16


@dataclass(frozen=True)
class MetricScore:
    """A corpus score in points and sacrebleu's signature, without which it is not comparable."""

    points: float
    signature: str


@dataclass(frozen=True)
class TranslationScore:
    """The scores of one system on one test set."""

    language: str
    bleu: MetricScore
    chrf: MetricScore
    num_utterances: int
    empty_hypotheses: tuple[str, ...]  # ids; they are scored, and match nothing
    empty_references: tuple[str, ...]  # ids; any words of their hypotheses are wrong
    notes: tuple[str, ...]  # limits of comparability, for the report


@dataclass(frozen=True)
class PairedScore:
    """Two systems in points, each with half the width of its 95 % interval, and the p-value of their difference.

    `p_value` is two-sided; it is 1.0 if the two have the same points.
    """

    points: float
    half_width: float
    other_points: float
    other_half_width: float
    p_value: float
    signature: str  # with seed and number of resamples


@dataclass(frozen=True)
class TranslationDifference:
    """Two systems compared on the same utterances."""

    language: str
    bleu: PairedScore
    chrf: PairedScore
    notes: tuple[str, ...]


def score_translation(references, hypotheses, *, utt_ids, language, tokenizer=None) -> TranslationScore:
    """Score one system by a corpus score, which is not a mean over sentences.

    Arguments
    ---------
    references, hypotheses : sequences of N texts
        One reference per hypothesis; cased, punctuated, detokenised.
    utt_ids : sequence of N
    language : str
        Code of the target language, such as `de` or `zh-CN`.
    tokenizer : str, optional
        One of TOKENIZERS; that of the language by default.

    Raises
    ------
    ValueError : if sacrebleu is missing, the numbers of texts differ, there is none, or all references are empty.
    """
    references, hypotheses = _compose(references), _compose(hypotheses)
    utt_ids = [str(utt_id) for utt_id in utt_ids]
    _check_texts(references, hypotheses=hypotheses, utt_ids=utt_ids)
    metrics, notes = _make_metrics(language, tokenizer)
    scores = {}
    for name, metric in metrics.items():
        points = float(metric.corpus_score(hypotheses, [references]).score)
        scores[name] = MetricScore(points, str(metric.get_signature()))
    notes += _note_short(references, metrics["bleu"])
    return TranslationScore(
        language,
        **scores,
        num_utterances=len(references),
        empty_hypotheses=_empty(hypotheses, utt_ids),
        empty_references=_empty(references, utt_ids),
        notes=notes,
    )


@dataclass(frozen=True)
class CorpusStatistics:
    """The counts of N texts, whose sums a corpus score is computed of: a resampled test set is scored by other sums.

    `rows` has K counts for each text; `metric` is sacrebleu's.
    """

    rows: tuple[tuple[float, ...], ...]
    metric: Any

    def points(self, sums) -> float:
        """The score in points of a test set with these sums of the K counts."""
        return float(self.metric._compute_score_from_stats([int(count) for count in sums]).score)


def corpus_statistics(references, hypotheses, *, language, tokenizer=None) -> dict[str, CorpusStatistics]:
    """The counts of each text, under "bleu" and "chrf"; arguments and errors as of `score_translation`.

    >>> found = corpus_statistics(["a b c d", "e f"], ["a b c d", ""], language="de")["bleu"]
    >>> round(found.points(found.rows[0]))                                  # of a test set of the first text alone
    100
    """
    references, hypotheses = _compose(references), _compose(hypotheses)
    _check_texts(references, hypotheses=hypotheses)
    metrics, _ = _make_metrics(language, tokenizer)
    # sacrebleu's own bootstrap sums these counts too, but it resamples utterances alone.
    return {
        name: CorpusStatistics(
            tuple(map(tuple, metric._extract_corpus_statistics(hypotheses, [references]))), metric
        )
        for name, metric in metrics.items()
    }


def score_sentence(reference: str, hypothesis: str) -> float:
    """chrF of one sentence in points, to inspect single answers; a corpus score is not the mean of these.

    >>> score_sentence("Das ist ein Haus.", "Das ist ein Haus."), score_sentence("Das ist ein Haus.", "")
    (100.0, 0.0)
    """
    return float(_sentence_metric().sentence_score(compose(hypothesis), [compose(reference)]).score)


@cache
def _sentence_metric():
    return _make_metrics("en", None)[0]["chrf"]  # independent of the language


def compare_translations(
    references, hypotheses, others, *, language, seed, tokenizer=None, num_resamples=NUM_RESAMPLES
) -> TranslationDifference:
    """sacrebleu's paired bootstrap (Koehn 2004) of two systems, N texts each; arguments as of `score_translation`.

    Utterances are resampled one by one, as sacrebleu does not know speakers. BLEU takes 40 bytes of memory for each utterance and
    resample, chrF about twice that: 1.2 GB for 15,000 utterances and 1000 resamples.

    Raises ValueError as `score_translation` does, and on a seed below 1, as sacrebleu takes 0 to mean a random seed.
    """
    references, hypotheses, others = _compose(references), _compose(hypotheses), _compose(others)
    _check_texts(references, hypotheses=hypotheses, others=others)
    if seed < 1:
        raise ValueError(f"seed {seed}: sacrebleu does not accept it; use 1 or more")
    metrics, notes = _make_metrics(language, tokenizer)
    from sacrebleu.significance import PairedTest

    with _sacrebleu_seed(seed):
        signatures, found = PairedTest(
            [("others", others), ("hypotheses", hypotheses)],
            metrics,
            [references],
            test_type="bs",
            n_samples=num_resamples,
        )()
    pairs = {
        field: _pair(*found[name], signatures[name])
        for field, name in zip(metrics, signatures, strict=True)  # sacrebleu renames chrf to chrF2
    }
    return TranslationDifference(language, **pairs, notes=notes)


def score_comet(
    sources, hypotheses, references, *, checkpoint, batch_size=COMET_BATCH, num_gpus=0
) -> tuple[float, list[float]]:
    """COMET (Rei et al. 2020) of the corpus and of each of N translations, by a local checkpoint.

    Arguments
    ---------
    sources, hypotheses, references : sequences of N texts
        The source is the transcript.
    checkpoint : path
        The model's .ckpt file, or the folder that holds it as `checkpoints/model.ckpt`. The configuration of its encoder must be
        on this disk too, as nothing is downloaded.

    Raises
    ------
    ValueError : if unbabel-comet or the checkpoint is missing, or the numbers of texts differ.
    """
    sources, hypotheses, references = list(sources), list(hypotheses), list(references)
    _check_texts(references, hypotheses=hypotheses, sources=sources)
    path = Path(checkpoint)
    path = path / "checkpoints" / "model.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"{path}: no COMET checkpoint; fetch one, such as wmt22-comet-da, and give its path")
    try:
        model = _load_comet(str(path))
    except ImportError as error:
        raise ValueError(
            "COMET needs unbabel-comet: pip install unbabel-comet, in an environment of its own if its pins on "
            f"transformers and numpy do not fit auralign's ({error})"
        ) from error
    rows = [
        {"src": source, "mt": hypothesis, "ref": reference}
        for source, hypothesis, reference in zip(sources, hypotheses, references, strict=True)
    ]
    found = model.predict(rows, batch_size=batch_size, gpus=num_gpus, progress_bar=False)
    return float(found.system_score), [float(score) for score in found.scores]


@lru_cache(1)
def _load_comet(path: str):
    """Load the model once for all systems of a report, as this is slow."""
    from comet import load_from_checkpoint

    return load_from_checkpoint(path, local_files_only=True)


def choose_tokenizer(language: str) -> tuple[str, tuple[str, ...]]:
    """BLEU's tokenizer for a target language, and notes on it."""
    code = main_code(language)
    if code == "ja" and find_spec("MeCab") and find_spec("ipadic"):
        return "ja-mecab", ()
    if code == "ja":
        return "char", (
            "BLEU is over characters and not comparable with ja-mecab's: pip install 'sacrebleu[ja]' for words",
        )
    return ("zh" if code == "zh" else "13a"), ()


def _make_metrics(language, tokenizer):
    """({"bleu": metric, "chrf": metric}, notes)."""
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise ValueError("BLEU and chrF need sacrebleu: pip install 'auralign[translation]'") from error
    chosen, notes = choose_tokenizer(language)
    if tokenizer is not None:
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer {tokenizer!r} is unknown or downloads; use {', '.join(TOKENIZERS)}")
        chosen, notes = tokenizer, ()
    try:
        return {"bleu": BLEU(tokenize=chosen), "chrf": CHRF()}, notes
    except RuntimeError as error:  # MeCab is missing
        extra = chosen.split("-")[0]
        raise ValueError(f"tokenizer {chosen!r} needs: pip install 'sacrebleu[{extra}]'") from error


def _note_short(references, bleu) -> tuple[str, ...]:
    """A note if BLEU can only be 0, as it counts runs of four words and no reference has one."""
    if any(len(reference.split()) >= bleu.max_ngram_order for reference in references):
        return ()
    if bleu.corpus_score(references, [references]).score:  # characters are words here
        return ()
    return (f"BLEU is 0 even for the references: each has fewer than {bleu.max_ngram_order} words; use chrF",)


def _pair(other, own, signature) -> PairedScore:
    # sacrebleu counts resamples beyond the difference: 0 for equal systems, which would look significant.
    p_value = 1.0 if own.score == other.score else float(own.p_value)
    return PairedScore(
        points=float(own.score),
        half_width=float(own.ci),
        other_points=float(other.score),
        other_half_width=float(other.ci),
        p_value=p_value,
        signature=str(signature),
    )


@contextmanager
def _sacrebleu_seed(seed):
    """Set sacrebleu's seed, which it reads from the environment alone."""
    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(int(seed))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before


def _compose(texts) -> list[str]:
    return [compose(text) for text in texts]


def _empty(texts, utt_ids) -> tuple[str, ...]:
    return tuple(utt_id for text, utt_id in zip(texts, utt_ids, strict=True) if not text.strip())


def _check_texts(references, **others):
    for name, values in others.items():
        if len(values) != len(references):
            raise ValueError(f"{len(references)} references but {len(values)} {name}: each needs its own")
    if not any(reference.strip() for reference in references):
        raise ValueError(
            f"{len(references)} references hold no text: a score against them is undefined; "
            "check the manifest's translations"
        )
