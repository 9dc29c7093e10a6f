"""Published corpora: what is downloaded, read and scored as the corpus, not the toolkit, wants it."""
