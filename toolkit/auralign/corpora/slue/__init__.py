"""The Spoken Language Understanding Evaluation: its corpora, its labels, how answers are read, and its scores."""
