"""Metrics and measures of answers, their intervals, and the judging of single answers."""
