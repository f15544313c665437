//! Adapters on frozen layers (LoRA, arXiv:2106.09685; DoRA, arXiv:2402.09353; bottlenecks, arXiv:1902.00751): what they hold
//! and what they cost.

use outlay_model::{Block, BlockKind, Kind, Model, Operator, Split};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which products have adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// Queries and values, as the paper has it and most libraries by default.
    QueryValue,
    /// Queries, keys, values and the output of attention.
    Attention,
    /// Every product of a layer outside routed experts (as QLoRA has it, arXiv:2305.14314).
    All,
}

impl Targets {
    /// Every choice, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::QueryValue, Self::Attention, Self::All];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueryValue => "query-value",
            Self::Attention => "attention",
            Self::All => "all",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|targets| targets.name().eq_ignore_ascii_case(name.trim()))
    }
}

/// Adapters on frozen products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adapters {
    /// Width of the narrow product between.
    pub rank: u32,
    /// Which products have one.
    pub targets: Targets,
    /// Whether the magnitude of each output is learned too (DoRA), for which the adapted weight is made and its norm
    /// taken at every step.
    pub magnitudes: bool,
    /// Whether they are two narrow layers behind attention and behind the feed-forward layer (Houlsby et al. 2019,
    /// arXiv:1902.00751), rather than low-rank products beside the frozen ones; `targets` then says nothing.
    pub bottleneck: bool,
}

impl Default for Adapters {
    fn default() -> Self {
        Self {
            rank: 16,
            targets: Targets::QueryValue,
            magnitudes: false,
            bottleneck: false,
        }
    }
}

/// The adapted products of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Adapted {
    /// How many.
    pub n: f64,
    /// Inputs, summed.
    pub inputs: f64,
    /// Outputs, summed.
    pub outputs: f64,
    /// Weights of the products, summed.
    pub weights: f64,
    /// Inputs that are kept for the adapters' gradients, in elements; products that share an input keep it once.
    pub kept: f64,
}

/// Products that software which does not join them runs for one operator: queries, keys and values are three, the two
/// halves of a gated feed-forward layer two.
pub(crate) fn n_products(operator: &Operator) -> u32 {
    match operator.kind {
        Kind::MatMul { .. } if operator.name == "attention qkv" => 3,
        Kind::MatMul {
            inputs, outputs, ..
        } if operator.name == "feed-forward up" && outputs > 2 * inputs => 2,
        _ => 1,
    }
}

/// Width of what an operator gives where it ends a sublayer: its product is divided by rows, as the output of attention and
/// of the feed-forward layer are.
fn ends_sublayer(operator: &Operator) -> Option<f64> {
    match operator.kind {
        Kind::MatMul {
            outputs,
            split: Split::Rows,
            ..
        }
        | Kind::ExpertMatMul {
            outputs,
            split: Split::Rows,
            ..
        } => Some(outputs as f64),
        _ => None,
    }
}

impl Adapters {
    /// The adapted products of a block.
    pub(crate) fn of_block(&self, block: &Block) -> Adapted {
        let mut out = Adapted::default();
        if block.kind != BlockKind::Layer {
            return out;
        }
        if self.bottleneck {
            let mut feeds_forward = false;
            for operator in &block.operators {
                let Some(width) = ends_sublayer(operator) else {
                    continue;
                };
                // Shared and routed experts are one sublayer.
                if operator.name.contains("feed-forward") || operator.name.contains("expert") {
                    if feeds_forward {
                        continue;
                    }
                    feeds_forward = true;
                }
                out.n += 1.0;
                out.inputs += width;
                out.outputs += width;
                out.kept += width;
            }
            return out;
        }
        let widths = block
            .operators
            .iter()
            .find_map(|operator| match operator.kind {
                Kind::Attention {
                    query_heads,
                    key_value_heads,
                    qk_width,
                    v_width,
                    ..
                } if v_width > 0 => Some((query_heads * qk_width, key_value_heads * v_width)),
                _ => None,
            });
        for operator in &block.operators {
            let Kind::MatMul {
                inputs, outputs, ..
            } = operator.kind
            else {
                continue;
            };
            let attends = operator.name.starts_with("attention");
            let joint = operator.name == "attention qkv";
            let (n, wide) = match (self.targets, joint) {
                (Targets::QueryValue, true) => {
                    let (query, value) = widths.unwrap_or((outputs / 3, outputs / 3));
                    (2, query + value)
                }
                (Targets::QueryValue, false) => continue,
                (Targets::Attention, _) if !attends => continue,
                (_, _) => (n_products(operator), outputs),
            };
            out.n += f64::from(n);
            out.inputs += f64::from(n) * inputs as f64;
            out.outputs += wide as f64;
            out.weights += inputs as f64 * wide as f64;
            out.kept += inputs as f64;
        }
        out
    }

    /// Parameters of all adapters.
    ///
    /// ```
    /// let model = outlay_model::find("llama-2-7b").unwrap().model().unwrap();
    /// // Rank 8 on queries and values of 32 layers of width 4096: 4,194,304 (arXiv:2106.09685's formula, 2 * 8 * 2 * 4096 * 32).
    /// let adapters = outlay_plan::Adapters { rank: 8, ..Default::default() };
    /// assert_eq!(adapters.parameters(&model), 4_194_304.0);
    ///
    /// // Bottlenecks of width m add 2md + d + m each, biases included, two to a layer (arXiv:1902.00751, section 2.1): of 64
    /// // in BERT-large, whose 24 layers are 1024 wide, 2 * 24 * (2 * 64 * 1024 + 1024 + 64).
    /// let model = outlay_model::find("bert-large").unwrap().model().unwrap();
    /// let adapters = outlay_plan::Adapters { rank: 64, bottleneck: true, ..Default::default() };
    /// assert_eq!(adapters.parameters(&model), 6_343_680.0);
    /// ```
    pub fn parameters(&self, model: &Model) -> f64 {
        model
            .blocks
            .iter()
            .map(|block| {
                let adapted = self.of_block(block);
                let rank = f64::from(self.rank);
                let vectors = if self.bottleneck {
                    adapted.n * rank + adapted.outputs
                } else if self.magnitudes {
                    adapted.outputs
                } else {
                    0.0
                };
                block.repeat as f64 * (rank * (adapted.inputs + adapted.outputs) + vectors)
            })
            .sum()
    }
}
