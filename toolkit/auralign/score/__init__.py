"""Rates and metrics of answers, their intervals, and the judge of single answers."""
