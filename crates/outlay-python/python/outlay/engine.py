"""`outlay audit --engine ray`: every file is looked at by Ray's workers, and what they saw is brought together in a folder.

    python -m outlay.engine JOB.json FOLDER ADDRESS

The command calls it, and then says what was found, of what lies in the folder. The files must be at the same paths for all
workers: on a disk that they share, or in a bucket.
"""

import sys

from . import Worker


class Look:
    """An actor: reads the job's benchmarks once, then looks at one source after another."""

    def __init__(self, job):
        self.worker = Worker(job)

    def __call__(self, batch):
        import pyarrow as pa

        sources = batch.column("source").to_pylist()
        seen = [self.worker.see(source) for source in sources]
        return pa.table({"source": sources, "seen": pa.array(seen, pa.large_binary())})


def bring(job, folder, address):
    """Looks at the sources of a job that are not in the folder yet, on the cluster at an address (`local`: one of its own)."""
    import pyarrow as pa
    import ray

    worker = Worker(job)
    seen = worker.open(folder)
    try:
        missing = seen.missing
        if not missing:
            return 0
        ray.init(address=None if address == "local" else address, ignore_reinit_error=True, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        # The largest first, so that none is begun last.
        sizes = worker.sizes
        missing = sorted(missing, key=lambda source: -sizes[source])
        n_workers = max(1, min(int(ray.cluster_resources().get("CPU", 1)), len(missing)))
        tables = [pa.table({"source": [source]}) for source in missing]
        looked = ray.data.from_arrow(tables).map_batches(
            Look,
            fn_constructor_args=(job,),
            batch_size=1,
            batch_format="pyarrow",
            concurrency=(1, n_workers),
            num_cpus=1,
        )
        n_brought = 0
        for batch in looked.iter_batches(batch_size=1, batch_format="pyarrow"):
            for one in batch.column("seen").to_pylist():
                if one is not None:
                    seen.bring(one)
                    n_brought += 1
        return n_brought
    finally:
        seen.close()


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: python -m outlay.engine JOB.json FOLDER ADDRESS")
    _, path, folder, address = sys.argv
    with open(path) as file:
        job = file.read()
    bring(job, folder, address)


if __name__ == "__main__":
    main()
