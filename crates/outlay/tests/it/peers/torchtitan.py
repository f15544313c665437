# torchtitan's own parser on its own `Trainer.Config`; that the configuration named is there, in its source.
stand_in_for(
    "torch", "torchao", "torchdata", "torch_checkpointing", "spmd_types", "datasets", "tokenizers", "safetensors",
    "tensorboard", "wandb", "einops", "PIL", "triton", "numpy", "jinja2", "huggingface_hub",
    "torchtitan.models.common", "torchtitan.distributed.minimal_async_ep", "torchtitan.distributed.flex_shard",
)
import importlib.metadata
import pathlib

import torchtitan.config
from torchtitan.trainer import Trainer

sys.modules["outlay_defaults"] = types.ModuleType("outlay_defaults")
sys.modules["outlay_defaults"].defaults = Trainer.Config
print("torchtitan", importlib.metadata.version("torchtitan"))
for file in sorted(pathlib.Path(".").glob("*.torchtitan")):
    arguments = [word for line in file.read_text().splitlines() if not line.startswith("#") for word in line.split()]
    assert arguments[0] == "--module" and arguments[2] == "--config", arguments
    source = pathlib.Path(torchtitan.config.__file__).parents[1] / "models" / arguments[1] / "config_registry.py"
    assert f"def {arguments[3]}(" in source.read_text(), arguments
    arguments[1], arguments[3] = "outlay_defaults", "defaults"
    read = torchtitan.config.ConfigManager().parse_args(arguments)
    mesh, training = read.parallelism, read.training
    print(
        file.stem,
        f"replicate {mesh.data_parallel_replicate_degree} shard {mesh.data_parallel_shard_degree}",
        f"tensor {mesh.tensor_parallel_degree} pipeline {mesh.pipeline_parallel_degree}",
        f"context {mesh.context_parallel_degree} batch {training.global_batch_size}/{training.local_batch_size}",
        f"{mesh.pipeline_parallel_schedule} {type(read.activation_checkpoint).__qualname__}",
    )
