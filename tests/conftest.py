"""Strict JAX for every test: no silent promotion or rank broadcasting, eight CPU devices."""

import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

collect_ignore = ["golden"]  # scripts for environments of their own
