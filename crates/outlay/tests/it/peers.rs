//! What Outlay writes, read by the tools that it is written for; and lists that other projects keep, read whole.
//!
//! `OUTLAY_PEERS` names a Python with `skypilot` and `kubernetes-validate`, `OUTLAY_TRAINERS` a folder with packages of
//! trainers, `OUTLAY_LITELLM` LiteLLM's `model_prices_and_context_window_backup.json`; `.ci/run` sets them up. Without them
//! these tests say that they are skipped.

use std::path::Path;
use std::process::Command;

use super::{folder, outlay, outlay_in, stderr, stdout};

/// Runs a script with the peers' Python; `None` where there is none.
fn python(folder: &Path, script: &str) -> Option<String> {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        eprintln!("skipped: OUTLAY_PEERS names no Python with skypilot and kubernetes-validate");
        return None;
    };
    run(Command::new(python)
        .current_dir(folder)
        .args(["-c", script]))
}

/// What a script prints.
fn run(command: &mut Command) -> Option<String> {
    let output = command.output().expect("OUTLAY_PEERS is a Python");
    assert!(output.status.success(), "{}", stderr(&output));
    Some(stdout(&output))
}

/// Exports of a training and of a serving plan.
fn exported(name: &str) -> std::path::PathBuf {
    let here = folder(name);
    for run in [
        "plan train llama-3.1-8b --tokens 20B --gpus 16xH100-SXM --export kubernetes=train.yaml --export skypilot=task.yaml",
        "plan serve llama-3.1-70b --gpu H100-SXM --requests 20/s --export kubernetes=serve.yaml --export skypilot=service.yaml",
    ] {
        let output = outlay_in(&here, &run.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    here
}

#[test]
fn kubernetes_takes_the_manifests() {
    let here = exported("kubernetes");
    let script = "
import kubernetes_validate, yaml
for name in ('train.yaml', 'serve.yaml'):
    for part in yaml.safe_load_all(open(name)):
        kubernetes_validate.validate(part, '1.30', strict=True)
        print(part['kind'])
";
    if let Some(kinds) = python(&here, script) {
        for kind in ["Deployment", "Service", "HorizontalPodAutoscaler"] {
            assert!(kinds.contains(kind), "{kinds}");
        }
    }
}

#[test]
fn skypilot_takes_tasks_and_services() {
    let here = exported("skypilot");
    let script = "
import sky, yaml
for name in ('task.yaml', 'service.yaml'):
    config = yaml.safe_load(open(name))
    missing = [key for key, value in (config.get('envs') or {}).items() if value is None]
    task = sky.Task.from_yaml_config(config, env_overrides=[(key, 'x') for key in missing])
    print(name, task.num_nodes, task.resources, task.service and task.service.min_replicas)
";
    if let Some(read) = python(&here, script) {
        assert!(
            read.contains("task.yaml 2 ") && read.contains("H100"),
            "{read}"
        );
        assert!(read.contains("service.yaml 1 "), "{read}");
    }
}

/// Runs a script on exports of some layouts for a trainer, with stand-ins for torch and the like; `None` where the trainer's
/// package is not there.
fn trainer(format: &str, package: &str, layouts: &[&str], script: &str) -> Option<String> {
    let python = std::env::var_os("OUTLAY_PEERS");
    let trainers = std::env::var_os("OUTLAY_TRAINERS")
        .filter(|trainers| Path::new(trainers).join(package).exists());
    let (Some(python), Some(trainers)) = (python, trainers) else {
        eprintln!("skipped: OUTLAY_PEERS or OUTLAY_TRAINERS has no {package}");
        return None;
    };
    let here = folder(format);
    for name in layouts {
        let layout = match *name {
            "cut" => "TP4,PP4x2,ZeRO-1,mb2,selective",
            "split" => "CP2,HSDP8,mb1,full-recompute",
            "hybrid" => "HSDP8,mb1,full-recompute",
            "tuned" => "ZeRO-1,mb1,full-recompute",
            other => panic!("no layout {other}"),
        };
        let method = if *name == "tuned" { "lora" } else { "full" };
        let command = format!(
            "plan train llama-3.1-8b --tokens 20B --gpus 64xH100-SXM --sequence 4096 --batch 1024 --layout {layout} --method {method} --export {format}={name}.{format}"
        );
        let output = outlay_in(&here, &command.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    run(Command::new(python)
        .current_dir(&here)
        .env("PYTHONPATH", trainers)
        .args([
            "-c",
            &format!("{}{script}", include_str!("peers/stand_in.py")),
        ]))
}

/// Asserts that a trainer's reader understood what was meant.
fn understood(read: Option<String>, expected: &[&str]) {
    if let Some(read) = read {
        for line in expected {
            assert!(read.contains(line), "no `{line}` in\n{read}");
        }
    }
}

#[test]
fn torchtitan_takes_the_arguments() {
    understood(
        trainer(
            "torchtitan",
            "torchtitan",
            &["split", "hybrid"],
            include_str!("peers/torchtitan.py"),
        ),
        &[
            "split replicate 8 shard 4 tensor 1 pipeline 1 context 2 batch 1024/1 1F1B FullAC.Config",
            "hybrid replicate 8 shard 8 tensor 1 pipeline 1 context 1 batch 1024/1 1F1B FullAC.Config",
        ],
    );
}

#[test]
fn megatron_bridge_has_the_fields() {
    understood(
        trainer(
            "nemo",
            "megatron/bridge",
            &["cut", "split", "tuned"],
            include_str!("peers/nemo.py"),
        ),
        &[
            "cut tensor 4 pipeline 4 no_shard bf16_mixed",
            "split tensor 1 pipeline 1 optim_grads_params bf16_mixed",
            "tuned tensor 1 pipeline 1 no_shard bf16_mixed",
        ],
    );
}

#[test]
fn axolotl_takes_the_configurations() {
    understood(
        trainer(
            "axolotl",
            "axolotl",
            &["split", "hybrid", "tuned"],
            include_str!("peers/axolotl.py"),
        ),
        &[
            "split None None adamw_torch_fused shard 4 tensor 1 context 2 batch 1x32",
            "hybrid None None adamw_torch_fused shard 8 tensor 1 context 1 batch 1x16",
            "tuned lora 16 adamw_torch_fused shard None tensor 1 context 1 batch 1x16",
        ],
    );
}

#[test]
fn accelerate_takes_the_configurations() {
    understood(
        trainer(
            "accelerate",
            "accelerate",
            &["hybrid"],
            include_str!("peers/accelerate.py"),
        ),
        &["hybrid FSDP 8 64 bf16"],
    );
}

#[test]
fn deepspeed_takes_the_configurations() {
    understood(
        trainer(
            "deepspeed",
            "deepspeed",
            &["tuned"],
            include_str!("peers/deepspeed.py"),
        ),
        &["tuned 1 1024 16"],
    );
}

#[test]
fn litellms_own_list_is_read_whole() {
    let Some(list) = std::env::var_os("OUTLAY_LITELLM") else {
        eprintln!("skipped: OUTLAY_LITELLM names no price list of LiteLLM");
        return;
    };
    let list = list.to_string_lossy().into_owned();
    let output = outlay(&["prices", "--apis", &list, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let n = |key: &str| answer[key].as_array().unwrap().len();
    // Some 4,500 entries, of which two in three sell text by the token.
    assert!(
        n("prices") > 2000 && n("findings") > 500,
        "{} {}",
        n("prices"),
        n("findings")
    );
    let run = [
        "plan",
        "serve",
        "llama-3.1-70b",
        "--gpu",
        "H100-SXM",
        "--requests",
        "5/s",
    ];
    let compared = outlay(&[&run[..], &["--compare-api", "--api-prices", &list]].concat());
    assert!(compared.status.success(), "{}", stderr(&compared));
    assert!(stdout(&compared).contains("APIs that sell this model"));
}
