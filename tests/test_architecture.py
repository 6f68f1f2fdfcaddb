"""The house: who imports whom, what is public, public JAX only, and how long things may be."""

import ast
import statistics
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.house_rules import FILES, GROUND_FOLDERS, PACKAGES, faults, imports, target_file

TESTS = Path(__file__).parent
MAX_MEDIAN = 200  # lines of a file
MAX_FOLDER = 14  # files


@pytest.mark.parametrize("module", FILES)
def test_a_module_keeps_the_rules_of_the_house(module: str):
    assert faults(module, FILES[module]) == []


def test_every_folder_is_a_package_of_the_house():
    folders = {module.partition(".")[0] for module in FILES if "." in module}
    assert folders == {*PACKAGES, *GROUND_FOLDERS}
    assert {f"{package}.__init__" for package in PACKAGES} <= FILES.keys()


def test_no_module_imports_in_a_circle():
    graph = {}
    for module, source in FILES.items():
        own = [name for name, _ in imports(ast.parse(source)) if name.startswith("jaxmargin.")]
        graph[module] = {target_file(name) for name in own} - {module}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_folders_and_files_are_short():
    folders = Counter(module.rpartition(".")[0] for module in FILES)
    assert {folder: count for folder, count in folders.items() if count > MAX_FOLDER} == {}
    assert statistics.median(len(source.splitlines()) for source in FILES.values()) <= MAX_MEDIAN


def test_every_module_has_tests_of_its_own():
    """`tests/kernels/test_gram.py` are those of `jaxmargin/kernels/_gram.py`."""
    missing = []
    for module in FILES:
        folder, _, file = module.rpartition(".")
        path = TESTS.joinpath(*folder.split("."), f"test_{file.lstrip('_')}.py")
        if not file.endswith("__") and not path.exists():
            missing.append(module)
    assert missing == []


LONG = "\n".join(["def f():", *["    x = 1"] * 45])
ABOUT = '"""One.\n\nTwo (section 2).\nThree.\n"""\n'
BROKEN = [
    # The order of the packages.
    ("_checks", "from jaxmargin.networks import norms", "imports "),
    ("sphere", "from jaxmargin.data.synthetic import embed", "imports "),
    ("networks.losses", "from jaxmargin.kernels.closed_form import k1", "imports "),
    ("data.synthetic", "from jaxmargin.kernels.closed_form import k1", "imports "),
    ("kernels.products", "import jaxmargin.data.synthetic", "imports "),
    ("margins.path", "from jaxmargin.mean_field.measure import Measure", "imports "),
    (
        "mean_field.flow",
        "def _f():\n    from jaxmargin.margins.path import margin_path",
        "imports ",
    ),
    ("lower_bound.taylor", "from jaxmargin.margins.path import margin_path", "imports "),
    ("mean_field.flow", "from jaxmargin.lower_bound.taylor import taylor_kernel", "imports "),
    ("networks.training", "from jaxmargin.experiments.harness import plots", "imports "),
    ("__init__", "from jaxmargin import experiments", "imports "),
    ("__init__", "from jaxmargin import plots", "imports "),
    ("plots.units", "from jaxmargin.kernels.closed_form import k1", "imports "),
    ("margins.path", "from jaxmargin.plots.units import plot_units", "imports "),
    ("margins.path", "import matplotlib", "imports "),
    ("__main__", "from jaxmargin import networks", "imports "),
    # Names come from the module that defines them.
    ("margins.path", "from jaxmargin import TwoLayer", "imports "),
    ("margins.path", "from jaxmargin.networks import TwoLayer", "imports "),
    ("networks.losses", "from jaxmargin.networks import TwoLayer", "imports "),
    ("margins.path", "from . import bounds", "imports "),
    ("_sphere.ascent", "from jaxmargin.networks import norms", "imports "),
    # Underscores.
    ("margins.path", "from jaxmargin.networks._private import f", "imports "),
    ("mean_field.flow", "from jaxmargin.kernels._gram import gram", "imports "),
    ("lower_bound.taylor", "from jaxmargin.kernels._gram import gram", "imports "),
    ("experiments.figure_1", "from jaxmargin.kernels._gram import gram", "imports "),
    ("experiments.figure_1", "from jaxmargin.kernels import _gram", "imports "),
    ("kernels.predictors", "from jaxmargin.kernels._gram import _dot", "imports "),
    ("lower_bound.taylor", "from jaxmargin.kernels._fits.svm import solve_svm", "imports "),
    ("experiments.figure_1", "from jaxmargin.kernels._fits.svm import solve_svm", "imports "),
    (
        "kernels.predictors",
        "from jaxmargin.kernels import closed_form\nclosed_form._f()",
        "uses closed_form._f",
    ),
    ("networks.losses", "from jaxmargin._checks import _f", "imports "),
    ("networks.losses", "from jax._src import core", "imports the private"),
    ("networks.losses", "from optax import _x", "imports the private"),
    ("networks.losses", "import jax\njax._src.core.f()", "uses jax._src"),
    ("networks.losses", "import jax.interpreters.ad", "imports "),
    ("networks.losses", "import jax\n_x = jax.interpreters.ad", "uses jax.interpreters"),
    # Libraries.
    ("data.images", "import pooch", "imports "),
    ("networks.losses", "def _f():\n    import sklearn.svm", "imports "),
    ("experiments.harness.plots", "import torch", "imports "),
    ("margins.bounds", "import scipy.stats", "at the top"),
    ("kernels._arccosine", "from scipy import fft", "at the top"),
    # What is public.
    ("networks.losses", "def hidden_loss():\n    pass", "is not in __all__"),
    ("networks.losses", "class Hidden:\n    pass", "is not in __all__"),
    ("networks.losses", "HIDDEN = 1", "is not in __all__"),
    ("networks.losses", "Hidden: type = int", "is not in __all__"),
    (
        "networks.norms",
        '__all__ = ["l1"]\ndef l1():\n    pass\ndef l7():\n    pass',
        "l7 is not in __all__",
    ),
    ("networks.norms", "def l1():\n    pass", "without __all__"),
    ("sphere", "def maximum():\n    pass", "without __all__"),
    ("networks.__init__", '"""Networks (section 2)."""\n__all__ = []', "does not say"),
    ("networks.__init__", '"""One.\n\nTwo.\nThree.\n"""\n__all__ = []', "names no section"),
    ("networks.__init__", ABOUT, "has no __all__"),
    (
        "kernels.__init__",
        ABOUT + "from jaxmargin.kernels._gram import f\n__all__ = ['f']",
        "from a private file",
    ),
    (
        "kernels.__init__",
        ABOUT + "from jaxmargin.kernels.products import f, g\n__all__ = ['f']",
        "does not export",
    ),
    # What stands in a file.
    ("networks.losses", "if 1:\n    assert 1", "asserts"),
    ("networks.losses", "def _f():\n    print(1)", "prints"),
    ("networks.losses", LONG.replace("f()", "_f()"), "_f has 46 lines"),
    ("networks.losses", "_x = 1\n" * 451, "has 451 lines"),
    ("networks.losses", "# Masses ----------\n_x = 1", "has a ruler"),
    ("networks.losses", "# =====\n_x = 1", "has a ruler"),
]
FINE = [
    ("networks.norms", "from jaxmargin._arithmetic import safe_power\n__all__ = []"),
    ("networks.objective", "from jaxmargin.networks import norms"),
    ("mean_field.certificates", "from jaxmargin._sphere.unit_maximum import unit_maximum"),
    ("_sphere.ascent", "from jaxmargin._sphere.relu_sum import scaled\ndef ascend():\n    pass"),
    ("networks.objective", "from jaxmargin.networks.losses import logistic_loss as _f"),
    ("kernels.predictors", "from jaxmargin.kernels._gram import gram"),
    ("kernels.predictors", "from jaxmargin.kernels._fits.svm import solve_svm"),
    ("kernels._fits.svm", "def solve_svm():\n    pass"),
    ("kernels.predictors", "from jaxmargin.networks.models import TwoLayer\nTwoLayer._fields"),
    ("lower_bound.taylor", "from jaxmargin.kernels.closed_form import k1"),
    ("lower_bound.taylor", "from jaxmargin.data.synthetic import embed"),
    ("margins.path", "import jax\nfrom jaxmargin import sphere\n_x = 1"),
    ("margins.path", "def margin_path():\n    from scipy import stats"),
    ("data.images", "def idx():\n    import pooch"),
    ("plots.units", "import matplotlib\nfrom jaxmargin.margins.path import MarginPath"),
    ("__init__", "from jaxmargin import data\nfrom jaxmargin.data import two_axis"),
    ("__main__", "def f():\n    from jaxmargin.experiments import x\n    print(x)"),
    ("experiments.harness.plots", "import rich\nfrom jaxmargin import __version__\nprint(1)"),
    ("networks.losses", 'def _f():\n    """One.' + "\n" * 10 + '    """' + "\n    x = 1" * 44),
    ("networks.losses", "import scipy.linalg\nfrom jax.core import Tracer\n\n'''print(1)'''"),
    ("networks.losses", "# a - b -- c\n_x = '# -----'"),
    ("networks.__init__", ABOUT + "__all__ = []"),
]


@pytest.mark.parametrize(("module", "source", "fault"), BROKEN)
def test_the_rules_see_a_fault(module: str, source: str, fault: str):
    found = faults(module, source)
    assert any(fault in one for one in found), found


@pytest.mark.parametrize(("module", "source"), FINE)
def test_the_rules_let_the_rest_pass(module: str, source: str):
    assert faults(module, source) == []
