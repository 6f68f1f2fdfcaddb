"""`global_optimum` and `max_margin` measured: against exact optima, on data, and against a peer.

    python -m benchmarks.global_optimum random      # 200 random problems against cone programs
    python -m benchmarks.global_optimum estimates   # 100 estimates, d = 6 to 60, challenged
    python -m benchmarks.global_optimum teacher     # 200 samples of a teacher in 20 dimensions
    python -m benchmarks.global_optimum sklearn     # iris, wine, breast cancer, diabetes
    python -m benchmarks.global_optimum margins     # max_margin and min_norm_interpolant
    python -m benchmarks.global_optimum peer        # against pyscnn, which must be installed

Several parts run one after the other. `--count` takes fewer problems of the first two parts. Each
part prints tables in markdown, and what failed below them. A problem that raises an error has
failed.
"""

import argparse
import sys

from benchmarks.optimum import estimates, margins, peer, random_problems, real_data, teacher
from benchmarks.timing import machine

PARTS = {
    "random": lambda count: random_problems.run(count or random_problems.PROBLEMS),
    "estimates": lambda count: estimates.run(count or estimates.PROBLEMS),
    "teacher": lambda _: teacher.run(),
    "sklearn": lambda _: real_data.run(),
    "margins": lambda _: margins.run(),
    "peer": lambda _: peer.run(),
}


def main() -> int:
    """Run the parts; 0 if nothing failed in them."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--count", type=int, help="problems of random and of estimates")
    chosen = parser.parse_args()
    print(machine())
    failures = [fault for part in chosen.parts for fault in PARTS[part](chosen.count)]
    for fault in failures:
        print(f"- {fault}")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
