//! Settings of published runs whose publisher's scripts are public.

use std::sync::LazyLock;

use outlay_catalog::Accelerator;
use serde::Deserialize;

use crate::serving::deployment::{Engine, NumberFormat, ServingLayout, Settings};
use crate::serving::measured::{ServingRow, Workers, whole};

/// What one script set, and the runs it set it for; what is absent matches any run or leaves a setting as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Recipe {
    /// Where it is written, for readers.
    #[allow(dead_code)]
    script: String,
    engine: String,
    /// Parts of hub names, in lower case.
    models: Vec<String>,
    formats: Vec<NumberFormat>,
    accelerators: Vec<String>,
    /// First and last day, as `2026-01-14`.
    since: Option<String>,
    until: Option<String>,
    versions: Vec<String>,
    input: Option<f64>,
    output: Option<f64>,
    least_clients: Option<u32>,
    least_ranks: Option<u32>,
    most_ranks: Option<u32>,

    /// Tokens of a pass: the sum of these three, and no fewer than the fourth.
    pass_tokens: Option<f64>,
    pass_tokens_per_input: Option<f64>,
    pass_tokens_per_client: Option<f64>,
    least_pass_tokens: Option<f64>,
    poll_passes: Option<u32>,
    balance_passes: Option<u32>,
    wait_passes: Option<u32>,
    wait_share: Option<f64>,
    graph_tokens: Option<f64>,
    memory_share: Option<f64>,
    max_sequences: Option<u32>,
    chunk_tokens: Option<f64>,
    cache_bytes: Option<u8>,
    /// Format of the checkpoint, where tables give another of the same width.
    checkpoint: Option<NumberFormat>,
    drafted_tokens: Option<f64>,
    attention_data: bool,
    expert_parallel: bool,
    /// Attention was not data-parallel, whatever the row says.
    tensor_parallel: bool,
}

#[derive(Deserialize)]
struct Recipes {
    run: Vec<Recipe>,
}

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    toml::from_str::<Recipes>(include_str!("../../data/inferencex.toml"))
        .expect("the file is part of the program and tested")
        .run
});

/// A published run, as far as its row tells.
pub(super) struct Published<'a> {
    pub engine: Engine,
    pub version: &'a str,
    pub model: &'a str,
    pub format: NumberFormat,
    pub accelerator: &'a Accelerator,
    /// Day of the measurement, as `2026-01-14`; empty where it is not known.
    pub day: &'a str,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub clients: u32,
    pub layout: ServingLayout,
}

/// Conditions of a run: what a row says, and what its publisher's scripts set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conditions {
    pub settings: Settings,
    /// Layout of a replica, or of a decode worker.
    pub layout: ServingLayout,
    pub workers: Option<Workers>,
    /// Format of the weights.
    pub format: NumberFormat,
    /// Bytes of an element of the cache, where a script says.
    pub cache_bytes: Option<u8>,
    /// Tokens drafted for each pass: zero where there were none, nothing where it is not known.
    pub drafted_tokens: Option<f64>,
}

impl Recipe {
    fn matches(&self, run: &Published<'_>) -> bool {
        let any = |of: &[String], is: &dyn Fn(&str) -> bool| {
            of.is_empty() || of.iter().any(|entry| is(entry))
        };
        let model = run.model.to_ascii_lowercase();
        let ranks = run.layout.accelerators();
        self.engine == run.engine.name()
            && any(&self.models, &|part| model.contains(part))
            && (self.formats.is_empty() || self.formats.contains(&run.format))
            && any(&self.accelerators, &|id| id == run.accelerator.id)
            && any(&self.versions, &|version| version == run.version)
            && self.since.as_deref().is_none_or(|day| run.day >= day)
            && self
                .until
                .as_deref()
                .is_none_or(|day| !run.day.is_empty() && run.day <= day)
            && self.input.is_none_or(|tokens| tokens == run.input_tokens)
            && self.output.is_none_or(|tokens| tokens == run.output_tokens)
            && self
                .least_clients
                .is_none_or(|clients| run.clients >= clients)
            && self.least_ranks.is_none_or(|least| ranks >= least)
            && self.most_ranks.is_none_or(|most| ranks <= most)
    }
}

impl Conditions {
    /// What a row alone says.
    pub fn of_row(
        settings: Settings,
        layout: ServingLayout,
        workers: Option<Workers>,
        format: NumberFormat,
    ) -> Self {
        Self {
            settings,
            layout,
            workers,
            format,
            cache_bytes: None,
            drafted_tokens: None,
        }
    }

    /// With what scripts for one server set on the day of the run.
    pub fn with_scripts(mut self, run: &Published<'_>) -> Self {
        let (mut tokens, mut least) = (None, 0.0);
        for recipe in RECIPES.iter().filter(|recipe| recipe.matches(run)) {
            let settings = &mut self.settings;
            let sum = [
                (recipe.pass_tokens, 1.0),
                (recipe.pass_tokens_per_input, run.input_tokens),
                (recipe.pass_tokens_per_client, f64::from(run.clients)),
            ];
            if sum.iter().any(|(factor, _)| factor.is_some()) {
                tokens = Some(
                    sum.iter()
                        .map(|(factor, of)| factor.unwrap_or(0.0) * of)
                        .sum::<f64>(),
                );
            }
            least = recipe.least_pass_tokens.unwrap_or(least);
            settings.poll_passes = recipe.poll_passes.unwrap_or(settings.poll_passes);
            settings.balance_passes = recipe.balance_passes.unwrap_or(settings.balance_passes);
            settings.wait_passes = recipe.wait_passes.unwrap_or(settings.wait_passes);
            settings.wait_share = recipe.wait_share.unwrap_or(settings.wait_share);
            settings.graph_tokens = recipe.graph_tokens.unwrap_or(settings.graph_tokens);
            settings.memory_share = recipe.memory_share.unwrap_or(settings.memory_share);
            settings.max_sequences = recipe.max_sequences.unwrap_or(settings.max_sequences);
            settings.chunk_tokens = recipe.chunk_tokens.unwrap_or(settings.chunk_tokens);
            self.format = recipe.checkpoint.unwrap_or(self.format);
            self.cache_bytes = recipe.cache_bytes.or(self.cache_bytes);
            self.drafted_tokens = recipe.drafted_tokens.or(self.drafted_tokens);
            let ranks = self.layout.tensor * self.layout.attention_data;
            if recipe.expert_parallel {
                self.layout.expert = ranks;
                self.layout.expert_tensor = 1;
            }
            if recipe.tensor_parallel {
                self.layout.tensor = ranks;
                self.layout.attention_data = 1;
            }
            if recipe.attention_data {
                self.layout = ServingLayout {
                    pipeline: self.layout.pipeline,
                    ..layout(ranks, ranks, ranks)
                };
            }
        }
        if let Some(tokens) = tokens {
            self.settings.pass_tokens = tokens.max(least);
        }
        // With data-parallel attention one token is drafted where three are without (`MTP=1`).
        if self.layout.attention_data > 1 {
            self.drafted_tokens = self.drafted_tokens.map(|drafted| drafted.min(1.0));
        }
        self
    }

    /// With the workers that recipes for prompts and answers apart have, where all that match the run agree.
    pub fn with_recipes(mut self, run: &Published<'_>, said: Said) -> Self {
        let matching: Vec<&Apart> = APART
            .iter()
            .filter(|apart| apart.matches(run, said))
            .collect();
        fn common<T: PartialEq>(of: &[&Apart], get: impl Fn(&Apart) -> T) -> Option<T> {
            let first = get(of.first()?);
            of.iter().all(|apart| get(apart) == first).then_some(first)
        }
        let of = &matching[..];
        if let Some(workers) = &mut self.workers {
            workers.prompt_layout =
                common(of, Apart::prompt_layout).unwrap_or(workers.prompt_layout);
            workers.prompt_workers =
                common(of, |apart| apart.prompt_workers).or(workers.prompt_workers);
            workers.decode_workers =
                common(of, |apart| apart.decode_workers).or(workers.decode_workers);
        }
        self.layout = common(of, Apart::decode_layout).unwrap_or(self.layout);
        let settings = &mut self.settings;
        settings.pass_tokens = common(of, |apart| apart.prompt_pass_tokens)
            .flatten()
            .unwrap_or(settings.pass_tokens);
        settings.max_sequences = common(of, |apart| apart.decode_sequences)
            .flatten()
            .unwrap_or(settings.max_sequences);
        settings.chunk_tokens =
            common(of, |apart| apart.chunk_tokens).unwrap_or(settings.chunk_tokens);
        self.drafted_tokens = common(of, |apart| apart.drafted_tokens);
        self
    }
}

/// Workers of one recipe with prompts and answers apart.
#[derive(Clone, Debug, Deserialize)]
struct Apart {
    /// Parts of hub names, in lower case, any of which matches.
    model: String,
    engine: String,
    accelerator: String,
    format: NumberFormat,
    input_tokens: f64,
    output_tokens: f64,
    /// Numbers of clients that it ran with.
    clients: String,
    drafted_tokens: f64,
    prompt_workers: u32,
    prompt_ranks: u32,
    prompt_attention_data: u32,
    prompt_expert: u32,
    /// Tokens of a prompt worker's pass, for each attention group.
    prompt_pass_tokens: Option<f64>,
    decode_workers: u32,
    decode_ranks: u32,
    decode_attention_data: u32,
    decode_expert: u32,
    /// Most sequences at once on one attention group of a decode worker.
    decode_sequences: Option<u32>,
    chunk_tokens: f64,
}

static APART: LazyLock<Vec<Apart>> = LazyLock::new(|| {
    csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .from_reader(include_str!("../../data/inferencex_apart.csv").as_bytes())
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("the file is part of the program and tested")
});

impl Apart {
    fn prompt_layout(&self) -> ServingLayout {
        layout(
            self.prompt_ranks,
            self.prompt_attention_data,
            self.prompt_expert,
        )
    }

    fn decode_layout(&self) -> ServingLayout {
        layout(
            self.decode_ranks,
            self.decode_attention_data,
            self.decode_expert,
        )
    }

    fn matches(&self, run: &Published<'_>, said: Said) -> bool {
        let model = run.model.to_ascii_lowercase();
        let agrees = |said: Option<u32>, has: u32| said.is_none_or(|said| said == has);
        self.engine == run.engine.name()
            && self.accelerator == run.accelerator.id
            && self.format == run.format
            && self.input_tokens == run.input_tokens
            && self.output_tokens == run.output_tokens
            && self.model.split(' ').any(|part| model.contains(part))
            && self
                .clients
                .split(' ')
                .any(|clients| clients.parse() == Ok(run.clients))
            && agrees(said.prompt_workers, self.prompt_workers)
            && agrees(said.prompt_ranks, self.prompt_ranks)
            && agrees(said.decode_workers, self.decode_workers)
            && agrees(said.decode_ranks, self.decode_ranks)
            // Rows that say how many workers there were are of runs without drafts: the dump has none with, by their times.
            && (said.decode_workers.is_none() || self.drafted_tokens == 0.0)
    }
}

/// What a row with prompts and answers apart says of its workers, where it does.
#[derive(Clone, Copy, Default)]
pub(super) struct Said {
    pub prompt_workers: Option<u32>,
    pub prompt_ranks: Option<u32>,
    pub decode_workers: Option<u32>,
    pub decode_ranks: Option<u32>,
}

impl Said {
    /// Of a row's columns; widths of one say nothing.
    pub fn of(row: &ServingRow) -> Self {
        let ranks = |widths: [Option<f64>; 3]| {
            let ranks: u32 = widths
                .into_iter()
                .map(|width| whole(width).unwrap_or(1))
                .product();
            (ranks > 1).then_some(ranks)
        };
        Self {
            prompt_workers: whole(row.prefill_num_workers),
            prompt_ranks: ranks([
                row.prefill_tp_size,
                row.prefill_pp_size,
                row.prefill_attention_dp_size,
            ]),
            decode_workers: whole(row.decode_num_workers),
            decode_ranks: ranks([
                row.decode_tp_size,
                row.decode_pp_size,
                row.decode_attention_dp_size,
            ]),
        }
    }
}

fn layout(ranks: u32, attention_data: u32, expert: u32) -> ServingLayout {
    let attention_data = attention_data.clamp(1, ranks);
    let expert = expert.clamp(1, ranks);
    ServingLayout {
        tensor: ranks / attention_data,
        pipeline: 1,
        attention_data,
        expert_tensor: ranks / expert,
        expert,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_names_what_exists() {
        let known = |accelerator: &str| outlay_catalog::find_accelerator(accelerator).is_ok();
        let engine = |name: &str| Engine::ALL.iter().any(|engine| engine.name() == name);
        assert!(RECIPES.len() > 30 && APART.len() > 800);
        for recipe in RECIPES.iter() {
            assert!(engine(&recipe.engine), "{recipe:?}");
            for accelerator in &recipe.accelerators {
                assert!(known(accelerator), "{recipe:?}");
            }
            for day in [&recipe.since, &recipe.until].into_iter().flatten() {
                assert!(day.len() == 10 && day.starts_with("202"), "{recipe:?}");
            }
            for model in &recipe.models {
                assert_eq!(*model, model.to_ascii_lowercase());
            }
        }
        for apart in APART.iter() {
            assert!(
                engine(&apart.engine) && known(&apart.accelerator),
                "{apart:?}"
            );
            assert!(
                apart
                    .clients
                    .split(' ')
                    .all(|clients| clients.parse::<u32>().is_ok()),
                "{apart:?}"
            );
            let (prompts, answers) = (apart.prompt_layout(), apart.decode_layout());
            assert_eq!(prompts.accelerators(), apart.prompt_ranks, "{apart:?}");
            assert_eq!(answers.accelerators(), apart.decode_ranks, "{apart:?}");
        }
    }
}
