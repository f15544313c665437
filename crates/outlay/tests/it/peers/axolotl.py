# Axolotl's own schema, with all its checks; it takes keys that it does not know, hence the comparison with its fields.
stand_in_for("torch", "accelerate", "transformers", "ring_flash_attn")
import importlib.metadata
import pathlib

import yaml
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.fsdp import FSDPConfig

print("axolotl", importlib.metadata.version("axolotl"))
for file in sorted(pathlib.Path(".").glob("*.axolotl")):
    written = yaml.safe_load(file.read_text())
    unknown = set(written) - set(AxolotlInputConfig.model_fields)
    unknown |= set(written.get("fsdp_config", {})) - set(FSDPConfig.model_fields)
    assert not unknown, unknown
    read = AxolotlInputConfig(**written)
    print(
        file.stem,
        f"{read.adapter} {read.lora_r} {read.optimizer} shard {read.dp_shard_size} tensor {read.tensor_parallel_size}",
        f"context {read.context_parallel_size} batch {read.micro_batch_size}x{read.gradient_accumulation_steps}",
    )
