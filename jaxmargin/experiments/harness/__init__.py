"""What all experiments share: the command line, results on disk, plots and statistics."""
