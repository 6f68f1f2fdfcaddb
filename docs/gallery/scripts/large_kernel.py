# %% [markdown]
# # Kernel ridge regression on 50,000 samples
#
# How does one fit a kernel whose matrix does not fit into memory? The Gram matrix of 50,000 samples
# has 2.5 billion entries, 10 GB in float32. `fit_ridge_matrix_free` never stores it. It solves the
# system by products with the matrix, whose blocks are computed when they are needed. Thanks to a
# preconditioner that is made from 500 of its rows (*landmarks*), few products are enough.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxmargin as jm

key_x, key_y = jax.random.split(jax.random.key(0))
x = jax.random.normal(key_x, (52_000, 10))
teacher = jm.init_two_layer(key_y, d=10, m=20)
y = jm.two_layer(teacher, x)
y = y / jnp.std(y)
x, y, x_test, y_test = x[:50_000], y[:50_000], x[50_000:], y[50_000:]

# %%
fit = jm.fit_ridge_matrix_free(jm.two_layer_ntk, x, y, ridge=10.0, num_landmarks=500, tol=1e-2)
print(f"converged: {fit.converged}")
print(f"products with the matrix: {fit.history.step[-1]}")

# %% [markdown]
# Predictions are one more product with a matrix that is never stored, by `kernel_matvec`. Here is
# the test error for three numbers of samples; the two smaller systems are solved directly:

# %%
errors = {}
for n in (1_000, 3_000):
    beta = jm.fit_ridge(jm.two_layer_ntk(x[:n]), y[:n], ridge=10.0).beta
    errors[n] = jnp.mean((jm.two_layer_ntk(x_test, x[:n]) @ beta - y_test) ** 2)
predicted = jm.kernel_matvec(jm.two_layer_ntk, x_test, fit.beta, x)
errors[50_000] = jnp.mean((predicted - y_test) ** 2)
for n, error in errors.items():
    print(f"{n} samples: mean squared error {error:.4f} of a variance of 1")

# %% mystnb={"image": {"alt": "test error against samples"}}
figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
axes.loglog(list(errors), list(errors.values()), "o-")
axes.set(xlabel="training samples", ylabel="mean squared test error")
plt.show()
