//! scratch
use outlay_plan::serving::*;
use std::collections::BTreeMap;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mode = args[1].as_str();
    let text = std::fs::read_to_string("/work/shared/reference/serving_measured.csv").unwrap();
    let rows = read_serving(&text, "x").unwrap();
    let mut models = ServingModels::default();
    let mut cases = vec![];
    for row in &rows {
        match ServingCase::new(row, &mut models) {
            Ok(c) => cases.push(c),
            Err(e) => eprintln!("{} {e}", row.id),
        }
    }
    let refs: Vec<&ServingCase> = cases.iter().collect();
    let start: Option<BTreeMap<String, f64>> = args
        .get(3)
        .map(|f| toml::from_str(&std::fs::read_to_string(f).unwrap()).unwrap());
    let rounds: usize = std::env::var("ROUNDS")
        .ok()
        .and_then(|x| x.parse().ok())
        .unwrap_or(12);
    if mode == "sens" {
        let base = start.clone().unwrap();
        let ids = std::fs::read_to_string("/tmp/sens.ids").unwrap();
        for c in cases.iter().filter(|c| ids.lines().any(|l| l == c.id)) {
            let at = |k: &BTreeMap<String, f64>| {
                let o = c.predict(&ServingConstants::resolve(
                    k,
                    &c.accelerator.generation,
                    c.engine,
                ));
                (o.ttft_s.mean * 1e3, o.tpot_s.mean * 1e3)
            };
            let (t0, p0) = at(&base);
            println!(
                "{} ttft {:.0}/{:.0} tpot {:.2}/{:.2}",
                c.id,
                t0,
                c.ttft_s.unwrap() * 1e3,
                p0,
                c.tpot_s.unwrap() * 1e3
            );
            let mut v = vec![];
            for d in SERVING_CONSTANTS {
                let mut k = base.clone();
                let e = k.entry(d.name.to_string()).or_insert(d.prior);
                *e *= 1.05;
                let (t, p) = at(&k);
                v.push((
                    d.name,
                    (p / p0).ln() / 1.05f64.ln(),
                    (t / t0).ln() / 1.05f64.ln(),
                ));
            }
            v.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
            println!(
                "   tpot {}",
                v.iter()
                    .filter(|x| x.1.abs() > 0.02)
                    .map(|x| format!("{} {:.2}", x.0, x.1))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            v.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
            println!(
                "   ttft {}",
                v.iter()
                    .filter(|x| x.2.abs() > 0.02)
                    .map(|x| format!("{} {:.2}", x.0, x.2))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        }
        return;
    }
    if mode == "time" {
        let k = start.clone().unwrap();
        let (mut b, mut s) = (0.0, 0.0);
        let mut worst = vec![];
        for c in &cases {
            let kk = ServingConstants::resolve(&k, &c.accelerator.generation, c.engine);
            let t = std::time::Instant::now();
            let _ = std::hint::black_box(PassTimes::new(&c.deployment(), &kk));
            let x = t.elapsed().as_secs_f64() * 1e6;
            let t = std::time::Instant::now();
            let _ = std::hint::black_box(c.predict(&kk));
            let y = t.elapsed().as_secs_f64() * 1e6;
            b += x;
            s += y;
            worst.push((y as u64, c.load.concurrency, c.id.clone()));
        }
        worst.sort();
        println!("build {:.0} us, all {:.0} us", b / 2199.0, s / 2199.0);
        for w in worst.iter().rev().step_by(150) {
            println!("{w:?}");
        }
        return;
    }
    let t = std::time::Instant::now();
    let out: Vec<Outcome> = if mode == "cv" {
        let folds: Vec<String> = cases.iter().map(|c| c.group.clone()).collect();
        cross_validate_serving(&refs, &folds, rounds, start.as_ref())
    } else {
        let k = match mode {
            "fit" => fit_serving(&refs, rounds, start.as_ref()),
            _ => start.clone().unwrap_or_default(),
        };
        if mode == "fit" {
            std::fs::write(&args[2], toml::to_string(&k).unwrap()).unwrap();
        }
        let t = std::time::Instant::now();
        let o = refs
            .iter()
            .map(|c| {
                c.predict(&ServingConstants::resolve(
                    &k,
                    &c.accelerator.generation,
                    c.engine,
                ))
            })
            .collect();
        eprintln!("{:?} per estimate", t.elapsed() / refs.len() as u32);
        o
    };
    eprintln!("{:?}", t.elapsed());
    let mut f = String::from("id,p_ttft,p_tpot,batch\n");
    for (c, o) in cases.iter().zip(&out) {
        f.push_str(&format!(
            "{},{},{},{}\n",
            c.id,
            o.ttft_s.mean * 1e3,
            o.tpot_s.mean * 1e3,
            o.mean_batch
        ));
    }
    std::fs::write(format!("/tmp/serve_{mode}.csv"), f).unwrap();
}
