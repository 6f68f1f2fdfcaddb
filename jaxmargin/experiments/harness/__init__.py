"""What the experiments share: the command line, results on disk, grids of runs, data and plots."""
