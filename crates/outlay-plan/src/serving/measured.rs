//! Measured serving runs, and what the planner says of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use outlay_catalog::{Accelerator, find_accelerator};
use outlay_model::Model;
use serde::Deserialize;

use crate::measured::read_rows;
use crate::serving::constants::{ServingConstant, ServingConstants};
use crate::serving::deployment::{
    Deployment, Engine, Formats, NumberFormat, ServingLayout, Settings,
};
use crate::serving::pass::PassTimes;
use crate::serving::recipes::{Conditions, Published, Said};
use crate::serving::scheduler::{Draft, Load, Outcome, Split, simulate, simulate_split};

/// Widest group that one node of aggregated serving holds.
const NODE: u32 = 8;

/// One row of a file of measured serving runs; columns by name, absent ones as nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServingRow {
    /// Name of the row.
    pub id: String,
    /// Where it comes from; `silicon_concurrency=N` in it gives the clients.
    pub silicon_data_source: String,
    /// `vllm`, `sglang` or `trtllm`.
    pub backend: String,
    /// Version of the engine.
    pub backend_version: String,
    /// Built-in model or hub name.
    pub model_path: String,
    /// Accelerator.
    pub system: String,
    /// Format of the weights; empty: as the model's name says, else bf16.
    pub precision: String,
    /// `agg` or `disagg`.
    pub mode: String,
    /// Prompt, in tokens.
    pub isl: Option<f64>,
    /// Answer, in tokens.
    pub osl: Option<f64>,
    /// Clients of each attention group.
    pub batch_size: Option<f64>,
    /// See [`ServingLayout`].
    pub tp_size: Option<f64>,
    /// See [`ServingLayout`].
    pub pp_size: Option<f64>,
    /// See [`ServingLayout`].
    pub attention_dp_size: Option<f64>,
    /// See [`ServingLayout`].
    pub moe_tp_size: Option<f64>,
    /// See [`ServingLayout`].
    pub moe_ep_size: Option<f64>,
    /// Prompt workers.
    pub prefill_num_workers: Option<f64>,
    /// Layout of a prompt worker.
    pub prefill_tp_size: Option<f64>,
    /// See `prefill_tp_size`.
    pub prefill_pp_size: Option<f64>,
    /// See `prefill_tp_size`.
    pub prefill_attention_dp_size: Option<f64>,
    /// See `prefill_tp_size`.
    pub prefill_moe_tp_size: Option<f64>,
    /// See `prefill_tp_size`.
    pub prefill_moe_ep_size: Option<f64>,
    /// Sequences of one attention group of a decode worker.
    pub decode_batch_size: Option<f64>,
    /// Decode workers.
    pub decode_num_workers: Option<f64>,
    /// Layout of a decode worker.
    pub decode_tp_size: Option<f64>,
    /// See `decode_tp_size`.
    pub decode_pp_size: Option<f64>,
    /// See `decode_tp_size`.
    pub decode_attention_dp_size: Option<f64>,
    /// See `decode_tp_size`.
    pub decode_moe_tp_size: Option<f64>,
    /// See `decode_tp_size`.
    pub decode_moe_ep_size: Option<f64>,
    /// Mean time to first token, in milliseconds.
    pub silicon_ttft_ms: Option<f64>,
    /// Mean time per output token after the first, in milliseconds.
    pub silicon_tpot_ms: Option<f64>,
}

/// Whether a file's header is that of measured serving runs.
pub fn is_serving(text: &str) -> bool {
    let header = text.lines().next().unwrap_or("");
    header
        .split(',')
        .any(|column| column.trim().trim_matches('"') == "silicon_tpot_ms")
}

/// Reads measured serving runs.
///
/// # Errors
/// A sentence that names the file, the row and the column, and what is allowed.
pub fn read_serving(text: &str, file: &str) -> Result<Vec<ServingRow>, String> {
    let needed = [
        "model_path",
        "system",
        "backend",
        "isl",
        "osl",
        "silicon_ttft_ms",
        "silicon_tpot_ms",
    ];
    let mut rows: Vec<ServingRow> = read_rows(text, file, &needed, "describe the layout")?;
    for (index, row) in rows.iter_mut().enumerate() {
        if row.id.is_empty() {
            row.id = format!("row-{}", index + 1);
        }
    }
    Ok(rows)
}

/// Prompt and decode workers of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workers {
    /// Layout of a prompt worker.
    pub prompt_layout: ServingLayout,
    /// Prompt workers; `None` where the row does not say.
    pub prompt_workers: Option<u32>,
    /// Decode workers; `None` where the row does not say.
    pub decode_workers: Option<u32>,
}

/// A row that can be predicted.
#[derive(Clone, Debug)]
pub struct ServingCase {
    /// Row id.
    pub id: String,
    /// Publisher's name for model and system: the unit that cross-validation leaves out.
    pub group: String,
    /// The model.
    pub model: Arc<Model>,
    /// The accelerator.
    pub accelerator: &'static Accelerator,
    /// The engine.
    pub engine: Engine,
    /// Number formats.
    pub formats: Formats,
    /// Layout of a replica, or of a decode worker.
    pub layout: ServingLayout,
    /// Settings of the engine.
    pub settings: Settings,
    /// Tokens that a draft brings to each pass, where the run was speculative.
    pub drafted_tokens: Option<f64>,
    /// Prompt workers, where prompts and answers are apart.
    pub workers: Option<Workers>,
    /// Accelerators of prompt and decode workers together, where a row tells only that.
    pub ranks_in_all: Option<u32>,
    /// Whether requests passed a gateway (NVIDIA Dynamo's front end) before the engine.
    pub gateway: bool,
    /// The load.
    pub load: Load,
    /// Measured time to first token, in seconds.
    pub ttft_s: Option<f64>,
    /// Measured time per output token, in seconds.
    pub tpot_s: Option<f64>,
    /// Kind of run, the key of the interval's width: engine's mode and what the row leaves open.
    pub kind: String,
    /// What was assumed, one sentence each.
    pub assumed: Vec<String>,
}

/// Models by the names of rows, read once each.
#[derive(Default)]
pub struct ServingModels {
    models: BTreeMap<String, Arc<Model>>,
}

impl ServingModels {
    /// The model of a row's `model_path`.
    ///
    /// # Errors
    /// The name is not a built-in model's.
    pub fn get(&mut self, name: &str) -> Result<Arc<Model>, String> {
        if let Some(model) = self.models.get(name) {
            return Ok(Arc::clone(model));
        }
        let model = outlay_model::find(name)
            .and_then(outlay_model::BuiltinModel::model)
            .map_err(|error| error.to_string())?;
        let model = Arc::new(model);
        self.models.insert(name.to_owned(), Arc::clone(&model));
        Ok(model)
    }
}

/// Tokens that a draft of so many yields in a pass: `1 + a + ... + a^n` (arXiv:2211.17192, equation 1).
///
/// ```
/// assert_eq!(outlay_plan::serving::expected_yield(0.5, 3.0), 1.875);
/// ```
pub fn expected_yield(acceptance: f64, drafted: f64) -> f64 {
    (1.0 - acceptance.powf(drafted + 1.0)) / (1.0 - acceptance).max(1e-9)
}

pub(super) fn whole(value: Option<f64>) -> Option<u32> {
    value
        .filter(|value| *value >= 1.0 && *value <= 1e9)
        .map(|value| value as u32)
}

/// The day that a source names, as `2026-01-14`; empty where it names none.
fn day_of(source: &str) -> &str {
    source
        .split("measured=")
        .nth(1)
        .and_then(|rest| rest.get(..10))
        .unwrap_or("")
}

/// A layout from the widths that rows give.
///
/// Some rows count a data-parallel attention twice (`tp` times `dp` ranks where one node held `tp`): equal widths of a publisher
/// that does so (`counts_twice`) are those of one group each, and groups wider than a node that must lie in one are read as
/// their square root.
fn layout_of(
    widths: [Option<f64>; 5],
    has_experts: bool,
    widest: Option<u32>,
    counts_twice: bool,
    assumed: &mut Vec<String>,
) -> ServingLayout {
    let [tensor, pipeline, data, expert_tensor, expert] = widths.map(whole);
    let mut layout = ServingLayout {
        tensor: tensor.unwrap_or(1),
        pipeline: pipeline.unwrap_or(1),
        attention_data: data.unwrap_or(1),
        expert_tensor: expert_tensor.unwrap_or(1),
        expert: expert.unwrap_or(1),
    };
    if counts_twice && layout.tensor == layout.attention_data && layout.tensor > 1 {
        layout.tensor = 1;
        layout.expert = layout.attention_data;
        layout.expert_tensor = 1;
    }
    let attention = layout.tensor * layout.attention_data;
    let experts = layout.expert_tensor * layout.expert;
    let ranks = attention.max(if has_experts { experts } else { 1 });
    if let Some(widest) = widest
        && ranks > widest
    {
        let side = f64::from(ranks).sqrt().round().max(1.0) as u32;
        assumed.push(format!(
            "widths of {ranks} ranks do not fit one node and were read as data-parallel attention over {side}"
        ));
        return ServingLayout {
            tensor: 1,
            pipeline: layout.pipeline,
            attention_data: side,
            expert_tensor: 1,
            expert: side,
        };
    }
    // Attention's tensor parallelism stays inside a node; wider groups divide requests.
    if layout.tensor > NODE && has_experts && layout.attention_data == 1 {
        layout.attention_data = layout.tensor;
        layout.tensor = 1;
    }
    if has_experts && experts != attention {
        if layout.expert > 1 && attention.is_multiple_of(layout.expert) {
            layout.expert_tensor = attention / layout.expert;
        } else {
            layout.expert_tensor = attention;
            layout.expert = 1;
        }
    }
    layout
}

impl ServingCase {
    /// What a row describes.
    ///
    /// # Errors
    /// A sentence that names the column at fault and what is allowed.
    pub fn new(row: &ServingRow, models: &mut ServingModels) -> Result<Self, String> {
        let model = models
            .get(&row.model_path)
            .map_err(|error| format!("column `model_path`: {error}"))?;
        let accelerator =
            find_accelerator(&row.system).map_err(|error| format!("column `system`: {error}"))?;
        let engine = Engine::from_name(&row.backend).ok_or_else(|| {
            format!(
                "column `backend`: `{}`; allowed: vllm, sglang, trtllm",
                row.backend
            )
        })?;
        let mut assumed = Vec::new();
        let format = if row.precision.is_empty() {
            let name = row.model_path.to_ascii_lowercase();
            if name.ends_with("fp8") {
                NumberFormat::Fp8
            } else if name.ends_with("fp4") {
                NumberFormat::Nvfp4
            } else {
                NumberFormat::Bf16
            }
        } else {
            NumberFormat::from_name(&row.precision).ok_or_else(|| {
                format!(
                    "column `precision`: `{}`; allowed: bf16, fp8, int8, int4, fp4, mxfp4",
                    row.precision
                )
            })?
        };
        let number = |name: &str, value: Option<f64>| {
            value
                .filter(|value| *value >= 1.0 && value.is_finite())
                .ok_or_else(|| format!("column `{name}`: missing; allowed: a number of at least 1"))
        };
        let input_tokens = number("isl", row.isl)?;
        let output_tokens = number("osl", row.osl)?;
        let clients = row
            .silicon_data_source
            .split("silicon_concurrency=")
            .nth(1)
            .and_then(|rest| {
                rest.split(|c: char| !c.is_ascii_digit())
                    .next()
                    .and_then(|digits| digits.parse::<u32>().ok())
            })
            .filter(|clients| *clients > 0);
        let dated = row.silicon_data_source.starts_with("db-dump/")
            || row.silicon_data_source.starts_with("source_file=20");
        let has_experts = model.has_experts();
        let split = row.mode == "disagg";
        let (layout, workers, concurrency);
        if split {
            layout = layout_of(
                [
                    row.decode_tp_size,
                    row.decode_pp_size,
                    row.decode_attention_dp_size,
                    row.decode_moe_tp_size,
                    row.decode_moe_ep_size,
                ],
                has_experts,
                None,
                false,
                &mut assumed,
            );
            let prompt_layout = layout_of(
                [
                    row.prefill_tp_size,
                    row.prefill_pp_size,
                    row.prefill_attention_dp_size,
                    row.prefill_moe_tp_size,
                    row.prefill_moe_ep_size,
                ],
                has_experts,
                None,
                false,
                &mut assumed,
            );
            let decode_workers = whole(row.decode_num_workers);
            workers = Some(Workers {
                prompt_layout,
                prompt_workers: whole(row.prefill_num_workers),
                decode_workers,
            });
            concurrency = clients
                .or_else(|| {
                    Some(
                        whole(row.decode_batch_size)?
                            * decode_workers.unwrap_or(1)
                            * layout.attention_data,
                    )
                })
                .ok_or("column `decode_batch_size`: missing; allowed: a number of at least 1")?;
        } else {
            layout = layout_of(
                [
                    row.tp_size,
                    row.pp_size,
                    row.attention_dp_size,
                    row.moe_tp_size,
                    row.moe_ep_size,
                ],
                has_experts,
                Some(NODE),
                dated,
                &mut assumed,
            );
            workers = None;
            // Clients of the whole system may be spread over replicas; the batch is one attention group's, or the whole.
            concurrency = whole(row.batch_size)
                .map(|batch| match clients {
                    Some(clients) if clients == batch => batch,
                    _ => batch * whole(row.attention_dp_size).unwrap_or(1),
                })
                .or(clients)
                .ok_or("column `batch_size`: missing; allowed: a number of at least 1")?;
        }
        // InferenceX, whose dumps are named by their day, publishes its scripts: lengths between 0.8 and 1 of the nominal ones
        // (`--random-range-ratio 0.8`), ten requests for each client, all clients at once at first.
        let as_read = Conditions::of_row(
            Settings::usual(engine, accelerator),
            layout,
            workers,
            format,
        );
        let Conditions {
            settings,
            mut layout,
            mut workers,
            format,
            cache_bytes,
            drafted_tokens,
        } = if dated {
            let run = Published {
                engine,
                version: &row.backend_version,
                model: &row.model_path,
                format,
                accelerator,
                day: day_of(&row.silicon_data_source),
                input_tokens,
                output_tokens,
                clients: concurrency,
                layout,
            };
            if split {
                as_read.with_recipes(&run, Said::of(row))
            } else {
                as_read.with_scripts(&run)
            }
        } else {
            as_read
        };
        let workers_are_open = workers
            .as_ref()
            .is_some_and(|workers| workers.decode_workers.is_none());
        let kind = match (split, workers_are_open) {
            (false, _) => "together",
            (true, false) => "split",
            (true, true) => "split-workers-unknown",
        };
        let mut draft = drafted_tokens.filter(|tokens| *tokens > 0.0);
        if let Some(drafted) = draft {
            assumed.push(format!(
                "drafts of {drafted} tokens, as the publisher's runs of that day had"
            ));
        }
        let spread = !dated && engine.mixes();
        let load = Load {
            // Elsewhere lengths are means: answers that end a little sooner or later keep the clients of an engine that
            // mixes prompts and answers from marching in step. Where prompts go first, they fall into step by themselves.
            input_tokens: if spread {
                input_tokens / 0.9
            } else {
                input_tokens
            },
            output_tokens: if spread {
                output_tokens / 0.9
            } else {
                output_tokens
            },
            shortest: if dated || spread { 0.8 } else { 1.0 },
            concurrency,
            rate_per_s: None,
            // Ten waves, or enough of them to see how the load settles.
            requests: concurrency
                .saturating_mul(10)
                .min(concurrency.saturating_mul(4).max(400))
                .max(10),
            burst_share: 0.1,
            cached_prefix: 0.0,
            draft: None,
        };
        let seconds = |value: Option<f64>| {
            value
                .filter(|value| *value > 0.0 && value.is_finite())
                .map(|value| value * 1e-3)
        };
        let mut formats = Formats::usual(format, &model, accelerator);
        if let Some(bytes) = cache_bytes {
            formats.cache_bytes = bytes;
        }
        // A width of one that cannot hold the model was lost on the way.
        let widened = |mut layout: ServingLayout, assumed: &mut Vec<String>| {
            let holds = |layout: ServingLayout| {
                let memory = Deployment {
                    model: &model,
                    accelerator,
                    engine,
                    formats,
                    layout,
                    settings,
                }
                .memory();
                memory.cache_bytes > 0.05 * accelerator.memory_gib * outlay_units::GIB
            };
            if layout.accelerators() == 1 && split {
                while !holds(layout) && layout.attention_data < 64 {
                    layout.attention_data *= 2;
                    layout.expert = layout.attention_data;
                }
                if layout.accelerators() > 1 {
                    assumed.push(format!(
                        "one accelerator cannot hold the model; {} is taken",
                        layout.name()
                    ));
                }
            }
            layout
        };
        // Equal widths beyond a node, of dense attention and of experts cut as widely, are the accelerators of the whole run.
        let ranks_in_all = whole(row.decode_tp_size).filter(|ranks| {
            *ranks > NODE
                && workers_are_open
                && [
                    row.prefill_tp_size,
                    row.decode_moe_tp_size,
                    row.prefill_moe_tp_size,
                ]
                .iter()
                .all(|width| whole(*width) == Some(*ranks))
        });
        if let Some(ranks) = ranks_in_all {
            assumed.push(format!(
                "{ranks} accelerators are those of prompt and decode workers together, divided so that the run ends soonest"
            ));
            layout = ServingLayout::tensor(1);
            if let Some(workers) = &mut workers {
                workers.prompt_layout = ServingLayout::tensor(1);
            }
        }
        let layout = widened(layout, &mut assumed);
        let workers = workers.map(|workers: Workers| Workers {
            prompt_layout: widened(workers.prompt_layout, &mut assumed),
            ..workers
        });
        // The publisher runs workers apart both without drafts and with drafts of three tokens, where the model can, and rows
        // that leave their workers open do not say which: one token is half-way.
        let predicts_ahead = model
            .blocks
            .iter()
            .any(|block| block.kind == outlay_model::BlockKind::PredictAhead);
        if split && row.decode_num_workers.is_none() && drafted_tokens.is_none() && predicts_ahead {
            draft = Some(1.0);
            assumed.push("drafts of one token, half-way between none and three".to_owned());
        }
        Ok(Self {
            id: row.id.clone(),
            group: format!("{} on {}", row.model_path, accelerator.id),
            formats,
            model,
            accelerator,
            engine,
            layout,
            settings,
            drafted_tokens: draft,
            workers,
            ranks_in_all,
            gateway: split
                || row.silicon_data_source.contains("dynamo")
                || row.silicon_data_source.contains("gap-analysis"),
            load,
            ttft_s: seconds(row.silicon_ttft_ms),
            tpot_s: seconds(row.silicon_tpot_ms),
            kind: kind.to_owned(),
            assumed,
        })
    }

    /// The deployment of a replica, or of a decode worker.
    pub fn deployment(&self) -> Deployment<'_> {
        Deployment {
            model: &self.model,
            accelerator: self.accelerator,
            engine: self.engine,
            formats: self.formats,
            layout: self.layout,
            settings: self.settings,
        }
    }

    /// What clients of the row's run should have seen.
    pub fn predict(&self, constants: &ServingConstants) -> Outcome {
        let load = &Load {
            draft: self.drafted_tokens.map(|tokens| Draft {
                tokens,
                yields: expected_yield(constants.get(ServingConstant::Acceptance), tokens),
            }),
            ..self.load
        };
        let Some(workers) = &self.workers else {
            let deployment = self.deployment();
            let times = self.pass_times(&deployment, constants);
            return simulate(&times, &deployment, &deployment.memory(), load);
        };
        let Some(ranks) = self.ranks_in_all else {
            return self.predict_apart(self.layout, workers, load, constants);
        };
        // Divided over prompts and answers so that the run ends soonest.
        let prompt_ranks = workers.prompt_layout.accelerators();
        std::iter::successors(Some(prompt_ranks), |width| width.checked_mul(2))
            .take_while(|width| width + prompt_ranks <= ranks)
            .map(|width| {
                let workers = Workers {
                    prompt_workers: Some((ranks - width) / prompt_ranks),
                    decode_workers: Some(1),
                    ..*workers
                };
                let layout = ServingLayout {
                    attention_data: width,
                    expert: width,
                    ..ServingLayout::tensor(1)
                };
                self.predict_apart(layout, &workers, load, constants)
            })
            .min_by(|a, b| b.requests_per_s.total_cmp(&a.requests_per_s))
            .unwrap_or_default()
    }

    /// Passes of a deployment, behind the gateway where there is one.
    fn pass_times(&self, deployment: &Deployment<'_>, constants: &ServingConstants) -> PassTimes {
        let mut times = PassTimes::new(deployment, constants);
        if self.gateway {
            times.request_s += constants.get(ServingConstant::GatewayMs) * 1e-3;
        }
        times
    }

    /// With prompts on the workers given, and answers on replicas of `layout`.
    fn predict_apart(
        &self,
        layout: ServingLayout,
        workers: &Workers,
        load: &Load,
        constants: &ServingConstants,
    ) -> Outcome {
        let deployment = Deployment {
            layout,
            ..self.deployment()
        };
        let times = self.pass_times(&deployment, constants);
        let memory = deployment.memory();
        let prompt_deployment = Deployment {
            layout: workers.prompt_layout,
            ..deployment
        };
        let prompts = self.pass_times(&prompt_deployment, constants);
        let context = self.load.input_tokens + 0.5 * self.load.output_tokens;
        let decode_slots = (memory
            .sequences(context)
            .min(f64::from(self.settings.max_sequences))
            * times.attention_data)
            .max(1.0);
        // Where a row does not say: as the publisher's other rows have at the median, four narrow workers or one wide one,
        // and more where those would not hold the clients.
        let usual = if self.layout.attention_data > 1 {
            1.0
        } else {
            4.0
        };
        let decode_workers = workers.decode_workers.unwrap_or_else(|| {
            let clients = f64::from(self.load.concurrency);
            (clients / decode_slots).ceil().max(usual).min(clients) as u32
        });
        let prompt_workers = workers.prompt_workers.unwrap_or_else(|| {
            // As many as keep up with the answers.
            let batch = f64::from(self.load.concurrency) / f64::from(decode_workers);
            let answer_s = self.load.output_tokens * times.decode_s(batch, context, 1.0);
            let prompt_s =
                prompts.prompt_s(self.load.input_tokens, 8192.0) / prompts.attention_data;
            (f64::from(self.load.concurrency) * prompt_s / answer_s * 1.2)
                .ceil()
                .clamp(1.0, 64.0) as u32
        });
        simulate_split(
            &Split {
                prompts: &prompts,
                prompt_workers,
                prompt_pass_tokens: self.settings.pass_tokens,
                decode: &times,
                decode_workers,
                decode_slots,
            },
            load,
        )
    }
}
