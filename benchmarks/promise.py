"""How often the certificate breaks its promise, compared with threshold optimisers, on simulated logs whose true
wrong-hit rate is known.

    uv run python -m benchmarks.promise [--trials 1000]

`broken`: trials in which the true wrong-hit rate of the chosen threshold is above alpha. `allowed`: the largest number
that is not unlikely (p >= 1%) for a method that breaks the promise with probability delta. Each trial draws 1,000
queries to fit on and 1,000 to certify on.
"""

import argparse

from benchmarks import certificate_simulation as simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print(
        f"{'workload':9}{'alpha':>6}{'delta':>6}  {'method':15}{'broken':>7}{'allowed':>8}{'hits':>9}{'true wrong':>11}"
    )
    for workload in (simulate.EASY, simulate.HARD, simulate.FLAT):
        for alpha in (0.02, 0.05):
            for delta in (0.05, 0.01):
                for o in simulate.simulate(workload, alpha, trials=trials, seed=7, delta=delta):
                    print(
                        f"{o.workload:9}{o.alpha:6}{delta:6}  {o.method:15}{o.broken:7}{o.allowed:8}"
                        f"{o.mean_hit_rate:9.3f}{o.mean_wrong_rate:11.4f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
