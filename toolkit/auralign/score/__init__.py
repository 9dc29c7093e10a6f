"""Answers against references: exact match, error rates, intervals, the gap ledger and its report."""
