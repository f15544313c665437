"""Near duplicates by Python's libraries, on the same records: `near_peers.py rensa|datasketch|datatrove FILE.jsonl`.

Words, runs of five and the threshold of 0.8 are ours; permutations and bands are each library's own habit.
"""
import json
import re
import resource
import sys
import time

WORD = re.compile(r"[^\W_]+")


def texts(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def shingles(text):
    words = WORD.findall(text.lower())
    if len(words) < 5:
        return {" ".join(words)}
    return {" ".join(words[at:at + 5]) for at in range(len(words) - 4)}


def rensa(path):
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.8, num_perm=128, num_bands=16)
    n_found = 0
    for number, text in enumerate(texts(path)):
        one = RMinHash(num_perm=128, seed=1)
        one.update(list(shingles(text)))
        n_found += bool(index.query(one))
        index.insert(number, one)
    return n_found


def datasketch(path):
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.8, num_perm=128)
    n_found = 0
    for number, text in enumerate(texts(path)):
        one = MinHash(num_perm=128)
        one.update_batch([shingle.encode() for shingle in shingles(text)])
        n_found += bool(index.query(one))
        index.insert(number, one)
    return n_found


def datatrove(path):
    import shutil
    import tempfile

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader

    folder = tempfile.mkdtemp()
    config = MinhashConfig(n_grams=5)
    source = JsonlReader(path.rsplit("/", 1)[0], glob_pattern=path.rsplit("/", 1)[1], id_key="no id")
    steps = [
        ([source, MinhashDedupSignature(output_folder=f"{folder}/signatures", config=config)], 1),
        ([MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)], config.num_buckets),
        ([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/removed", config=config)], 1),
    ]
    for pipeline, n_tasks in steps:
        LocalPipelineExecutor(pipeline, tasks=n_tasks, workers=2, skip_completed=False, logging_dir=tempfile.mkdtemp()).run()
    shutil.rmtree(folder)
    return -1


if __name__ == "__main__":
    name, path = sys.argv[1:]
    since = time.perf_counter()
    n_found = globals()[name](path)
    seconds = time.perf_counter() - since
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    said = f", {n_found} records like an earlier one" if n_found >= 0 else ""
    print(f"{name}: {seconds:.1f} s, {peak:.0f} MiB at most{said}", flush=True)
