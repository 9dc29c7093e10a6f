"""Published corpora: their downloads, readers and official scoring rules."""
