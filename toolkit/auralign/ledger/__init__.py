"""The gap ledger: how much of the score for text the answers to speech recover; tables, a picture and a report."""
