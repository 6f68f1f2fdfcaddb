"""Networks and how they are trained (section 2, sections 4.1 to 4.3, and appendix D.1).

The objective is mean loss + lam * ||Theta||^r (eq. 2.2 and 4.1). Here are its parts: positively
homogeneous networks, losses, and norms of parameters. `train` minimises it with any optax
optimizer. Homogeneity has consequences of its own: layers can be balanced, and a network can be
widened without a change of its margin (Theorem 4.3).
"""

from jaxmargin.networks import norms
from jaxmargin.networks.homogeneity import Homogeneity, balance, homogeneity_degree, widen
from jaxmargin.networks.lazy import Distance, centred, distance_from_start
from jaxmargin.networks.losses import (
    cross_entropy_loss,
    log_margin,
    logistic_loss,
    squared_loss,
    truncated_squared_loss,
)
from jaxmargin.networks.models import (
    Activation,
    Apply,
    Mlp,
    Network,
    TwoLayer,
    activation_pattern,
    append_one,
    init_mlp,
    init_two_layer,
    mlp,
    pattern_change,
    two_layer,
)
from jaxmargin.networks.objective import Loss, Objective, Regularized, regularized
from jaxmargin.networks.training import History, Metrics, Minibatch, OptState, Trained, train
from jaxmargin.networks.unit_perturbation import PerturbUnitsState, perturb_units

__all__ = [
    "Activation",
    "Apply",
    "Distance",
    "History",
    "Homogeneity",
    "Loss",
    "Metrics",
    "Minibatch",
    "Mlp",
    "Network",
    "Objective",
    "OptState",
    "PerturbUnitsState",
    "Regularized",
    "Trained",
    "TwoLayer",
    "activation_pattern",
    "append_one",
    "balance",
    "centred",
    "cross_entropy_loss",
    "distance_from_start",
    "homogeneity_degree",
    "init_mlp",
    "init_two_layer",
    "log_margin",
    "logistic_loss",
    "mlp",
    "norms",
    "pattern_change",
    "perturb_units",
    "regularized",
    "squared_loss",
    "train",
    "truncated_squared_loss",
    "two_layer",
    "widen",
]
