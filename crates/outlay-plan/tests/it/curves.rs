//! Laws of loss curves, forecasts and stop rules.

use outlay_plan::{
    CurveError, CurvePlan, CurveWidening, Forecast, ForecastPlan, LossCurve, Per, Sample, StopRule,
    StopRuleError, worth,
};
use outlay_units::Estimate;
use proptest::prelude::*;

/// A number in [0, 1), the same for a seed.
fn scattered(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

fn law(step: f64) -> f64 {
    2.0 + 6.0 * (step + 50.0).powf(-0.4)
}

/// Points of the law, each times one plus even noise.
fn noisy(steps: u32, noise: f64) -> Vec<(f64, f64)> {
    (1..=steps)
        .map(|step| {
            let away = noise * 2.0 * (scattered(u64::from(step)) - 0.5);
            (f64::from(step), law(f64::from(step)) * (1.0 + away))
        })
        .collect()
}

/// A plan whose learning rate stays, so that nothing but the law decides.
fn constant(total: f64) -> CurvePlan {
    CurvePlan {
        total_steps: Some(total),
        learning_rates: vec![(0.0, 1.0), (total, 1.0)],
        ..CurvePlan::default()
    }
}

fn ordered(estimate: Estimate) -> bool {
    estimate.p10 <= estimate.p50 && estimate.p50 <= estimate.p90 && estimate.p50.is_finite()
}

#[test]
fn recovers_a_power_law() {
    let curve = LossCurve::fit(&noisy(2000, 0.0), &constant(8000.0), 1).unwrap();
    for step in [500.0, 2000.0, 4000.0, 8000.0] {
        let at = curve.at(step);
        assert!(
            (at.p50 / law(step) - 1.0).abs() < 1e-3,
            "{step}: {at:?}, {}",
            law(step)
        );
    }
    let gain = curve.gain_between(2000.0, 4000.0);
    let truth = 1.0 - law(4000.0) / law(2000.0);
    assert!((gain.p50 - truth).abs() < 1e-3, "{gain:?}, {truth}");
    let reach = curve.steps_to_reach(law(3000.0));
    assert!(
        (reach.p50.unwrap() / 3000.0 - 1.0).abs() < 0.05,
        "{reach:?}"
    );
    assert_eq!(curve.steps_to_reach(1.0).p10, None);
}

#[test]
fn noise_widens_the_interval_and_it_still_holds_the_truth() {
    let widths: Vec<f64> = [0.0, 0.05, 0.3]
        .iter()
        .map(|noise| {
            let plan = CurvePlan {
                widening: CurveWidening::NONE,
                ..constant(4000.0)
            };
            let at = LossCurve::fit(&noisy(2000, *noise), &plan, 3)
                .unwrap()
                .at(4000.0);
            assert!((at.p50 / law(4000.0) - 1.0).abs() < 0.02, "{noise}: {at:?}");
            at.p90 - at.p10
        })
        .collect();
    assert!(widths[0] < widths[1] && widths[1] < widths[2], "{widths:?}");
}

#[test]
fn scaling_the_loss_scales_the_curve() {
    let points = noisy(1000, 0.05);
    let scaled: Vec<(f64, f64)> = points
        .iter()
        .map(|(step, loss)| (*step, 1000.0 * loss))
        .collect();
    let (one, other) = (
        LossCurve::fit(&points, &constant(2000.0), 5).unwrap(),
        LossCurve::fit(&scaled, &constant(2000.0), 5).unwrap(),
    );
    let (a, b) = (one.final_loss().unwrap(), other.final_loss().unwrap());
    for (a, b) in [(a.p10, b.p10), (a.p50, b.p50), (a.p90, b.p90)] {
        assert!((b / a / 1000.0 - 1.0).abs() < 1e-6, "{a} {b}");
    }
    assert!(
        (one.gain_between(1000.0, 2000.0).p50 - other.gain_between(1000.0, 2000.0).p50).abs()
            < 1e-9
    );
}

#[test]
fn a_seed_gives_the_same_curve() {
    let points = noisy(500, 0.1);
    let of = |seed| {
        LossCurve::fit(&points, &constant(1000.0), seed)
            .unwrap()
            .final_loss()
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn bad_points_are_counted_or_named() {
    let mut points = noisy(400, 0.02);
    points[100].1 = f64::NAN;
    points[200].1 = f64::INFINITY;
    // Spikes, and a restart from step 300 that goes over a hundred steps again.
    points[250].1 = 1e6;
    let again = points[300..].to_vec();
    points.extend(again);
    let curve = LossCurve::fit(&points, &constant(800.0), 1).unwrap();
    assert_eq!(curve.left_out(), (2, 100));
    let end = curve.at(800.0);
    assert!((end.p50 / law(800.0) - 1.0).abs() < 0.02, "{end:?}");

    let fit = |points: &[(f64, f64)]| LossCurve::fit(points, &CurvePlan::default(), 1).map(|_| ());
    assert_eq!(
        fit(&[]),
        Err(CurveError::TooFewPoints {
            found: 0,
            needed: 12
        })
    );
    let nan = vec![(1.0, f64::NAN); 50];
    assert_eq!(
        fit(&nan),
        Err(CurveError::TooFewPoints {
            found: 0,
            needed: 12
        })
    );
    let negative: Vec<(f64, f64)> = (0..50)
        .map(|step| (f64::from(step), 10.0 - f64::from(step)))
        .collect();
    assert_eq!(
        fit(&negative),
        Err(CurveError::NotPositive {
            step: 10.0,
            loss: 0.0
        })
    );
    let flat: Vec<(f64, f64)> = (0..50).map(|step| (f64::from(step), 1.0)).collect();
    assert!(matches!(fit(&flat), Err(CurveError::NotFalling { .. })));
    let accuracy: Vec<(f64, f64)> = (0..50)
        .map(|step| (f64::from(step), 0.1 + 0.01 * f64::from(step)))
        .collect();
    assert!(fit(&accuracy).unwrap_err().to_string().contains("accuracy"));
}

/// Tissue et al.'s and Luo et al.'s finding: a rate that is given up takes the loss below the law of a constant one.
#[test]
fn a_decay_to_come_lowers_the_loss_and_one_not_known_widens_it() {
    let points = noisy(1000, 0.02);
    let wsd: Vec<(f64, f64)> = (0..=200)
        .map(|i| 10.0 * f64::from(i))
        .map(|step| (step, ((2000.0 - step) / 400.0).clamp(0.0, 1.0)))
        .collect();
    let with = |rates: Vec<(f64, f64)>| {
        let plan = CurvePlan {
            learning_rates: rates,
            total_steps: Some(2000.0),
            ..CurvePlan::default()
        };
        let curve = LossCurve::fit(&points, &plan, 1).unwrap();
        (curve.knows_schedule(), curve.final_loss().unwrap())
    };
    let (stays, decays) = (with(constant(2000.0).learning_rates), with(wsd.clone()));
    let unknown = with(wsd.into_iter().filter(|rate| rate.0 <= 1000.0).collect());
    assert!(stays.0 && decays.0 && !unknown.0);
    assert!(decays.1.p50 < 0.98 * stays.1.p50, "{decays:?} {stays:?}");
    assert!(unknown.1.p10 < stays.1.p10 && unknown.1.p90 > decays.1.p50);
    // Rates so far that follow a cosine are continued.
    let cosine: Vec<(f64, f64)> = (0..=100)
        .map(|i| 10.0 * f64::from(i))
        .map(|step| {
            (
                step,
                0.5 + 0.5 * (std::f64::consts::PI * step / 2000.0).cos(),
            )
        })
        .collect();
    assert!(with(cosine).0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_points_give_ordered_ends_or_an_error(
        points in proptest::collection::vec((0.0f64..1000.0, prop_oneof![8 => 0.01f64..10.0, 1 => Just(f64::NAN), 1 => -1.0f64..1e9]), 0..80),
        sorted in any::<bool>(), total in 0.0f64..5000.0,
    ) {
        let mut points = points;
        if sorted {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            // Mostly falling.
            for (place, point) in points.iter_mut().enumerate() {
                point.1 = point.1.abs() / (1.0 + place as f64);
            }
        }
        let plan = CurvePlan { total_steps: Some(total), ..CurvePlan::default() };
        if let Ok(curve) = LossCurve::fit(&points, &plan, 1) {
            for step in [0.0, 1.0, 500.0, 1e4, 1e9] {
                prop_assert!(ordered(curve.at(step)), "{step}: {:?}", curve.at(step));
            }
            if let Some(end) = curve.final_loss() {
                prop_assert!(ordered(end) && end.p10 > 0.0);
            }
            let now = curve.now();
            let gain = curve.gain_between(now, 1.5 * now + 1.0);
            prop_assert!(ordered(gain) && gain.p90 <= 1.0);
        }
    }

    #[test]
    fn doubling_the_price_doubles_the_cost_to_come(price in 0.1f64..50.0, total in 100.0f64..1000.0) {
        let of = |price: f64| {
            let plan = ForecastPlan { total: Some(total), ..ForecastPlan::default() };
            Forecast::new(&metered(90, price), &plan, 1).total_usd.unwrap()
        };
        let (one, two) = (of(price), of(2.0 * price));
        prop_assert!((two.p50 / one.p50 - 2.0).abs() < 1e-9 && (two.p90 / one.p90 - 2.0).abs() < 1e-9);
    }

    #[test]
    fn any_samples_give_ordered_ends(
        samples in proptest::collection::vec((-1.0f64..1e4, -1.0f64..1e4, prop_oneof![Just(f64::NAN), 0.0f64..100.0]), 0..60),
        sorted in any::<bool>(), total in proptest::option::of(0.0f64..2e4),
    ) {
        let mut samples: Vec<Sample> = samples.into_iter().map(|(elapsed_s, done, usd)| Sample { elapsed_s, done, usd }).collect();
        if sorted {
            samples.sort_by(|a, b| a.elapsed_s.total_cmp(&b.elapsed_s));
        }
        let forecast = Forecast::new(&samples, &ForecastPlan { total, ..ForecastPlan::default() }, 1);
        for estimate in [forecast.total_s, forecast.remaining_s, forecast.s_per_unit].into_iter().flatten() {
            prop_assert!(ordered(estimate) && estimate.p10 >= 0.0, "{forecast:?}");
        }
        prop_assert_eq!(forecast.total_s.is_some(), total.is_some_and(|total| total > 0.0) && forecast.s_per_unit.is_some());
    }
}

/// A minute of compilation, then about a second a step, and an evaluation of 5 s each tenth step.
fn metered(steps: u32, usd_per_hour: f64) -> Vec<Sample> {
    let mut elapsed_s = 0.0;
    (0..=steps)
        .map(|step| {
            elapsed_s += match step {
                0 => 0.0,
                1 => 60.0,
                _ => {
                    0.9 + 0.2 * scattered(u64::from(step)) + if step % 10 == 0 { 5.0 } else { 0.0 }
                }
            };
            Sample {
                elapsed_s,
                done: f64::from(step),
                usd: elapsed_s * usd_per_hour / 3600.0,
            }
        })
        .collect()
}

#[test]
fn warm_up_and_pauses_do_not_mislead_the_forecast() {
    let truth = metered(1000, 3.0)[1000];
    for seen in [100, 250, 500] {
        let plan = ForecastPlan {
            total: Some(1000.0),
            ..ForecastPlan::default()
        };
        let forecast = Forecast::new(&metered(seen, 3.0), &plan, 1);
        let total = forecast.total_s.unwrap();
        assert!(
            (total.p50 / truth.elapsed_s - 1.0).abs() < 0.03,
            "{seen}: {total:?}"
        );
        assert!(
            total.p10 < truth.elapsed_s && truth.elapsed_s < total.p90,
            "{seen}: {total:?}"
        );
        assert!((forecast.total_usd.unwrap().p50 / truth.usd - 1.0).abs() < 0.03);
        assert_eq!(forecast.done_share, Some(f64::from(seen) / 1000.0));
    }
}

#[test]
fn a_meter_that_was_away_misses_nothing() {
    let whole = metered(500, 3.0);
    let holes: Vec<Sample> = whole
        .iter()
        .filter(|sample| sample.done < 200.0 || sample.done > 320.0)
        .copied()
        .collect();
    let plan = ForecastPlan {
        total: Some(1000.0),
        ..ForecastPlan::default()
    };
    let (one, other) = (
        Forecast::new(&whole, &plan, 1),
        Forecast::new(&holes, &plan, 1),
    );
    let ratio = one.total_s.unwrap().p50 / other.total_s.unwrap().p50;
    assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
}

#[test]
fn the_plan_decides_first_and_the_meter_later() {
    let plan = ForecastPlan {
        total: Some(1000.0),
        planned_s: Some(Estimate {
            p10: 1600.0,
            p50: 2000.0,
            p90: 2500.0,
        }),
        planned_usd: Some(Estimate {
            p10: 1.6,
            p50: 2.0,
            p90: 2.5,
        }),
        ..ForecastPlan::default()
    };
    let none = Forecast::new(&[], &plan, 1);
    assert_eq!((none.total_s.unwrap().p50, none.plan_weight), (2000.0, 1.0));
    assert_eq!(none.total_usd.unwrap().p50, 2.0);
    let weights: Vec<f64> = [3, 20, 100, 500]
        .iter()
        .map(|seen| Forecast::new(&metered(*seen, 3.0), &plan, 1).plan_weight)
        .collect();
    assert!(
        weights[0] > 0.5 && weights[3] < 0.05 && weights[1] > weights[3],
        "{weights:?}"
    );
    // Without a total there is no end to foresee.
    let endless = Forecast::new(&metered(100, 3.0), &ForecastPlan::default(), 1);
    assert!(
        endless.total_s.is_none() && endless.s_per_unit.is_some() && endless.done_share.is_none()
    );
}

#[test]
fn rules_are_read_and_written() {
    for (text, gain, per) in [
        ("gain < 0.1% per 10usd", 0.001, Per::Usd(10.0)),
        (" GAIN<1% per $2.5 ", 0.01, Per::Usd(2.5)),
        ("gain < 5% per 2 hours", 0.05, Per::Hours(2.0)),
        ("gain < 0.5% per 500 steps", 0.005, Per::Steps(500.0)),
        ("gain < 0.5% per usd", 0.005, Per::Usd(1.0)),
    ] {
        let rule = StopRule::parse(text).unwrap();
        assert!(
            (rule.gain - gain).abs() < 1e-12 && rule.per == per,
            "{text}: {rule:?}"
        );
        assert_eq!(StopRule::parse(&rule.to_string()).unwrap().per, rule.per);
    }
    let error = |text: &str| StopRule::parse(text).unwrap_err();
    assert!(matches!(error("loss < 2"), StopRuleError::Form(_)));
    assert!(matches!(error("gain < 0.1%"), StopRuleError::Form(_)));
    assert!(matches!(
        error("gain < 2 per 10usd"),
        StopRuleError::Gain(_)
    ));
    assert!(matches!(
        error("gain < 0% per 10usd"),
        StopRuleError::Gain(_)
    ));
    assert!(matches!(
        error("gain < 1% per 10 apples"),
        StopRuleError::Amount(_)
    ));
    assert!(matches!(
        error("gain < 1% per -3usd"),
        StopRuleError::Amount(_)
    ));
    assert!(error("gain < 1% per NaNusd").to_string().contains("10usd"));
}

#[test]
fn a_rule_is_met_by_a_flat_curve_and_not_by_noise_or_a_steep_one() {
    let rule = StopRule::parse("gain < 1% per 10usd").unwrap();
    // A cent a step: $10 is 1,000 steps.
    let met = |points: &[(f64, f64)], plan: &CurvePlan| {
        let curve = LossCurve::fit(points, plan, 1).unwrap();
        rule.met(&curve, Some(0.01), None, plan.total_steps)
    };
    let settled: Vec<(f64, f64)> = (1..=3000)
        .map(|step| (f64::from(step), 2.0 + 50.0 / f64::from(step).powf(1.5)))
        .collect();
    assert_eq!(met(&settled, &constant(10_000.0)), Some(true));
    assert_eq!(met(&noisy(300, 0.0), &constant(10_000.0)), Some(false));
    assert_eq!(met(&noisy(300, 0.5), &constant(10_000.0)), Some(false));
    // A rate that may still decay may still bring a gain.
    let open = CurvePlan {
        total_steps: Some(4000.0),
        ..CurvePlan::default()
    };
    assert_eq!(met(&settled, &open), Some(false));
    let curve = LossCurve::fit(&settled, &constant(10_000.0), 1).unwrap();
    assert_eq!(rule.met(&curve, None, Some(1.0), None), None);
    assert_eq!(rule.met(&curve, Some(f64::NAN), None, None), None);
}

#[test]
fn the_next_tenth_costs_its_steps_and_buys_the_curve() {
    let curve = LossCurve::fit(&noisy(500, 0.02), &constant(1000.0), 1).unwrap();
    let plan = ForecastPlan {
        total: Some(1000.0),
        ..ForecastPlan::default()
    };
    let forecast = Forecast::new(&metered(500, 3.0), &plan, 1);
    let next = worth(&curve, &forecast, 1000.0, 0.1).unwrap();
    assert_eq!(next.steps, 100.0);
    let usd = next.spend_usd.unwrap();
    assert!(
        (usd.p50 / (150.0 * 3.0 / 3600.0) - 1.0).abs() < 0.1,
        "{usd:?}"
    );
    let truth = 1.0 - law(600.0) / law(500.0);
    assert!(
        next.gain_relative.p10 < truth && truth < next.gain_relative.p90,
        "{next:?}, {truth}"
    );
    assert_eq!(worth(&curve, &forecast, 1000.0, 0.9).unwrap().steps, 500.0);
    assert!(worth(&curve, &forecast, 500.0, 0.1).is_none());
}
