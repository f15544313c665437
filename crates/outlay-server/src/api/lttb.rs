//! Choosing the points of a curve that a picture needs: largest triangle three buckets.
//!
//! Steinarsson 2013, *Downsampling Time Series for Visual Representation*, section 4.2: the curve is cut into buckets, and
//! of each the point is kept that spans the largest triangle with the point kept before it and the mean of the next bucket.

/// The places of the points to keep, in order: the first, the last, and `n_kept - 2` between.
///
/// ```
/// # use outlay_server::api::largest_triangles;
/// let line: Vec<(f64, f64)> = (0..100).map(|x| (f64::from(x), if x == 42 { 9.0 } else { 0.0 })).collect();
/// let kept = largest_triangles(&line, 10);
/// assert_eq!((kept.len(), kept[0], kept[9]), (10, 0, 99));
/// assert!(kept.contains(&42));
/// ```
#[must_use]
pub fn largest_triangles(points: &[(f64, f64)], n_kept: usize) -> Vec<usize> {
    let n_points = points.len();
    if n_points <= n_kept || n_kept < 3 {
        return (0..n_points).collect();
    }
    let width = (n_points - 2) as f64 / (n_kept - 2) as f64;
    let begin = |bucket: usize| 1 + (bucket as f64 * width) as usize;
    let mut kept = Vec::with_capacity(n_kept);
    kept.push(0);
    let mut last = points[0];
    for bucket in 0..n_kept - 2 {
        let (from, to) = (begin(bucket), begin(bucket + 1).min(n_points - 1));
        let next = &points[to..begin(bucket + 2).clamp(to + 1, n_points)];
        let sum = next
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let mean = (sum.0 / next.len() as f64, sum.1 / next.len() as f64);
        let area = |point: (f64, f64)| {
            ((last.0 - mean.0) * (point.1 - last.1) - (last.0 - point.0) * (mean.1 - last.1)).abs()
        };
        let mut best = (from, -1.0);
        for (at, point) in points.iter().enumerate().take(to).skip(from) {
            let area = area(*point);
            if area > best.1 {
                best = (at, area);
            }
        }
        kept.push(best.0);
        last = points[best.0];
    }
    kept.push(n_points - 1);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_all_where_there_are_few() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, 0.0)];
        assert_eq!(largest_triangles(&points, 3), [0, 1, 2]);
        assert_eq!(largest_triangles(&points, 2000), [0, 1, 2]);
        assert_eq!(largest_triangles(&[], 10), [0; 0]);
    }

    #[test]
    fn keeps_as_many_as_were_asked_for_in_order() {
        for n_points in [4, 10, 11, 99, 1000, 12_345] {
            let points: Vec<(f64, f64)> = (0..n_points)
                .map(|x| (f64::from(x), (f64::from(x) * 0.7).sin()))
                .collect();
            for n_kept in [3, 4, 9, 97] {
                let kept = largest_triangles(&points, n_kept);
                assert_eq!(kept.len(), n_kept.min(points.len()));
                assert!(kept.is_sorted_by(|one, other| one < other));
                assert_eq!(kept.last(), Some(&(points.len() - 1)));
            }
        }
    }
}
