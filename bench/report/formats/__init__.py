"""The formats of a report: Markdown, LaTeX, HTML and the terminal."""
