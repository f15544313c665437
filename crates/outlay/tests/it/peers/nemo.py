# Megatron-Bridge needs CUDA to be imported: the fields of its classes, and of those of Megatron Core, from the sources.
import ast
import importlib.metadata
import importlib.util
import pathlib

import yaml

root = next(pathlib.Path(folder) for folder in sys.path if (pathlib.Path(folder) / "megatron" / "bridge").is_dir())


def classes(file):
    tree = ast.parse((root / "megatron" / file).read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def fields(file, *names):
    return {
        statement.target.id
        for name in names
        for statement in classes(file)[name].body
        if isinstance(statement, ast.AnnAssign)
    }


config = "bridge/training/config.py"
allowed = {
    "model": fields("core/model_parallel_config.py", "ModelParallelConfig")
    | fields("core/transformer/transformer_config.py", "TransformerConfig")
    | fields("bridge/models/gpt_provider.py", "GPTModelProvider"),
    "train": fields(config, "TrainingConfig"),
    # `seq_length` is a property of both classes of data sets.
    "dataset": fields(config, "FinetuningDatasetConfig") | {"seq_length"},
    "optimizer": fields("core/optimizer/optimizer_config.py", "OptimizerConfig"),
    "ddp": fields("core/distributed/distributed_data_parallel_config.py", "DistributedDataParallelConfig"),
    "dist": fields(config, "DistributedInitConfig"),
    "checkpoint": fields(config, "CheckpointConfig"),
}
precisions = {
    node.name
    for node in ast.parse((root / "megatron/bridge/training/mixed_precision.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and any(getattr(mark, "id", "") == "register" for mark in node.decorator_list)
}
print("megatron-bridge", importlib.metadata.version("megatron-bridge"))
for file in sorted(pathlib.Path(".").glob("*.nemo")):
    written = yaml.safe_load(file.read_text())
    unknown = set(written) - fields(config, "ConfigContainer")
    assert not unknown, unknown
    precision, adapters = written.pop("mixed_precision"), written.pop("peft", None)
    assert precision in precisions, precision
    for part, values in written.items():
        unknown = set(values) - allowed[part]
        assert not unknown, (part, unknown)
    if adapters:
        module, name = adapters.pop("_target_").removeprefix("megatron.").rsplit(".", 1)
        unknown = set(adapters) - fields(module.replace(".", "/") + ".py", name)
        assert not unknown, unknown
    print(
        file.stem,
        f"tensor {written['model']['tensor_model_parallel_size']}",
        f"pipeline {written['model']['pipeline_model_parallel_size']}",
        f"{written['ddp']['data_parallel_sharding_strategy']} {precision}",
    )
