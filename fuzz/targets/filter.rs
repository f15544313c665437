//! The grammar of MLflow's searches.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay_server::mlflow::filter;

fuzz_target!(|text: &str| {
    let _ = filter::parse_runs_filter(text);
    let _ = filter::parse_runs_order_by(&[text.to_owned()]);
    let _ = filter::parse_experiments_filter(text);
    let _ = filter::parse_registered_models_filter(text);
    let _ = filter::parse_model_versions_filter(text);
    let _ = filter::parse_logged_models_filter(text);
});
