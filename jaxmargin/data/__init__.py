"""The data of the paper (eq. 2.1, section 5 and appendix F).

There are four kinds: the distribution D, on which a network needs few samples and its kernel many;
inputs that a random teacher network labels; points on a line; and the images of MNIST, of its
family and of scikit-learn.
"""

from jaxmargin.data.images import digits, idx, read_idx
from jaxmargin.data.synthetic import (
    Groups,
    TeacherSample,
    embed,
    groups_of_d,
    sinusoid,
    support_of_d,
    teacher,
    two_axis,
)

__all__ = [
    "Groups",
    "TeacherSample",
    "digits",
    "embed",
    "groups_of_d",
    "idx",
    "read_idx",
    "sinusoid",
    "support_of_d",
    "teacher",
    "two_axis",
]
