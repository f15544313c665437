//! Small tasks with gradients by hand, in f32: something to learn, and a loss that real training runs reach.

/// Numbers as good as random, the same for a seed: SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    /// In [0, 1).
    pub fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f32) as usize).min(n - 1)
    }

    /// Of mean 0 and variance 1: the sum of twelve uniform numbers.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// Where examples come from.
pub enum Data {
    /// Text: the next symbol after `context` symbols.
    Text { symbols: Vec<u8>, context: usize },
    /// Pairs of symbols and the class that they make.
    Pairs { pairs: Vec<(u8, u8, u8)> },
    /// Drawn anew: a random teacher gives the class, with a share of wrong labels.
    Teacher {
        teacher: Net,
        weights: Vec<f32>,
        wrong: f32,
    },
    /// Drawn anew: features with variances of a power law, and a noisy function of them.
    Function {
        scale: Vec<f32>,
        weights: Vec<f32>,
        bend: f32,
        noise: f32,
    },
    /// Drawn anew: features with variances of a power law, to be given back.
    Itself { scale: Vec<f32>, mixing: Vec<f32> },
}

/// A perceptron, over embeddings where its input is symbols; cross-entropy over classes, or squared error.
#[derive(Clone)]
pub struct Net {
    /// Symbols and the width of their embedding; 0 where the input is numbers.
    pub vocabulary: usize,
    pub width: usize,
    pub layers: Vec<usize>,
    pub classes: bool,
}

impl Net {
    pub fn n_parameters(&self) -> usize {
        let dense: usize = self
            .layers
            .windows(2)
            .map(|pair| (pair[0] + 1) * pair[1])
            .sum();
        self.vocabulary * self.width + dense
    }

    pub fn initial(&self, random: &mut Random) -> Vec<f32> {
        let mut weights: Vec<f32> = (0..self.vocabulary * self.width)
            .map(|_| 0.3 * random.normal())
            .collect();
        for pair in self.layers.windows(2) {
            let scale = (1.0 / pair[0] as f32).sqrt();
            weights.extend((0..pair[0] * pair[1]).map(|_| scale * random.normal()));
            weights.extend(std::iter::repeat_n(0.0, pair[1]));
        }
        weights
    }

    /// Values of every layer; hidden ones pass through a rectifier.
    fn forward(&self, weights: &[f32], input: Vec<f32>) -> Vec<Vec<f32>> {
        let mut at = self.vocabulary * self.width;
        let mut values = vec![input];
        for (depth, pair) in self.layers.windows(2).enumerate() {
            let (matrix, bias) =
                weights[at..at + (pair[0] + 1) * pair[1]].split_at(pair[0] * pair[1]);
            at += (pair[0] + 1) * pair[1];
            let mut out = bias.to_vec();
            for (x, row) in values[depth].iter().zip(matrix.chunks_exact(pair[1])) {
                if *x != 0.0 {
                    for (y, w) in out.iter_mut().zip(row) {
                        *y += x * w;
                    }
                }
            }
            if depth + 2 < self.layers.len() {
                for y in &mut out {
                    *y = y.max(0.0);
                }
            }
            values.push(out);
        }
        values
    }

    /// Loss of one example, its gradient added.
    fn example(
        &self,
        weights: &[f32],
        gradient: &mut [f32],
        symbols: &[u8],
        input: Vec<f32>,
        target: &[f32],
    ) -> f32 {
        let input = if self.vocabulary > 0 {
            symbols
                .iter()
                .flat_map(|&symbol| &weights[symbol as usize * self.width..][..self.width])
                .copied()
                .collect()
        } else {
            input
        };
        let mut values = self.forward(weights, input);
        let out = values.pop().unwrap_or_default();
        let (loss, mut pull) = if self.classes {
            let most = out.iter().copied().fold(f32::MIN, f32::max);
            let mut shares: Vec<f32> = out.iter().map(|y| (y - most).exp()).collect();
            let sum: f32 = shares.iter().sum();
            let class = target[0] as usize;
            let loss = sum.ln() + most - out[class];
            for share in &mut shares {
                *share /= sum;
            }
            shares[class] -= 1.0;
            (loss, shares)
        } else {
            let pull: Vec<f32> = out.iter().zip(target).map(|(y, t)| y - t).collect();
            let n = pull.len() as f32;
            let loss = pull.iter().map(|p| p * p).sum::<f32>() / n;
            (loss, pull.iter().map(|p| 2.0 * p / n).collect())
        };
        let mut at = self.n_parameters();
        for (depth, pair) in self.layers.windows(2).enumerate().rev() {
            let n = pair[0] * pair[1];
            at -= n + pair[1];
            let matrix = &weights[at..at + n];
            let (slope, bias) = gradient[at..at + n + pair[1]].split_at_mut(n);
            for (b, p) in bias.iter_mut().zip(&pull) {
                *b += p;
            }
            let below = &values[depth];
            let mut next = vec![0.0; pair[0]];
            for (i, x) in below.iter().enumerate() {
                if depth > 0 && *x == 0.0 {
                    continue;
                }
                let row = &matrix[i * pair[1]..][..pair[1]];
                let slopes = &mut slope[i * pair[1]..][..pair[1]];
                for (s, p) in slopes.iter_mut().zip(&pull) {
                    *s += x * p;
                }
                if depth > 0 || self.vocabulary > 0 {
                    next[i] = dot(row, &pull);
                }
            }
            pull = next;
        }
        if self.vocabulary > 0 {
            for (place, &symbol) in symbols.iter().enumerate() {
                let slopes = &mut gradient[symbol as usize * self.width..][..self.width];
                for (s, p) in slopes.iter_mut().zip(&pull[place * self.width..]) {
                    *s += p;
                }
            }
        }
        loss
    }
}

/// A sum in eight lanes, which compilers turn into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// A network and what it learns.
pub struct Task {
    pub net: Net,
    pub data: Data,
}

impl Task {
    /// Mean loss of a random batch, and its gradient.
    pub fn batch(
        &self,
        weights: &[f32],
        gradient: &mut [f32],
        size: usize,
        random: &mut Random,
    ) -> f32 {
        gradient.fill(0.0);
        let mut sum = 0.0;
        for _ in 0..size {
            let (symbols, input, target) = self.draw(random);
            sum += self
                .net
                .example(weights, gradient, &symbols, input, &target);
        }
        for slope in gradient.iter_mut() {
            *slope /= size as f32;
        }
        sum / size as f32
    }

    fn draw(&self, random: &mut Random) -> (Vec<u8>, Vec<f32>, Vec<f32>) {
        match &self.data {
            Data::Text { symbols, context } => {
                let at = random.below(symbols.len() - context);
                let target = f32::from(symbols[at + context]);
                (symbols[at..at + context].to_vec(), Vec::new(), vec![target])
            }
            Data::Pairs { pairs } => {
                let (a, b, class) = pairs[random.below(pairs.len())];
                (vec![a, b], Vec::new(), vec![f32::from(class)])
            }
            Data::Teacher {
                teacher,
                weights,
                wrong,
            } => {
                let input: Vec<f32> = (0..teacher.layers[0]).map(|_| random.normal()).collect();
                let out = teacher
                    .forward(weights, input.clone())
                    .pop()
                    .unwrap_or_default();
                let class = if random.uniform() < *wrong {
                    random.below(out.len())
                } else {
                    (0..out.len())
                        .max_by(|a, b| out[*a].total_cmp(&out[*b]))
                        .unwrap_or(0)
                };
                (Vec::new(), input, vec![class as f32])
            }
            Data::Function {
                scale,
                weights,
                bend,
                noise,
            } => {
                let input: Vec<f32> = scale.iter().map(|s| s * random.normal()).collect();
                let inner = dot(&input, weights);
                let target = inner + bend * (2.0 * inner).sin() + noise * random.normal();
                (Vec::new(), input, vec![target])
            }
            Data::Itself { scale, mixing } => {
                let n = scale.len();
                let mut input = vec![0.0; n];
                for (s, row) in scale.iter().zip(mixing.chunks_exact(n)) {
                    let z = s * random.normal();
                    for (x, m) in input.iter_mut().zip(row) {
                        *x += z * m;
                    }
                }
                (Vec::new(), input.clone(), input)
            }
        }
    }
}

/// Symbols of the texts: this crate's sources and papers, 96 printable characters.
fn text() -> Vec<u8> {
    [
        include_str!("../../../../ARCHITECTURE.md"),
        include_str!("../../../../README.md"),
        include_str!("../../src/serving/pass.rs"),
        include_str!("../../src/train.rs"),
        include_str!("../../src/operator.rs"),
    ]
    .concat()
    .bytes()
    .map(|byte| {
        if (32..127).contains(&byte) {
            byte - 32
        } else {
            95
        }
    })
    .collect()
}

/// A chain of second order over 24 symbols with skewed odds.
fn chain(random: &mut Random) -> Vec<u8> {
    let odds: Vec<f32> = (0..24 * 24 * 24)
        .map(|_| random.uniform().powi(6) + 1e-3)
        .collect();
    let mut out = vec![0_u8, 1];
    for at in 0..120_000 {
        let row = &odds[(usize::from(out[at]) * 24 + usize::from(out[at + 1])) * 24..][..24];
        let mut left = random.uniform() * row.iter().sum::<f32>();
        let next = row.iter().position(|odd| {
            left -= odd;
            left <= 0.0
        });
        out.push(next.unwrap_or(23) as u8);
    }
    out
}

/// Names of the families.
pub const FAMILIES: [&str; 9] = [
    "softmax",
    "teacher",
    "text",
    "text-deep",
    "chain",
    "factors",
    "autoencoder",
    "function",
    "modular",
];

/// A task of a family; the variant changes sizes and noise.
pub fn task(family: &str, variant: usize, random: &mut Random) -> Task {
    let net = |vocabulary, width, layers: Vec<usize>, classes| Net {
        vocabulary,
        width,
        layers,
        classes,
    };
    let grown = [1, 2, 3][variant % 3];
    let falling =
        |n: usize, power: f32| -> Vec<f32> { (1..=n).map(|i| (i as f32).powf(-power)).collect() };
    match family {
        "softmax" | "teacher" => {
            let deep = family == "teacher";
            let teacher = if deep {
                net(0, 0, vec![32, 24, 10], true)
            } else {
                net(0, 0, vec![40, 12], true)
            };
            let weights = teacher.initial(random);
            let layers = if deep {
                vec![32, 48 * grown, 10]
            } else {
                vec![40, 12]
            };
            let wrong = [0.05, 0.0, 0.2][variant % 3];
            Task {
                net: net(0, 0, layers, true),
                data: Data::Teacher {
                    teacher,
                    weights,
                    wrong,
                },
            }
        }
        "text" => {
            let context = 2 + 2 * grown;
            Task {
                net: net(96, 12, vec![12 * context, 48 * grown, 96], true),
                data: Data::Text {
                    symbols: text(),
                    context,
                },
            }
        }
        "text-deep" => Task {
            net: net(96, 16, vec![128, 64, 64, 32 * grown, 96], true),
            data: Data::Text {
                symbols: text(),
                context: 8,
            },
        },
        "chain" => Task {
            net: net(24, 8 * grown, vec![24 * grown, 64 * grown, 24], true),
            data: Data::Text {
                symbols: chain(random),
                context: 3,
            },
        },
        // Ratings of users by items are a product of factors: learnt from both embeddings through a thin layer.
        "factors" => {
            let n = 60;
            let factors: Vec<f32> = (0..2 * n * 5).map(|_| random.normal()).collect();
            let pairs = (0..n * n)
                .map(|pair| {
                    let (user, item) = (pair / n, pair % n);
                    let rating: f32 = (0..5)
                        .map(|k| factors[user * 5 + k] * factors[(n + item) * 5 + k])
                        .sum();
                    let noisy = rating + 0.5 * random.normal();
                    (
                        user as u8,
                        (n + item) as u8,
                        (noisy * 0.8 + 3.0).clamp(0.0, 6.0) as u8,
                    )
                })
                .collect();
            Task {
                net: net(120, 8 * grown, vec![16 * grown, 48, 7], true),
                data: Data::Pairs { pairs },
            }
        }
        "autoencoder" => {
            let n = 48;
            let mixing = (0..n * n)
                .map(|_| random.normal() / (n as f32).sqrt())
                .collect();
            Task {
                net: net(0, 0, vec![n, 32, 8 * grown, 32, n], false),
                data: Data::Itself {
                    scale: falling(n, 0.6),
                    mixing,
                },
            }
        }
        "function" => {
            let n = 64;
            let weights = (0..n).map(|_| random.normal()).collect();
            let bend = [0.0, 0.5, 1.0][variant % 3];
            let layers = if variant.is_multiple_of(3) {
                vec![n, 1]
            } else {
                vec![n, 64, 32, 1]
            };
            Task {
                net: net(0, 0, layers, false),
                data: Data::Function {
                    scale: falling(n, 0.5),
                    weights,
                    bend,
                    noise: [0.3, 0.05, 0.2][variant / 3 % 3],
                },
            }
        }
        _ => {
            let n = 29_u8;
            let pairs = (0..n)
                .flat_map(|a| (0..n).map(move |b| (a, b, (a + b) % n)))
                .collect();
            Task {
                net: net(29, 16, vec![32, 64 * grown, 29], true),
                data: Data::Pairs { pairs },
            }
        }
    }
}
