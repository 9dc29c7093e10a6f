"""Look-alikes of published corpora, with the traps of the real ones: what stands in them, and what must come out.

`python -m auralign.testing.corpora` writes one.
"""
