"""Two-layer networks of any width, found in the cells of activation patterns."""
