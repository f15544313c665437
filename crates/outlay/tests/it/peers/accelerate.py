# Accelerate's own reader; the keys of fsdp_config are arguments of `accelerate launch`, which it fills from them.
stand_in_for("torch", "numpy", "safetensors", "huggingface_hub", "psutil", "transformers")
import importlib.metadata
import pathlib

from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

arguments = {action.dest for action in launch_command_parser()._actions}
print("accelerate", importlib.metadata.version("accelerate"))
for file in sorted(pathlib.Path(".").glob("*.accelerate")):
    read = load_config_from_file(str(file))
    unknown = set(read.fsdp_config or {}) - arguments
    assert not unknown, unknown
    print(file.stem, read.distributed_type.value, read.num_machines, read.num_processes, read.mixed_precision)
