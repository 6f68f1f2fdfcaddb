"""The picture of the page on certified optima: no neuron exceeds the constraint."""

import numpy as np
from matplotlib.figure import Figure

from docs.guide import certified_optima


def test_the_units_attain_the_constraint_and_no_neuron_exceeds_it(capsys):
    figure = certified_optima.main(n=12)
    assert isinstance(figure, Figure)
    responses = figure.axes[1]
    curve = np.abs(np.asarray(responses.lines[-1].get_ydata()))
    assert 0.99 < np.max(curve) < 1 + 1e-6
    units = np.asarray(responses.collections[-1].get_offsets())[:, 1]
    assert len(units) > 1
    np.testing.assert_allclose(np.abs(units), 1, atol=1e-6)
    assert "exact" in capsys.readouterr().out
