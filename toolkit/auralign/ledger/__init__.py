"""What is recovered: answers to speech between a floor and the text, as a ledger, tables, a picture and a report."""
