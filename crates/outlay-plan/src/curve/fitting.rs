//! The fit of a curve's form to blocks, and draws of curves that could have been.

use super::points::{Block, deviation, median};
use crate::random::scattered;

/// Curves drawn.
pub(super) const DRAWS: usize = 200;
/// Exponents tried, as many again for the shift of steps.
const EXPONENTS: usize = 18;
const SHIFTS: usize = 5;
const EXPONENT_LIMITS: (f64, f64) = (0.05, 4.0);
/// Largest shift of steps, in shares of the area so far.
const SHIFT_LIMIT: f64 = 2.0;
/// Width of the central part of Huber's loss, in standard deviations of the residuals.
const HUBER_DEVIATIONS: f64 = 1.345;

/// Cost above the best at which an exponent and a shift still matter to draws, and how many such are enough.
const NEAR_COST: f64 = 12.0;
const NEAR_ENOUGH: usize = 30;

/// What is believed before a curve is seen. Shares are of the loss now.
#[derive(Clone, Copy, Debug)]
struct Beliefs {
    /// Median and standard deviation of the exponent's logarithm.
    exponent: (f64, f64),
    /// Standard deviation of the floor around a share that is drawn evenly.
    floor_freedom: f64,
    /// Median of what giving up the whole rate takes off the loss, and the deviation of its logarithm.
    anneal: (f64, f64),
    /// Power of steps by which late blocks count more.
    recency: f64,
}

const BELIEFS: Beliefs = Beliefs {
    exponent: (0.6, 0.7),
    floor_freedom: 0.3,
    anneal: (0.05, 0.8),
    recency: 0.5,
};

/// `L = floor + weight * ((S + shift) / (S_now + shift))^-exponent - anneal * drop`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Form {
    pub(super) floor: f64,
    pub(super) weight: f64,
    pub(super) exponent: f64,
    pub(super) shift: f64,
    pub(super) anneal: f64,
}

impl Form {
    pub(super) fn at(&self, area: f64, area_now: f64, drop: f64) -> f64 {
        let pace = ((area + self.shift) / (area_now + self.shift)).max(1e-12);
        let level = self.floor + self.weight * pace.powf(-self.exponent);
        // What an anneal takes off cannot be more than most of the loss.
        (level - self.anneal * drop).max(0.02 * level)
    }
}

/// Draws of the form, and how blocks lie about it.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) draws: Vec<Form>,
    pub(super) area_now: f64,
    /// How far the last blocks lie from the curve, as a logarithm.
    pub(super) offset: f64,
    /// Deviation of the mean of one point more, relative: what a window of points leaves open.
    pub(super) point_noise: f64,
}

/// The part of a grid, shift by shift, that holds some of its columns and their neighbours.
fn finer(columns: &[Column], near: &[usize], area_now: f64) -> Limits {
    let span = |places: &mut dyn Iterator<Item = usize>, n: usize| {
        let (least, most) = places.fold((n - 1, 0), |(least, most), place| {
            (least.min(place), most.max(place))
        });
        (least.saturating_sub(1), (most + 1).min(n - 1))
    };
    let exponents = span(&mut near.iter().map(|place| place % EXPONENTS), EXPONENTS);
    let shifts = span(&mut near.iter().map(|place| place / EXPONENTS), SHIFTS);
    let shift = |place: usize| columns[place * EXPONENTS].shift / area_now;
    Limits {
        exponent: (columns[exponents.0].exponent, columns[exponents.1].exponent),
        shift: (shift(shifts.0), shift(shifts.1)),
    }
}

/// What a grid spans; shifts in shares of the area now.
#[derive(Clone, Copy)]
struct Limits {
    exponent: (f64, f64),
    shift: (f64, f64),
}

/// One exponent and one shift of the grid.
struct Column {
    exponent: f64,
    shift: f64,
    pace: Vec<f64>,
    /// Penalised normal matrix of floor, weight and anneal.
    normal: [[f64; 3]; 3],
}

struct Problem {
    area: Vec<f64>,
    drop: Vec<f64>,
    area_now: f64,
    /// Loss now, which measures everything else.
    unit: f64,
    beliefs: Beliefs,
}

/// Targets of the beliefs: drawn anew for every draw.
#[derive(Clone, Copy)]
struct Target {
    ln_exponent: f64,
    floor: f64,
    anneal: f64,
}

pub(super) fn fit(
    blocks: &[Block],
    area: impl Fn(f64) -> f64,
    drop: impl Fn(f64) -> f64,
    n_draws: usize,
    seed: u64,
) -> Fitted {
    let beliefs = BELIEFS;
    let n = blocks.len();
    let area: Vec<f64> = blocks.iter().map(|block| area(block.step)).collect();
    let drop: Vec<f64> = blocks.iter().map(|block| drop(block.step)).collect();
    let mut late: Vec<f64> = blocks[n - n.div_ceil(8)..]
        .iter()
        .map(|block| block.loss)
        .collect();
    let problem = Problem {
        area_now: area[n - 1].max(f64::MIN_POSITIVE),
        area,
        drop,
        unit: median(&mut late),
        beliefs,
    };
    let mut sizes: Vec<f64> = blocks.iter().map(|block| block.n).collect();
    let usual = median(&mut sizes);
    let now = blocks[n - 1].step;
    let trust: Vec<f64> = blocks
        .iter()
        .map(|block| 2.0 * block.n / (block.n + usual) * (block.step / now).powf(beliefs.recency))
        .collect();
    let y: Vec<f64> = blocks.iter().map(|block| block.loss).collect();
    let middle = Target {
        ln_exponent: beliefs.exponent.0.ln(),
        floor: 0.5,
        anneal: beliefs.anneal.0,
    };
    // Rounds of reweighting: residuals are relative to the curve, which stands for logarithms, and outliers pull less.
    let mut weights: Vec<f64> = trust.iter().zip(&y).map(|(t, y)| t / (y * y)).collect();
    let mut noise = 0.03;
    let mut best = Form::default();
    let mut residuals: Vec<f64>;
    let mut columns = Vec::new();
    for round in 0..4 {
        let limits = Limits {
            exponent: EXPONENT_LIMITS,
            shift: (0.0, SHIFT_LIMIT),
        };
        columns = problem.columns(limits, &weights, noise);
        best = problem.best(&columns, &weights, &y, noise, middle).1;
        let curve = problem.curve(&best);
        residuals = y
            .iter()
            .zip(&curve)
            .map(|(y, c)| (y / c).ln())
            .collect::<Vec<f64>>();
        let each = deviation(&residuals).max(1e-6);
        noise = each * autocorrelation_factor(&residuals).sqrt();
        let reach = HUBER_DEVIATIONS * each;
        if round < 3 {
            for (((weight, trust), residual), c) in
                weights.iter_mut().zip(&trust).zip(&residuals).zip(&curve)
            {
                *weight = trust * (reach / residual.abs()).min(1.0) / (c * c);
            }
        }
    }
    // A finer grid where few of the exponents and shifts come near the best.
    for _ in 0..6 {
        let costs: Vec<f64> = columns
            .iter()
            .map(|column| problem.cost(column, &weights, &y, noise, middle).0)
            .collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let near: Vec<usize> = (0..columns.len())
            .filter(|place| costs[*place] < least + NEAR_COST)
            .collect();
        if near.len() > NEAR_ENOUGH {
            break;
        }
        columns = problem.columns(finer(&columns, &near, problem.area_now), &weights, noise);
        best = problem.best(&columns, &weights, &y, noise, middle).1;
    }
    let curve = problem.curve(&best);
    residuals = y.iter().zip(&curve).map(|(y, c)| (y / c).ln()).collect();
    let lies: Vec<(f64, f64)> = curve.into_iter().zip(residuals.iter().copied()).collect();
    let draws = draws(&problem, &columns, &weights, &lies, noise, n_draws, seed);
    let scaled: Vec<f64> = blocks
        .iter()
        .zip(&residuals)
        .skip(n / 2)
        .map(|(block, residual)| residual * block.n.sqrt())
        .collect();
    Fitted {
        draws,
        area_now: problem.area_now,
        point_noise: deviation(&scaled),
        offset: {
            let mut last = residuals[n - n.div_ceil(16)..].to_vec();
            median(&mut last)
        },
    }
}

/// Draws by a block bootstrap of residuals (`lies` holds the curve at each block, and its residual), with the beliefs drawn too, so that what data leave open stays open
/// (randomised maximum likelihood, Oliver, He and Reynolds 1996). Blocks, as neighbouring residuals are alike: drawn one by
/// one they would cancel out more than they do (Künsch 1989).
fn draws(
    problem: &Problem,
    columns: &[Column],
    weights: &[f64],
    lies: &[(f64, f64)],
    noise: f64,
    n_draws: usize,
    seed: u64,
) -> Vec<Form> {
    let n = lies.len();
    let (curve, residuals): (Vec<f64>, Vec<f64>) = lies.iter().copied().unzip();
    let length = (1.5 * (n as f64).cbrt()).ceil() as usize;
    let length = length.clamp(1, n);
    let chance = |draw: usize, place: usize| scattered(seed ^ ((draw as u64) << 20) ^ place as u64);
    let reach = (4.0 * deviation(&residuals)).min(1.0);
    (0..n_draws)
        .map(|draw| {
            let mut y = Vec::with_capacity(n);
            while y.len() < n {
                let start = (chance(draw, 16 + y.len()) * (n - length + 1) as f64) as usize;
                // Of the opposite sign in half of the blocks: the form may be wrong on either side.
                let sign = if chance(draw, 8192 + y.len()) < 0.5 {
                    -1.0
                } else {
                    1.0
                };
                for residual in &residuals[start..start + length] {
                    if let Some(c) = curve.get(y.len()) {
                        y.push(c * (sign * residual.clamp(-reach, reach)).exp());
                    }
                }
            }
            let beliefs = &problem.beliefs;
            let target = Target {
                ln_exponent: beliefs.exponent.0.ln()
                    + beliefs.exponent.1 * normal(chance(draw, 1), chance(draw, 2)),
                floor: chance(draw, 3),
                anneal: beliefs.anneal.0
                    * (beliefs.anneal.1 * normal(chance(draw, 4), chance(draw, 5))).exp(),
            };
            problem.best(columns, weights, &y, noise, target).1
        })
        .collect()
}

/// Normally distributed, from two even numbers (Box and Muller 1958).
pub(super) fn normal(one: f64, two: f64) -> f64 {
    (-2.0 * one.max(1e-12).ln()).sqrt() * (2.0 * std::f64::consts::PI * two).cos()
}

/// How many times the variance of a mean exceeds that of independent residuals, were they of first order.
fn autocorrelation_factor(residuals: &[f64]) -> f64 {
    let squares: f64 = residuals.iter().map(|r| r * r).sum();
    let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let rho = if squares > 0.0 {
        (products / squares).clamp(0.0, 0.9)
    } else {
        0.0
    };
    (1.0 + rho) / (1.0 - rho)
}

impl Problem {
    fn curve(&self, form: &Form) -> Vec<f64> {
        self.area
            .iter()
            .zip(&self.drop)
            .map(|(area, drop)| form.at(*area, self.area_now, *drop))
            .collect()
    }

    /// Precision of floor and anneal, as shares of the unit, with noise as it is.
    fn stiffness(&self, noise: f64) -> (f64, f64) {
        let one = |freedom: f64| (noise / (freedom * self.unit)).powi(2);
        (
            one(self.beliefs.floor_freedom),
            one(self.beliefs.anneal.0 * self.beliefs.anneal.1),
        )
    }

    #[expect(clippy::needless_range_loop, reason = "indices of a small matrix")]
    fn columns(&self, limits: Limits, weights: &[f64], noise: f64) -> Vec<Column> {
        let ((low, high), (least, most)) = (limits.exponent, limits.shift);
        let stiff = self.stiffness(noise);
        let mut out = Vec::with_capacity(EXPONENTS * SHIFTS);
        for i in 0..SHIFTS {
            // Denser towards none.
            let share = (i as f64 / (SHIFTS - 1) as f64).powi(2);
            let shift = self.area_now * (least + (most - least) * share);
            let logs: Vec<f64> = self
                .area
                .iter()
                .map(|area| {
                    ((area + shift).max(1e-9 * self.area_now) / (self.area_now + shift)).ln()
                })
                .collect();
            for j in 0..EXPONENTS {
                let exponent = low * (high / low).powf(j as f64 / (EXPONENTS - 1) as f64);
                let pace: Vec<f64> = logs.iter().map(|log| (-exponent * log).exp()).collect();
                let mut normal = [[0.0; 3]; 3];
                for ((w, p), d) in weights.iter().zip(&pace).zip(&self.drop) {
                    let row = [1.0, *p, -d];
                    for a in 0..3 {
                        for b in a..3 {
                            normal[a][b] += w * row[a] * row[b];
                        }
                    }
                }
                normal[0][0] += stiff.0;
                normal[2][2] += stiff.1;
                for a in 0..3 {
                    for b in 0..a {
                        normal[a][b] = normal[b][a];
                    }
                }
                out.push(Column {
                    exponent,
                    shift,
                    pace,
                    normal,
                });
            }
        }
        out
    }

    /// Minus twice the logarithm of likelihood and beliefs, but for constants, and the form.
    fn cost(
        &self,
        column: &Column,
        weights: &[f64],
        y: &[f64],
        noise: f64,
        target: Target,
    ) -> (f64, Form) {
        let stiff = self.stiffness(noise);
        let (floor, anneal) = (target.floor * self.unit, target.anneal * self.unit);
        let mut right = [stiff.0 * floor, 0.0, stiff.1 * anneal];
        let mut squares = stiff.0 * floor * floor + stiff.1 * anneal * anneal;
        for (((w, p), d), y) in weights.iter().zip(&column.pace).zip(&self.drop).zip(y) {
            let wy = w * y;
            right[0] += wy;
            right[1] += wy * p;
            right[2] -= wy * d;
            squares += wy * y;
        }
        let x = solve_non_negative(&column.normal, &right);
        // x minimises |Ax - y|^2 within its limits: the rest follows from the normal equations.
        let mut rest = squares;
        for a in 0..3 {
            rest -= 2.0 * x[a] * right[a];
            for b in 0..3 {
                rest += x[a] * x[b] * column.normal[a][b];
            }
        }
        let away = (column.exponent.ln() - target.ln_exponent) / self.beliefs.exponent.1;
        let form = Form {
            floor: x[0],
            weight: x[1],
            exponent: column.exponent,
            shift: column.shift,
            anneal: x[2],
        };
        (rest.max(0.0) / (noise * noise) + away * away, form)
    }

    fn best(
        &self,
        columns: &[Column],
        weights: &[f64],
        y: &[f64],
        noise: f64,
        target: Target,
    ) -> (f64, Form) {
        columns
            .iter()
            .map(|column| self.cost(column, weights, y, noise, target))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or_default()
    }
}

/// Solves three normal equations with no unknown below 0: unknowns that come out negative are held at 0, worst first.
#[expect(clippy::needless_range_loop, reason = "indices of a small matrix")]
fn solve_non_negative(normal: &[[f64; 3]; 3], right: &[f64; 3]) -> [f64; 3] {
    let mut held = [false; 3];
    for _ in 0..3 {
        let mut matrix = *normal;
        let mut x = *right;
        for a in 0..3 {
            // A trace of stiffness keeps columns that are nearly alike apart.
            matrix[a][a] *= 1.0 + 1e-12;
            if held[a] || matrix[a][a] <= 0.0 {
                for b in 0..3 {
                    matrix[a][b] = 0.0;
                    matrix[b][a] = 0.0;
                }
                matrix[a][a] = 1.0;
                x[a] = 0.0;
            }
        }
        for a in 0..3 {
            for b in a + 1..3 {
                let factor = matrix[b][a] / matrix[a][a];
                for c in a..3 {
                    matrix[b][c] -= factor * matrix[a][c];
                }
                x[b] -= factor * x[a];
            }
        }
        for a in (0..3).rev() {
            for b in a + 1..3 {
                x[a] -= matrix[a][b] * x[b];
            }
            x[a] /= matrix[a][a];
        }
        let worst = (0..3)
            .filter(|a| !held[*a] && x[*a] < 0.0)
            .min_by(|a, b| x[*a].total_cmp(&x[*b]));
        match worst {
            Some(worst) => held[worst] = true,
            None => return x,
        }
    }
    [0.0; 3]
}
