"""The table of wrong input: each file has the rows `FAULTS` of a few modules."""
