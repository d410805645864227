"""Export: the query encoder of a release as files that a search stack without Python can carry out (docs/EXPORT.md)."""
