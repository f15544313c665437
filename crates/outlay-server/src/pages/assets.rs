//! Style sheets and scripts, each under a name that holds its hash, so that browsers may keep it for good.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Our own files.
const FILES: &[(&str, &str)] = &[
    ("icon.svg", include_str!("../../assets/icon.svg")),
    ("base.css", include_str!("../../assets/base.css")),
    ("base.js", include_str!("../../assets/base.js")),
    ("chart.js", include_str!("../../assets/chart.js")),
    ("compare.js", include_str!("../../assets/compare.js")),
    ("run.js", include_str!("../../assets/run.js")),
    ("runs.css", include_str!("../../assets/runs.css")),
    ("runs.js", include_str!("../../assets/runs.js")),
    (
        "runs-columns.js",
        include_str!("../../assets/runs-columns.js"),
    ),
    ("runs-rows.js", include_str!("../../assets/runs-rows.js")),
    ("sketch.js", include_str!("../../assets/sketch.js")),
    ("statements.js", include_str!("../../assets/statements.js")),
    ("live.js", include_str!("../../assets/live.js")),
    ("theme.js", include_str!("../../assets/theme.js")),
    ("plan.css", include_str!("../../assets/plan.css")),
    ("plan.js", include_str!("../../assets/plan.js")),
    ("prices.js", include_str!("../../assets/prices.js")),
];

/// The charts' library, packed when this was built.
const PLOTLY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plotly.js.gz"));

/// The charts' library, for pages that stand on their own.
///
/// # Errors
/// Where it cannot be unpacked, which only a broken build could bring about.
pub fn charts_library() -> std::io::Result<String> {
    let mut script = String::new();
    GzDecoder::new(PLOTLY).read_to_string(&mut script)?;
    Ok(script)
}

#[derive(Debug)]
struct Asset {
    kind: &'static str,
    packed: Vec<u8>,
}

#[derive(Debug, Default)]
struct Assets {
    /// The hashed name of each file.
    names: BTreeMap<&'static str, String>,
    /// Each file, by its hashed name.
    files: BTreeMap<String, Asset>,
}

impl Assets {
    fn add(&mut self, name: &'static str, packed: Vec<u8>) {
        let hash = outlay_ledger::hex(&Sha256::digest(&packed)[..8]);
        let (stem, end) = name.split_once('.').unwrap_or((name, ""));
        let kind = match end {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        let hashed = format!("{stem}.{hash}.{end}");
        self.names.insert(name, hashed.clone());
        self.files.insert(hashed, Asset { kind, packed });
    }
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut assets = Assets::default();
    for (name, text) in FILES {
        assets.add(name, packed(text.as_bytes()).unwrap_or_default());
    }
    assets.add("plotly.js", PLOTLY.to_vec());
    assets
});

fn packed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes)?;
    out.finish()
}

/// The address of a file.
#[must_use]
pub fn address(name: &str) -> String {
    let hashed = ASSETS.names.get(name).map_or(name, String::as_str);
    format!("/assets/{hashed}")
}

/// Whether a client takes packed bodies.
fn takes_packed(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING);
    accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight
                .replace(' ', "")
                .strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0));
            matches!(name.trim(), "gzip" | "*") && !refused
        })
}

pub async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.files.get(&name) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let always = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if takes_packed(&headers) {
        let coding = [(header::CONTENT_ENCODING, "gzip")];
        return (always, coding, asset.packed.as_slice()).into_response();
    }
    let mut plain = Vec::new();
    match GzDecoder::new(asset.packed.as_slice()).read_to_end(&mut plain) {
        Ok(_) => (always, plain).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
