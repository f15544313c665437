# DeepSpeed's own class, with its check of the batch against the ranks that a stand-in of `mpu` gives.
stand_in_for(
    "torch", "numpy", "tqdm", "hjson", "einops", "cpuinfo", "deepspeed.comm", "deepspeed.elasticity",
    "deepspeed.runtime.dataloader", "deepspeed.runtime.utils", "deepspeed.runtime.zero.partition_parameters",
    "deepspeed.module_inject",
)
import importlib.machinery
import importlib.metadata
import json
import os
import pathlib

os.environ["DS_ACCELERATOR"] = "cpu"

# Only the parts asked for: these packages themselves import all of the engines.
root = pathlib.Path(importlib.machinery.PathFinder.find_spec("deepspeed").origin).parent
for name in ("deepspeed", "deepspeed.runtime.zero", "deepspeed.utils"):
    sys.modules[name] = Package(name)
    sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]
from deepspeed.runtime.config import DeepSpeedConfig


class Ranks:
    def get_data_parallel_world_size(self):
        return 64


print("deepspeed", importlib.metadata.version("deepspeed"))
for file in sorted(pathlib.Path(".").glob("*.deepspeed")):
    read = DeepSpeedConfig(json.loads(file.read_text()), mpu=Ranks())
    print(file.stem, read.zero_optimization_stage, read.train_batch_size, read.gradient_accumulation_steps)
