"""Look-alikes of published corpora, with the traps of the real ones: their content, and what must come out.

`python -m auralign.testing.corpora` writes one.
"""
