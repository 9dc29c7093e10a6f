"""Text normalisation for comparisons: every normaliser of the toolkit, each composed of the same few steps.

Texts are never compared as bytes. All comparisons compose Unicode (`characters.compose`); the further steps depend on the use, as
published tools differ:

=========================== ============================================ ===================================================
normaliser                  used by                                      after composing
=========================== ============================================ ===================================================
words.normalise             the ledger's "normalised text"               straight apostrophes, lower case, no punctuation
words.words                 judges of answers                            straight apostrophes, lower case, split by white
                                                                         space, no ASCII punctuation around a word
words.english_words         rules about English answers (`score.obey`)   straight apostrophes, lower case, runs of letters
                                                                         and digits
words.plain                 alignments, train and test overlap           compatibility form (NFKC), case folded, no
                                                                         punctuation, symbols and spaces
forms.raw_form              word error rates, raw                        nothing
forms.normalised_form       word error rates, as Whisper's paper has     Whisper's normalisers, as transformers has them
corpora.slue.labels.        SLUE's scorer (slue-toolkit)                 straight apostrophes, lower case, without . , ! ? ;
normalise_phrase                                                         and "'s" as a separate word
=========================== ============================================ ===================================================

BLEU, chrF and ROUGE receive composed text and normalise it themselves (sacrebleu, rouge-score).
"""
