"""The dots of the picture: particles of one sign in one sector, with all their weight."""

import numpy as np
import pytest

from jaxmargin.experiments.parts import theorem_3_3_picture as picture


def test_particles_of_one_sign_in_one_sector_are_one_dot():
    angle = np.radians([1.0, 2.0, 1.5, 100.0])
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    theta = np.concatenate([[[1.0], [2.0], [-1.0], [1.0]], u], axis=1)
    sign, center, total = picture._dots(theta, np.array([1.0, 3.0, 2.0, 0.0]))
    assert total.tolist() == [4.0, 2.0]  # the largest first; the last particle weighs nothing
    assert sign.tolist() == [1, -1]
    degrees = np.degrees(np.arctan2(center[:, 1], center[:, 0]))
    assert degrees == pytest.approx([1.75, 1.5], abs=1e-3)


def test_a_particle_without_direction_stays_at_the_centre():
    sign, place = picture._places(np.array([[1.0, 0.0, 0.0], [-1.0, 3.0, 4.0]]))
    assert sign.tolist() == [1, -1]
    np.testing.assert_allclose(place, [[0, 0], [0.6, 0.8]])
