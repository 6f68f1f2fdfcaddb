"""What one experiment computes or draws that is too long for its own file.

The networks of Figure 3, the minimum-norm limit of Theorem B.10, the flows that others propose in
place of the perturbed one, and the picture of Theorem 3.3.
"""
