//! `outlay trends`, imported price lists and projected prices.

use super::{folder, outlay, outlay_in, stderr, stdout};

#[test]
fn prices_fall_and_waiting_can_be_weighed() {
    let output = outlay(&["trends", "h100"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in ["H100-SXM", "Waiting three months saves", "PFLOP/s at peak"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let output = outlay(&["trends", "--tokens", "llama-3.1-70b", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let change = &answer["trends"][0]["yearly_change"];
    assert!(change["p10"].as_f64() <= change["p50"].as_f64());
    assert!(change["p50"].as_f64() < Some(0.0), "{answer}");
    for run in [&["trends"][..], &["trends", "--tokens"][..]] {
        let text = stdout(&outlay(run));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn a_plan_at_a_later_month_is_marked_as_a_projection() {
    let now = [
        "plan",
        "train",
        "llama-3.1-8b",
        "--tokens",
        "20B",
        "--gpus",
        "8xH100-SXM",
        "--json",
    ];
    let cost = |run: &[&str]| {
        let output = outlay(run);
        assert!(output.status.success(), "{}", stderr(&output));
        let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        answer["best"].clone()
    };
    let today = cost(&now);
    let later = cost(&[&now[..], &["--at", "2028-06"]].concat());
    let usd = |plan: &serde_json::Value, at: &str| plan["usd"][at].as_f64().unwrap();
    assert!(usd(&later, "p50") < usd(&today, "p50"));
    assert!(usd(&later, "p90") / usd(&later, "p10") > usd(&today, "p90") / usd(&today, "p10"));
    assert!(
        later["price_source"]
            .as_str()
            .unwrap()
            .starts_with("projected")
    );
    let shown = [&now[..7], &["--at", "2028-06", "--at", "FIN"]].concat();
    let text = stdout(&outlay(&shown)).replace('\n', " ");
    assert!(text.contains("projected to 2028-06-01"), "{text}");
    assert!(text.contains("not offers"), "{text}");
    for (at, what) in [
        ("2020-01", "after"),
        ("2028-13", "a month such as"),
        ("2099-01", "within ten years"),
    ] {
        let output = outlay(&[&now[..7], &["--at", at]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(what), "{}", stderr(&output));
    }
}

#[test]
fn budgets_and_tunings_are_projected_too() {
    let answer = |run: &str| -> serde_json::Value {
        let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{run}: {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let tuned = "plan finetune llama-3.1-8b --tokens 20M --gpu H100-SXM --json";
    let later = answer(&format!("{tuned} --at 2028-06"));
    assert!(
        later["best"]["usd"]["p50"].as_f64().unwrap()
            < answer(tuned)["best"]["usd"]["p50"].as_f64().unwrap()
    );
    assert!(
        later["best"]["price_source"]
            .as_str()
            .unwrap()
            .starts_with("projected")
    );
    // The same money buys more tokens of a model.
    let budget = "plan budget 5000usd --model llama-3.1-8b --gpus 8xH100-SXM --json";
    let tokens = |answer: &serde_json::Value| answer["best"]["tokens"].as_f64().unwrap();
    let later = answer(&format!("{budget} --at 2028-06"));
    assert!(tokens(&later) > 1.05 * tokens(&answer(budget)));
    assert!(
        later["notes"].to_string().contains("2028-06"),
        "{}",
        later["notes"]
    );
}

#[test]
fn an_import_keeps_its_day() {
    let here = folder("imports");
    let _ = std::fs::remove_dir_all(here.join(".outlay"));
    let list = "provider,instance,accelerator,count,usd_per_hour,pricing,region,as_of,source\n\
        ours,node,L4,1,0.9,on-demand,,,quote\n";
    std::fs::write(here.join("list.csv"), list).unwrap();
    for (day, price) in [("2025-01-01", "2.0"), ("2026-01-01", "1.0")] {
        std::fs::write(here.join("list.csv"), list.replace("0.9", price)).unwrap();
        let output = outlay_in(&here, &["prices", "--import", "list.csv", "--as-of", day]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            here.join(format!(".outlay/prices/{day}-offers.csv"))
                .exists()
        );
    }
    // The same list again is kept already; another of the same day stays beside the first.
    let again = ["prices", "--import", "list.csv", "--as-of", "2026-01-01"];
    assert!(stdout(&outlay_in(&here, &again)).contains("kept already"));
    std::fs::write(here.join("list.csv"), list.replace("0.9", "1.1")).unwrap();
    outlay_in(&here, &again);
    assert!(here.join(".outlay/prices/2026-01-01-offers-2.csv").exists());
    std::fs::remove_file(here.join(".outlay/prices/2026-01-01-offers-2.csv")).unwrap();
    let rate = |folder: &std::path::Path| {
        let text = stdout(&outlay_in(folder, &["trends", "l4", "--json"]));
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        answer["trends"][0]["yearly_change"]["p50"]
            .as_f64()
            .unwrap()
    };
    // A seller of ours whose price halves in a year draws the rate of L4 down.
    let (with, without) = (rate(&here), rate(&folder("no-imports")));
    assert!(with < without - 0.01, "{with} {without}");
    for (run, what) in [
        (
            &["prices", "--import", "list.csv", "--as-of", "2099-01-01"][..],
            "not after today",
        ),
        (
            &["prices", "--import", "list.csv", "--as-of", "2020-02-30"][..],
            "allowed: a day",
        ),
        (&["prices", "--import", "none.csv"][..], "none.csv"),
    ] {
        let output = outlay_in(&here, run);
        assert!(!output.status.success());
        assert!(stderr(&output).contains(what), "{}", stderr(&output));
    }
}
