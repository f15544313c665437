//! The fields of the page, as an address has them.

use std::collections::BTreeMap;

use outlay_catalog::accelerators;
use outlay_plan::serving::{Engine, NumberFormat};
use outlay_plan::{Framework, Optimizer, Precision};
use serde_json::{Map, Value};

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A training run.
    Train,
    /// A service.
    Serve,
}

/// Fields of both kinds; `gpu` and `n` make up `gpus`.
const SHARED: [&str; 10] = [
    "model",
    "gpu",
    "n",
    "spot",
    "reserved",
    "at",
    "price",
    "pue",
    "resolution",
    "frames",
];

const TRAIN: [&str; 13] = [
    "tokens",
    "samples",
    "epochs",
    "sequence",
    "batch",
    "precision",
    "method",
    "optimizer",
    "framework",
    "budget",
    "deadline",
    "layout",
    "levers",
];

const SERVE: [&str; 14] = [
    "requests",
    "input",
    "output",
    "ttft",
    "tpot",
    "p99",
    "steps",
    "cached",
    "mean_over_peak",
    "engine",
    "precision",
    "apart",
    "compare_api",
    "beside",
];

/// Most bytes of one field.
const MOST_BYTES: usize = 300;

/// What the page shows where nothing is said.
const FIRST_TRAIN: [(&str, &str); 4] = [
    ("model", "llama-3.1-8b"),
    ("tokens", "100B"),
    ("gpu", "H100-SXM"),
    ("n", "64"),
];

const FIRST_SERVE: [(&str, &str); 6] = [
    ("model", "llama-3.1-8b"),
    ("requests", "5/s"),
    ("input", "1000"),
    ("output", "300"),
    ("gpu", "H100-SXM"),
    ("tpot", "50ms"),
];

/// The fields, by name.
#[derive(Clone, Debug)]
pub struct Form {
    kind: Kind,
    values: BTreeMap<&'static str, String>,
}

impl Form {
    /// Reads the query of an address; what it does not know, it leaves out.
    pub fn read(kind: Kind, query: &str) -> Self {
        let own: &[&'static str] = match kind {
            Kind::Train => &TRAIN,
            Kind::Serve => &SERVE,
        };
        let mut values = BTreeMap::new();
        for (name, value) in crate::query::pairs(query) {
            let Some(&name) = SHARED.iter().chain(own).find(|known| **known == name) else {
                continue;
            };
            if !value.trim().is_empty() && value.len() <= MOST_BYTES {
                values.insert(name, value.trim().to_owned());
            }
        }
        if values.is_empty() {
            let first: &[(&str, &str)] = match kind {
                Kind::Train => &FIRST_TRAIN,
                Kind::Serve => &FIRST_SERVE,
            };
            values = first
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect();
        }
        Self { kind, values }
    }

    /// The request that the fields make.
    pub fn request(&self) -> Value {
        let mut request = Map::new();
        let gpu = self.value("gpu");
        for (name, value) in &self.values {
            match *name {
                "gpu" | "n" => {}
                _ => {
                    request.insert((*name).to_owned(), Value::String(value.clone()));
                }
            }
        }
        if !gpu.is_empty() {
            let (name, said) = match (self.kind, self.value("n")) {
                (Kind::Train, "") => ("gpus", format!("1x{gpu}")),
                (Kind::Train, n) => ("gpus", format!("{n}x{gpu}")),
                (Kind::Serve, "") => ("gpu", gpu.to_owned()),
                (Kind::Serve, n) => ("gpu", format!("{n}x{gpu}")),
            };
            request.insert(name.to_owned(), Value::String(said));
        }
        Value::Object(request)
    }

    /// A field's value; empty where nothing is said.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Whether a field is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        matches!(self.value(name), "1" | "on" | "true")
    }

    /// Whether training is planned.
    pub fn trains(&self) -> bool {
        self.kind == Kind::Train
    }

    /// Whether a field beyond the first ones says something, so that they are shown.
    pub fn says_more(&self) -> bool {
        const FIRST: [&str; 14] = [
            "model",
            "tokens",
            "samples",
            "gpu",
            "n",
            "spot",
            "precision",
            "requests",
            "input",
            "output",
            "ttft",
            "tpot",
            "levers",
            "compare_api",
        ];
        self.values.keys().any(|name| !FIRST.contains(name))
    }

    /// Names of built-in models.
    pub fn models(&self) -> Vec<&'static str> {
        outlay_model::builtin()
            .iter()
            .map(|model| model.name.as_str())
            .collect()
    }

    /// Names of accelerators, by vendor.
    pub fn hardware(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut vendors: Vec<(&str, Vec<&str>)> = Vec::new();
        for accelerator in accelerators() {
            match vendors
                .iter_mut()
                .find(|(vendor, _)| *vendor == accelerator.vendor)
            {
                Some((_, list)) => list.push(&accelerator.id),
                None => vendors.push((&accelerator.vendor, vec![&accelerator.id])),
            }
        }
        vendors
    }

    /// Choices of a field, each with whether it is chosen.
    pub fn choices(&self, name: &str) -> Vec<(&'static str, bool)> {
        let all: Vec<&'static str> = match (name, self.kind) {
            ("precision", Kind::Train) => Precision::ALL.map(Precision::name).to_vec(),
            ("precision", Kind::Serve) => NumberFormat::ALL.map(NumberFormat::name).to_vec(),
            ("optimizer", _) => Optimizer::ALL.map(Optimizer::name).to_vec(),
            ("framework", _) => Framework::ALL.map(Framework::name).to_vec(),
            ("method", _) => vec!["full", "lora", "qlora"],
            ("engine", _) => {
                let mut engines = Engine::ALL.map(Engine::name).to_vec();
                engines.push("any");
                engines
            }
            _ => Vec::new(),
        };
        all.into_iter()
            .map(|choice| (choice, choice == self.value(name)))
            .collect()
    }
}
