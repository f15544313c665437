//! Logged points made fit to be fitted: cleaned, put in order, and thinned to blocks.

/// Most blocks that a curve is thinned to.
const MOST_BLOCKS: usize = 160;
/// Robust standard deviations beyond which a point of a block is drawn to the block's median: spikes.
const SPIKE_DEVIATIONS: f64 = 4.0;

/// The same for blocks among their neighbours.
const BLOCK_DEVIATIONS: f64 = 6.0;

/// Points in order of steps, finite and positive, with counts of what was put right.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cleaned {
    pub(super) points: Vec<(f64, f64)>,
    /// Not a number, or infinite.
    pub(super) skipped: usize,
    /// Written over by later points, as a run went back to a checkpoint.
    pub(super) replaced: usize,
}

/// Skips what is not finite; where steps go back, later points replace those from there on. Linear time.
pub(super) fn clean(points: &[(f64, f64)]) -> Cleaned {
    let mut out = Cleaned::default();
    for &(step, loss) in points {
        if !step.is_finite() || !loss.is_finite() || step < 0.0 {
            out.skipped += 1;
            continue;
        }
        while out.points.last().is_some_and(|last| last.0 >= step) {
            out.points.pop();
            out.replaced += 1;
        }
        out.points.push((step, loss));
    }
    out
}

/// Some points together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Block {
    pub(super) step: f64,
    pub(super) loss: f64,
    pub(super) n: f64,
}

/// Blocks of points, evenly wide in the root of steps: between even steps, which say little of the bend, and even
/// logarithms, which give the last half of a run a tenth of the blocks.
///
/// A share of the steps is left out at the start: warm-up, and the fall from random weights.
pub(super) fn blocks(points: &[(f64, f64)], left_out: f64) -> Vec<Block> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let from = if points.len() > 40 {
        first.0 + left_out * (last.0 - first.0)
    } else {
        first.0
    };
    let start = points.partition_point(|point| point.0 < from);
    let kept = &points[start..];
    let n_blocks = MOST_BLOCKS.min(kept.len());
    let (low, high) = (kept[0].0.sqrt(), last.0.sqrt());
    let place = |step: f64| {
        let share = (step.sqrt() - low) / (high - low).max(f64::MIN_POSITIVE);
        ((share * n_blocks as f64) as usize).min(n_blocks - 1)
    };
    let mut out: Vec<Block> = kept
        .chunk_by(|a, b| place(a.0) == place(b.0))
        .map(block)
        .collect();
    draw_in_spikes(&mut out);
    out
}

/// Draws blocks that stand out from their neighbours' median in to the bulk of such distances; blocks of few points have
/// nothing else to tell a spike by. A steady fall is its own running median, however steep.
fn draw_in_spikes(blocks: &mut [Block]) {
    const NEIGHBOURS: usize = 4;
    let n = blocks.len();
    let away: Vec<f64> = (0..n)
        .map(|place| {
            let near = NEIGHBOURS.min(place).min(n - 1 - place);
            (blocks[place].loss / level(&blocks[place - near..=place + near])).ln()
        })
        .collect();
    let reach = BLOCK_DEVIATIONS * deviation(&away);
    for (block, away) in blocks.iter_mut().zip(away) {
        block.loss *= (away.clamp(-reach, reach) - away).exp();
    }
}

/// The mean of points, with spikes drawn in.
fn block(points: &[(f64, f64)]) -> Block {
    let n = points.len() as f64;
    let step = points.iter().map(|point| point.0).sum::<f64>() / n;
    let mut losses: Vec<f64> = points.iter().map(|point| point.1).collect();
    let centre = median(&mut losses);
    let mut away: Vec<f64> = losses.iter().map(|loss| (loss - centre).abs()).collect();
    let reach = SPIKE_DEVIATIONS * 1.4826 * median(&mut away);
    let loss = if points.len() < 5 {
        losses.iter().sum::<f64>() / n
    } else {
        let drawn_in = |loss: &f64| loss.clamp(centre - reach, centre + reach);
        losses.iter().map(drawn_in).sum::<f64>() / n
    };
    Block { step, loss, n }
}

/// Median loss of blocks.
pub(super) fn level(blocks: &[Block]) -> f64 {
    let mut losses: Vec<f64> = blocks.iter().map(|block| block.loss).collect();
    median(&mut losses)
}

/// Logarithm of how much the loss fell from about half of the steps to the last; 0 where it rose.
pub(super) fn fall(blocks: &[Block]) -> f64 {
    let now = blocks.last().map_or(0.0, |block| block.step);
    let of = |from: f64, to: f64| {
        let start = blocks.partition_point(|block| block.step < from * now);
        let end = blocks.partition_point(|block| block.step <= to * now);
        // At least two blocks, where they are few.
        level(
            &blocks
                [start.min(blocks.len().saturating_sub(2))..end.max((start + 2).min(blocks.len()))],
        )
    };
    (of(0.42, 0.55) / of(0.92, 1.0)).ln().max(0.0)
}

/// The middle value; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Standard deviation from the median distance to 0, which outliers do not move.
pub(super) fn deviation(residuals: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    1.4826 * median(&mut sizes)
}
