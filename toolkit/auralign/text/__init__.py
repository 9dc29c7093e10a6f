"""Text as it is compared: every normaliser of the toolkit, each a composition of the same few steps.

Two texts are never compared as bytes. All comparisons compose Unicode (`characters.compose`); what else is done depends on who
asks, as published tools differ:

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
normalise_phrase                                                         and "'s" as a word of its own
=========================== ============================================ ===================================================

BLEU, chrF and ROUGE get composed text and do the rest themselves (sacrebleu, rouge-score).
"""
