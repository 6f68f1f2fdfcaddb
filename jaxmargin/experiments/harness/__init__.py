"""What the experiments of sections 2, 3, 5 and F share.

An experiment is a table of settings, a run, the claims that it tests, and a picture (`experiment`).
The command line runs it (`command_line`), in parts that an interrupted run takes up again, and
writes its picture and numbers (`artifacts`). The rest is what several runs need: grids of settings,
samples of teachers, sizes of samples of the distribution D, statistics, and the look of plots.
"""
