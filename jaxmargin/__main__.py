"""`python -m jaxmargin`, and the command `jaxmargin`."""

import os
import sys

import jax


def main() -> int:
    """Run the command line, with one CPU device for each core so that trials share the cores."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    try:
        from jaxmargin.experiments.harness import command_line
    except ModuleNotFoundError as error:
        print(
            f"jaxmargin: the command line needs {error.name}: pip install 'jaxmargin[experiments]'",
            file=sys.stderr,
        )
        return 1
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
