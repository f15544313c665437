//! Passes over memory of software that runs a language model operation by operation, as Hugging Face's Transformers, Trainer,
//! PEFT and TRL do where nobody asks for `torch.compile`.
//!
//! Every tensor operation reads its inputs from memory and writes its result back, and most of a step's time goes there: on an
//! H100, 192 of 367 ms of a 1.1B model (transformers 5.17, PyTorch 2.11, profiled in November 2026). The tables below count
//! the operations of Transformers' Python code, forward and of autograd backward, in bytes for each element. Weights that are
//! trained in 16 bits are kept in fp32 and cast for each product (`torch.autocast`, which is what Trainer's `bf16=True` does),
//! so that the residual stream is fp32; frozen weights are in 16 bits, and so is the stream, but adapters are in fp32 (PEFT's
//! `autocast_adapter_dtype`).

use outlay_model::{Kind, Operator, Split};

use crate::adapters::{Adapted, n_products};
use crate::operator::{OperatorCost, Share};

/// Time of these passes over that of bytes streamed at the calibrated bandwidth: half of them broadcast, stride or convert. In
/// two profiles, of a model trained whole and of one with adapters, it was 1.21 and 1.18.
const OVERHEAD: f64 = 1.2;

/// How a model runs eagerly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Eager {
    /// Weights in fp32, cast to 16 bits for each product; the residual stream in fp32.
    Autocast,
    /// Weights frozen in 16 bits, with adapters in fp32.
    Frozen,
    /// Everything in fp32 (or tf32).
    Single,
}

/// Bytes moved and kept for each element of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Passes {
    forward: f64,
    backward: f64,
    kept: f64,
    /// Kernels launched forward.
    kernels: f64,
}

const fn passes(forward: f64, backward: f64, kept: f64, kernels: f64) -> Passes {
    Passes {
        forward,
        backward,
        kept,
        kernels,
    }
}

impl Eager {
    /// Bytes of an element of the residual stream.
    pub fn stream_bytes(self) -> f64 {
        match self {
            Self::Autocast | Self::Single => 4.0,
            Self::Frozen => 2.0,
        }
    }

    /// Bytes of an element between products.
    fn product_bytes(self) -> f64 {
        match self {
            Self::Autocast | Self::Frozen => 2.0,
            Self::Single => 4.0,
        }
    }

    /// Root-mean-square norm in fp32: square, mean, scale, weight; casts around it where the stream is narrow. Backward, the
    /// products of each of them, their sums, and the sum with the residual's gradient.
    fn norm(self) -> Passes {
        match self {
            Self::Autocast | Self::Single => passes(28.0, 96.0, 8.0, 6.0),
            Self::Frozen => passes(36.0, 82.0, 4.0, 8.0),
        }
    }

    /// A norm that subtracts the mean is one kernel of PyTorch, in fp32 under autocast.
    fn layer_norm(self) -> Passes {
        match self {
            Self::Autocast | Self::Single => passes(8.0, 32.0, 4.0, 1.0),
            Self::Frozen => passes(4.0, 10.0, 2.0, 1.0),
        }
    }

    fn residual(self) -> Passes {
        match self {
            Self::Autocast => passes(10.0, 6.0, 0.0, 1.0),
            Self::Single => passes(12.0, 0.0, 0.0, 1.0),
            Self::Frozen => passes(6.0, 0.0, 0.0, 1.0),
        }
    }

    /// Rotation of queries and keys: two products, halves turned and joined, a sum; cast down for attention where cosines
    /// are fp32.
    fn rotary(self) -> Passes {
        match self {
            Self::Autocast => passes(36.0, 56.0, 0.0, 12.0),
            Self::Single => passes(40.0, 60.0, 0.0, 10.0),
            Self::Frozen => passes(20.0, 30.0, 0.0, 10.0),
        }
    }

    /// What an operator costs where its passes over memory are run one by one, from what it costs with fused kernels.
    ///
    /// `bandwidth` is that reached by streaming kernels, in bytes/s.
    pub(crate) fn cost(
        self,
        operator: &Operator,
        share: &Share,
        bandwidth: f64,
        fused: OperatorCost,
    ) -> OperatorCost {
        let width = self.product_bytes();
        let tokens = share.tokens / share.tensor;
        match operator.kind {
            Kind::Norm { width } => {
                let passes = if operator.parameters >= 2 * width && width == share.hidden {
                    self.layer_norm()
                } else {
                    self.norm()
                };
                // Norms of queries and keys are of every head.
                let elements = if width < share.hidden {
                    share.query_and_key
                } else {
                    width as f64
                };
                instead(fused, passes, tokens * elements, bandwidth)
            }
            Kind::Elementwise { reads, writes, .. } => {
                let passes = if reads == 2 * share.hidden && writes == share.hidden {
                    self.residual()
                } else if operator.name == "rotary" {
                    self.rotary()
                } else if reads > writes {
                    // Activation, then its product with the other half; both factors are kept, and the activation's input.
                    passes(5.0 * width, 9.0 * width, 3.0 * width, 2.0)
                } else {
                    passes(2.0 * width, 3.0 * width, width, 1.0)
                };
                instead(fused, passes, tokens * writes as f64, bandwidth)
            }
            Kind::MatMul {
                inputs,
                outputs,
                split,
            } if self == Self::Autocast => {
                let n = f64::from(n_products(operator));
                let weights = inputs as f64 * outputs as f64 / share.tensor;
                let mut cost = fused;
                // Weights are cast down, and their gradients up.
                add_bytes(&mut cost, 6.0 * weights, 6.0 * weights, bandwidth);
                cost.kernels = 2.0 * n;
                if split != Split::Rows {
                    // Each of the products casts the stream for itself and keeps that; their gradients are cast up and summed.
                    let elements = share.tokens * inputs as f64;
                    let sums = 12.0 * (n - 1.0);
                    add_bytes(
                        &mut cost,
                        6.0 * n * elements,
                        (6.0 * n + sums) * elements,
                        bandwidth,
                    );
                    cost.kept_bytes *= n;
                    cost.kept_selective_bytes *= n;
                    cost.kernels += n;
                }
                cost
            }
            Kind::MatMul { inputs, .. } => {
                let n = f64::from(n_products(operator));
                let mut cost = fused;
                let sums = 3.0 * width * (n - 1.0) * share.tokens * inputs as f64;
                add_bytes(&mut cost, 0.0, sums, bandwidth);
                cost.kernels = n;
                cost
            }
            Kind::Attention {
                query_heads,
                v_width,
                ..
            } => {
                // Heads and tokens change places around it.
                let elements = tokens * (query_heads * v_width) as f64;
                let mut cost = fused;
                if self == Self::Frozen {
                    // Its result, which the product behind it keeps where that is trained.
                    cost.kept_bytes += width * elements;
                }
                add_bytes(
                    &mut cost,
                    2.0 * width * elements,
                    4.0 * width * elements,
                    bandwidth,
                );
                cost.kernels = cost.kernels.max(3.0);
                cost
            }
            // Logits in 16 bits, an fp32 copy, the log-softmax and its gradient exist at once.
            Kind::Loss { vocabulary } => instead(
                fused,
                passes(18.0, 26.0, 14.0, 5.0),
                tokens * vocabulary as f64,
                bandwidth,
            ),
            _ => fused,
        }
    }

    /// Adds to a block's cost what its adapters cost for `tokens` tokens; `bandwidth` as above.
    ///
    /// The input is cast up to fp32 for each adapter and kept; the narrow product reads it, the wide one writes the outputs,
    /// which are scaled, added to the frozen product's and cast down.
    pub(crate) fn add_adapters(
        self,
        sum: &mut OperatorCost,
        adapted: &Adapted,
        tokens: f64,
        bandwidth: f64,
    ) {
        let (inputs, outputs) = (tokens * adapted.inputs, tokens * adapted.outputs);
        // The products themselves stream at full bandwidth: their share is divided out again.
        let products = (
            4.0 * inputs + 4.0 * outputs,
            2.0 * (4.0 * inputs + 4.0 * outputs),
        );
        add_bytes(
            sum,
            6.0 * inputs + 24.0 * outputs + products.0 / OVERHEAD,
            12.0 * inputs + 20.0 * outputs + products.1 / OVERHEAD,
            bandwidth,
        );
        sum.kernels += 6.0 * adapted.n;
        sum.kept_bytes += 4.0 * inputs;
        sum.kept_selective_bytes += 4.0 * inputs;
    }
}

/// A cost whose time and memory are all in passes.
fn instead(fused: OperatorCost, passes: Passes, elements: f64, bandwidth: f64) -> OperatorCost {
    let mut cost = OperatorCost {
        forward_s: 0.0,
        backward_s: 0.0,
        selective_s: 0.0,
        forward_bytes: 0.0,
        kernels: passes.kernels,
        kept_bytes: passes.kept * elements,
        kept_selective_bytes: 0.0,
        ..fused
    };
    add_bytes(
        &mut cost,
        passes.forward * elements,
        passes.backward * elements,
        bandwidth,
    );
    cost.selective_s = cost.forward_s;
    cost
}

fn add_bytes(cost: &mut OperatorCost, forward: f64, backward: f64, bandwidth: f64) {
    cost.forward_bytes += forward;
    cost.forward_s += OVERHEAD * forward / bandwidth;
    cost.backward_s += OVERHEAD * backward / bandwidth;
}
