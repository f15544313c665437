//! One file for each command.

pub mod audit;
pub mod bill;
pub mod budget;
pub mod calibrate;
pub mod compare;
mod exports;
pub mod hardware;
pub mod import;
pub mod init;
pub mod ledger;
pub mod models;
mod offers;
pub mod plan_budget;
pub mod plan_finetune;
pub mod plan_lifecycle;
mod plan_picture;
pub mod plan_rl;
pub mod plan_serve;
pub mod plan_train;
pub mod prices;
pub mod run;
mod serve_batched;
mod serve_picture;
mod serve_show;
pub mod server;
mod serving_runs;
mod train_show;
pub mod trends;
pub mod validate;

use std::path::Path;

use outlay_plan::Calibration;

use crate::failure::{Failure, read_text};

/// The constants to use: a person's file, or those that ship with Outlay.
pub fn calibration(path: Option<&Path>) -> Result<Calibration, Failure> {
    match path {
        None => Ok(Calibration::built_in()),
        Some(path) => Calibration::from_toml(&read_text(path)?)
            .map_err(|message| Failure::input(format!("{}: {message}", path.display()))),
    }
}
