//! Packs the script of the charts, which a crate carries, so that the binary holds it small and once.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    // The crate gives its scripts as two elements: the charts, and formulas, which no page has.
    let elements = plotly::Plot::offline_js_sources();
    let begin = elements.find('>').ok_or("no script")? + 1;
    let end = elements.find("</script>").ok_or("no end of the script")?;
    let script = &elements[begin..end];
    if !script.contains("plotly.js v") {
        return Err("the first script is not that of the charts".into());
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("plotly.js.gz");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(script.as_bytes())?;
    std::fs::write(out, packed.finish()?)?;
    Ok(())
}
