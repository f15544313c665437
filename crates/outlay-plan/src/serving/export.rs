//! Writes a serving plan in the words of the tool that runs it.

use crate::serving::answer::ServeAnswer;
use crate::serving::deployment::{Engine, NumberFormat};

/// Tools that a serving plan is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeExport {
    /// The engine's launch command, as a shell script.
    Command,
    /// A SkyPilot service (SkyServe).
    Skypilot,
    /// A Kubernetes Deployment with a Service and an autoscaler.
    Kubernetes,
}

impl ServeExport {
    /// Every format, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Command, Self::Skypilot, Self::Kubernetes];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Skypilot => "skypilot",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name.trim()))
    }
}

/// Tokens that the longest request holds: twice the mean of prompt and answer, in whole thousands of 1,024.
fn context(answer: &ServeAnswer) -> u64 {
    let mean = answer.demand.input_tokens + answer.demand.output_tokens;
    (2.0 * mean / 1024.0).ceil().max(1.0) as u64 * 1024
}

/// Arguments of the engine, each on a line of its own.
fn arguments(answer: &ServeAnswer) -> Vec<String> {
    let plan = &answer.best;
    let layout = &plan.layout;
    let ranks = layout.accelerators() / layout.pipeline;
    let cache_is_narrow = plan.formats.cache_bytes == 1;
    let context = context(answer);
    let mut out = Vec::new();
    match plan.engine {
        Engine::Vllm => {
            out.push(format!("--tensor-parallel-size {}", layout.tensor));
            if layout.pipeline > 1 {
                out.push(format!("--pipeline-parallel-size {}", layout.pipeline));
            }
            if layout.attention_data > 1 {
                out.push(format!("--data-parallel-size {}", layout.attention_data));
            }
            if layout.expert > 1 {
                out.push("--enable-expert-parallel".to_owned());
            }
            if plan.format == NumberFormat::Fp8 {
                out.push("--quantization fp8".to_owned());
            }
            if cache_is_narrow {
                out.push("--kv-cache-dtype fp8".to_owned());
            }
            out.push(format!(
                "--max-num-seqs {}",
                plan.most_batch.div_ceil(layout.attention_data)
            ));
            out.push(format!(
                "--max-num-batched-tokens {}",
                plan.settings.pass_tokens
            ));
            out.push(format!(
                "--gpu-memory-utilization {}",
                plan.settings.memory_share
            ));
            out.push(format!("--max-model-len {context}"));
            if answer.demand.cached_prefix > 0.0 {
                out.push("--enable-prefix-caching".to_owned());
            }
        }
        Engine::Sglang => {
            out.push(format!("--tp-size {ranks}"));
            if layout.pipeline > 1 {
                out.push(format!("--pp-size {}", layout.pipeline));
            }
            if layout.attention_data > 1 {
                out.push(format!("--dp-size {}", layout.attention_data));
                out.push("--enable-dp-attention".to_owned());
            }
            if layout.expert > 1 {
                out.push(format!("--ep-size {}", layout.expert));
            }
            if plan.format == NumberFormat::Fp8 {
                out.push("--quantization fp8".to_owned());
            }
            if cache_is_narrow {
                out.push("--kv-cache-dtype fp8_e4m3".to_owned());
            }
            out.push(format!("--max-running-requests {}", plan.most_batch));
            out.push(format!(
                "--chunked-prefill-size {}",
                plan.settings.pass_tokens
            ));
            out.push(format!(
                "--mem-fraction-static {}",
                plan.settings.memory_share
            ));
            out.push(format!("--context-length {context}"));
        }
        Engine::TensorrtLlm => {
            out.push("--backend pytorch".to_owned());
            out.push(format!("--tp_size {ranks}"));
            if layout.pipeline > 1 {
                out.push(format!("--pp_size {}", layout.pipeline));
            }
            if layout.expert > 1 {
                out.push(format!("--ep_size {}", layout.expert));
            }
            out.push(format!(
                "--max_batch_size {}",
                plan.most_batch.div_ceil(layout.attention_data)
            ));
            out.push(format!("--max_num_tokens {}", plan.settings.pass_tokens));
            out.push(format!("--max_seq_len {context}"));
            out.push(format!(
                "--kv_cache_free_gpu_memory_fraction {}",
                plan.settings.memory_share
            ));
            if layout.attention_data > 1 || cache_is_narrow {
                out.push("--extra_llm_api_options options.yaml".to_owned());
            }
        }
    }
    out
}

/// The program that is started, before the model's name.
fn program(engine: Engine) -> &'static str {
    match engine {
        Engine::Vllm => "vllm serve \"$MODEL\"",
        Engine::Sglang => "python3 -m sglang.launch_server --model-path \"$MODEL\"",
        Engine::TensorrtLlm => "trtllm-serve \"$MODEL\"",
    }
}

/// TensorRT-LLM's options that have no argument of their own, as lines that write `options.yaml`.
fn options_file(answer: &ServeAnswer) -> String {
    let plan = &answer.best;
    if plan.engine != Engine::TensorrtLlm {
        return String::new();
    }
    let mut lines = String::new();
    if plan.layout.attention_data > 1 {
        lines.push_str("enable_attention_dp: true\n");
    }
    if plan.formats.cache_bytes == 1 {
        lines.push_str("kv_cache_config:\n  dtype: fp8\n");
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("cat > options.yaml <<'END'\n{lines}END\n")
}

/// The whole command for a port.
fn command(answer: &ServeAnswer, port: u32) -> String {
    let mut parts = vec![program(answer.best.engine).to_owned()];
    parts.push(format!("--host 0.0.0.0 --port {port}"));
    parts.extend(arguments(answer));
    parts.join(" \\\n  ")
}

fn indented(text: &str, by: usize) -> String {
    let blanks = " ".repeat(by);
    text.lines()
        .map(|line| format!("{blanks}{line}\n"))
        .collect()
}

/// What the file is, as comment lines.
fn about(answer: &ServeAnswer) -> String {
    let plan = &answer.best;
    let mut out = format!(
        "# {}: {} x {} of {} x {}, {} weights, {}.\n",
        answer.model,
        plan.replicas,
        plan.layout_brief,
        plan.layout.accelerators(),
        plan.accelerator,
        plan.format.name(),
        plan.engine.name()
    );
    out.push_str(&format!(
        "# Planned for {} requests/s of {} + {} tokens in the busiest hour.\n",
        outlay_units::significant(answer.demand.requests_per_s),
        answer.demand.input_tokens,
        answer.demand.output_tokens
    ));
    out.push_str("# MODEL is a hub name or a folder that holds the checkpoint");
    out.push_str(match plan.format {
        NumberFormat::Bf16 | NumberFormat::Fp8 => ".\n",
        _ => ", quantized already.\n",
    });
    out
}

/// Writes the chosen plan of an answer for a tool.
///
/// # Errors
/// A sentence that says what the tool cannot express.
pub fn export_serving(format: ServeExport, answer: &ServeAnswer) -> Result<String, String> {
    match format {
        ServeExport::Command => Ok(format!(
            "#!/bin/sh\n{}set -eu\n: \"${{MODEL:?name the model}}\"\n{}exec {}\n",
            about(answer),
            options_file(answer),
            command(answer, 8000)
        )),
        ServeExport::Skypilot => skypilot(answer),
        ServeExport::Kubernetes => kubernetes(answer),
    }
}

/// Requests each second at which another replica is due.
fn requests_per_replica(answer: &ServeAnswer) -> f64 {
    let plan = &answer.best;
    (answer.demand.requests_per_s / f64::from(plan.replicas.max(1))).max(0.001)
}

fn one_node(answer: &ServeAnswer, tool: &str) -> Result<(), String> {
    let plan = &answer.best;
    if plan.layout.pipeline > 1 {
        return Err(format!(
            "{tool}: a replica of {} spans nodes, which this export cannot express; choose hardware whose node holds a replica",
            plan.layout_brief
        ));
    }
    Ok(())
}

fn skypilot(answer: &ServeAnswer) -> Result<String, String> {
    one_node(answer, "skypilot")?;
    let plan = &answer.best;
    let name = crate::export::skypilot_name(&plan.accelerator)?;
    let most = (plan.replicas * 2).max(plan.replicas + 1);
    Ok(format!(
        "{}service:
  readiness_probe:
    path: /v1/models
    initial_delay_seconds: 1800
  replica_policy:
    min_replicas: {}
    max_replicas: {most}
    target_qps_per_replica: {:.3}
resources:
  accelerators: {name}:{}
{}  ports: 8000
envs:
  MODEL: null
run: |
{}",
        about(answer),
        plan.replicas,
        requests_per_replica(answer),
        plan.layout.accelerators(),
        if plan.pricing == "spot" {
            "  use_spot: true\n"
        } else {
            ""
        },
        indented(
            &format!("{}{}", options_file(answer), command(answer, 8000)),
            2
        )
    ))
}

fn kubernetes(answer: &ServeAnswer) -> Result<String, String> {
    one_node(answer, "kubernetes")?;
    let plan = &answer.best;
    let (image, metric) = match plan.engine {
        Engine::Vllm => ("vllm/vllm-openai:latest", "vllm:num_requests_running"),
        Engine::Sglang => ("lmsysorg/sglang:latest", "sglang:num_running_reqs"),
        Engine::TensorrtLlm => (
            "nvcr.io/nvidia/tensorrt-llm/release:latest",
            "num_requests_running",
        ),
    };
    let name: String = answer
        .model
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-');
    let most = (plan.replicas * 2).max(plan.replicas + 1);
    // Another replica is due before the batch that the limits allow is full.
    let target = (0.8 * f64::from(plan.most_batch)).floor().max(1.0) as u32;
    Ok(format!(
        "{about}apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: server
          image: {image}
          command: [\"/bin/sh\", \"-c\"]
          args:
            - |
{command}          env:
            - name: MODEL
              valueFrom:
                configMapKeyRef: {{name: {name}, key: model}}
          ports:
            - containerPort: 8000
          readinessProbe:
            httpGet: {{path: /v1/models, port: 8000}}
            periodSeconds: 10
            failureThreshold: 180
          resources:
            limits:
              nvidia.com/gpu: \"{gpus}\"
          volumeMounts:
            - {{name: shm, mountPath: /dev/shm}}
      volumes:
        - name: shm
          emptyDir: {{medium: Memory}}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector: {{app: {name}}}
  ports:
    - port: 80
      targetPort: 8000
---
# Needs an adapter that serves the engine's metrics, such as prometheus-adapter.
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {name}
  minReplicas: {replicas}
  maxReplicas: {most}
  metrics:
    - type: Pods
      pods:
        metric: {{name: \"{metric}\"}}
        target: {{type: AverageValue, averageValue: \"{target}\"}}
",
        about = about(answer),
        replicas = plan.replicas,
        gpus = plan.layout.accelerators(),
        command = indented(
            &format!("{}exec {}", options_file(answer), command(answer, 8000)),
            14
        ),
    ))
}
