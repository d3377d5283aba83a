"""The process that starts a crew's workers: python -m bench.measure.crew_launcher."""

import os
import sys
from multiprocessing import forkserver, set_forkserver_preload

PRELOADED = ["bench.measure.worker", "bench.measure.worker_time"]


def main() -> None:
    """Start the workers, and end when they have ended."""
    address, workers = sys.argv[1:]
    set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()  # it imports torch while this process does so, too
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    from bench.measure import worker  # noqa: PLC0415

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=int(workers),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        run_id=str(os.getpid()),
        max_restarts=0,
        start_method="forkserver",
    )
    elastic_launch(config, worker.serve)(address)


if __name__ == "__main__":
    main()
