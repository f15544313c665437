//! The least of a smooth function, by L-BFGS.

use std::collections::VecDeque;

use rayon::prelude::*;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// Steps at most.
    pub(crate) n_steps: usize,
    /// The gradient's length, as a share of what it was at zero.
    pub(crate) gradient: f64,
    /// What the last five steps together took from the function's value, as a share of it.
    pub(crate) value: f64,
}

/// Steps whose gain is looked at together, because one may gain little before the next gains much.
const LAST: usize = 5;

/// Steps that are remembered (Liu and Nocedal 1989 found three to seven to be enough).
const MEMORY: usize = 7;

/// Numbers of all remembered steps and gradients together, at most: 1 GiB.
const NUMBERS: usize = 1 << 28;

/// Steps down to the least of a convex function from `x`, and returns whether it got there.
///
/// `evaluate` returns the function's value at a place and writes its gradient. `scale` is the gradient's length where the
/// search would have begun anew. Liu and Nocedal 1989, *On the limited memory BFGS method for large scale optimization*, with
/// steps halved until they lead down enough (Armijo 1966).
pub(crate) fn minimise(
    x: &mut [f32],
    scale: Option<f64>,
    stop: Stop,
    mut evaluate: impl FnMut(&[f32], &mut [f32]) -> f64,
) -> bool {
    let n_remembered = (NUMBERS / (2 * x.len()).max(1)).clamp(2, MEMORY);
    let mut gradient = vec![0.0; x.len()];
    let mut value = evaluate(x, &mut gradient);
    let target = stop.gradient * scale.unwrap_or_else(|| dot(&gradient, &gradient).sqrt());
    let mut memory: VecDeque<(Vec<f32>, Vec<f32>, f64)> = VecDeque::new();
    let mut values = VecDeque::from([value]);
    let mut next = vec![0.0; x.len()];
    let mut next_gradient = vec![0.0; x.len()];
    for _ in 0..stop.n_steps {
        let length = dot(&gradient, &gradient).sqrt();
        if length <= target || length <= 0.0 {
            return true;
        }
        let mut direction = direction(&gradient, &memory);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 || !slope.is_finite() {
            memory.clear();
            direction = gradient.iter().map(|value| -value).collect();
            slope = -length * length;
        }
        let mut step = if memory.is_empty() {
            1.0_f64.min(1.0 / length)
        } else {
            1.0
        };
        let moved = loop {
            let by = step as f32;
            next.par_iter_mut()
                .with_min_len(PART)
                .zip(&*x)
                .zip(&direction)
                .for_each(|((next, x), direction)| *next = x + by * direction);
            let next_value = evaluate(&next, &mut next_gradient);
            if next_value <= value + 1e-4 * step * slope {
                break Some(next_value);
            }
            step /= 2.0;
            if step < 1e-10 {
                break None;
            }
        };
        // No step leads down any more that single precision can tell.
        let Some(next_value) = moved else {
            return true;
        };
        let (mut change, mut bend) = match memory.len() {
            n if n >= n_remembered => memory
                .pop_front()
                .map_or_else(Default::default, |(change, bend, _)| (change, bend)),
            _ => (vec![0.0; x.len()], vec![0.0; x.len()]),
        };
        subtract(&mut change, &next, x);
        subtract(&mut bend, &next_gradient, &gradient);
        let curvature = dot(&change, &bend);
        if curvature > 1e-10 * dot(&bend, &bend) {
            memory.push_back((change, bend, curvature));
        }
        x.copy_from_slice(&next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = next_value;
        values.push_back(value);
        if values.len() > LAST
            && values
                .pop_front()
                .is_some_and(|before| before - value < stop.value * value.abs())
        {
            return true;
        }
    }
    false
}

/// The gradient, turned round and bent by what is remembered (Nocedal 1980, the recursion of two loops).
fn direction(gradient: &[f32], memory: &VecDeque<(Vec<f32>, Vec<f32>, f64)>) -> Vec<f32> {
    let mut direction: Vec<f32> = gradient.iter().map(|value| -value).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (change, bend, curvature) in memory.iter().rev() {
        let share = dot(change, &direction) / curvature;
        add(&mut direction, -share, bend);
        shares.push(share);
    }
    if let Some((_, bend, curvature)) = memory.back() {
        let by = (curvature / dot(bend, bend)) as f32;
        direction
            .par_iter_mut()
            .with_min_len(PART)
            .for_each(|value| *value *= by);
    }
    for ((change, bend, curvature), share) in memory.iter().zip(shares.iter().rev()) {
        let by = share - dot(bend, &direction) / curvature;
        add(&mut direction, by, change);
    }
    direction
}

/// Numbers that one thread works on at once: their sums are added up in their order, on however many threads.
const PART: usize = 1 << 14;

fn dot(one: &[f32], other: &[f32]) -> f64 {
    let part = |(one, other): (&[f32], &[f32])| {
        let (ones, rest) = one.as_chunks::<8>();
        let (others, other_rest) = other.as_chunks::<8>();
        let mut sums = [0.0_f64; 8];
        for (one, other) in ones.iter().zip(others) {
            for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
                *sum += f64::from(*one) * f64::from(*other);
            }
        }
        let rest = rest
            .iter()
            .zip(other_rest)
            .map(|(one, other)| f64::from(*one) * f64::from(*other));
        sums.iter().sum::<f64>() + rest.sum::<f64>()
    };
    let sums: Vec<f64> = one
        .par_chunks(PART)
        .zip(other.par_chunks(PART))
        .map(part)
        .collect();
    sums.iter().sum()
}

fn add(to: &mut [f32], times: f64, values: &[f32]) {
    let times = times as f32;
    to.par_iter_mut()
        .with_min_len(PART)
        .zip(values)
        .for_each(|(to, value)| *to += times * value);
}

fn subtract(into: &mut [f32], one: &[f32], other: &[f32]) {
    into.par_iter_mut()
        .with_min_len(PART)
        .zip(one)
        .zip(other)
        .for_each(|((into, one), other)| *into = one - other);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ i (x_i - i)²`, whose least is at `x_i = i`.
    #[test]
    fn the_least_of_a_bowl_is_found() {
        let mut x = vec![0.0; 40];
        let stop = Stop {
            n_steps: 200,
            gradient: 1e-5,
            value: 0.0,
        };
        let is_there = minimise(&mut x, None, stop, |x, gradient| {
            let mut value = 0.0;
            for (i, (x, gradient)) in (1_u8..).zip(x.iter().zip(gradient)) {
                let i = f32::from(i);
                value += f64::from(i * (x - i).powi(2));
                *gradient = 2.0 * i * (x - i);
            }
            value
        });
        assert!(is_there);
        for (i, x) in (1_u8..).zip(x) {
            assert!((x - f32::from(i)).abs() < 1e-2, "{x} {i}");
        }
    }
}
