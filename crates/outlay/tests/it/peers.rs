//! What Outlay writes, read by the tools that it is written for; and lists that other projects keep, read whole.
//!
//! `OUTLAY_PEERS` names a Python with `skypilot` and `kubernetes-validate`, `OUTLAY_LITELLM` LiteLLM's
//! `model_prices_and_context_window_backup.json`; `.ci/run` sets up both. Without them these tests say that they are
//! skipped.

use std::path::Path;
use std::process::Command;

use super::{folder, outlay, outlay_in, stderr, stdout};

/// Runs a script with the peers' Python; `None` where there is none.
fn python(folder: &Path, script: &str) -> Option<String> {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        eprintln!("skipped: OUTLAY_PEERS names no Python with skypilot and kubernetes-validate");
        return None;
    };
    let output = Command::new(python)
        .current_dir(folder)
        .args(["-c", script])
        .output()
        .expect("OUTLAY_PEERS is a Python");
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
