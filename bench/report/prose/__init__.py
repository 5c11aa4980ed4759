"""Sentences made from the numbers of a table or figure: the answer, the findings, the notes."""
