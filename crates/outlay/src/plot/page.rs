//! A picture as a page that can be zoomed and read point by point: the charts' library stands in it, so that it needs no
//! network; where scripts are off, the drawing is shown.

use serde_json::{Value, json};

use super::{Panel, Picture};
use crate::failure::Failure;

/// A series' colour, as the drawing has it.
fn colour(series: usize) -> String {
    let colour = super::COLOURS[series % super::COLOURS.len()];
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

/// Text that stands in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text that the charts' library does not take for markup of its own.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The page.
///
/// # Errors
/// Where the library cannot be unpacked.
pub fn page(picture: &Picture<'_>, svg: &str) -> Result<String, Failure> {
    let library = outlay_server::pages::charts_library()
        .map_err(|error| Failure::outside(format!("--plot: {error}")))?;
    let mut figures = vec![points(picture)];
    figures.extend(picture.panels.iter().map(bars));
    // No text may end the element that it stands in.
    let figures = Value::Array(figures).to_string().replace('<', "\\u003c");
    let title = escaped(picture.title);
    Ok(format!(
        "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a; background: #fff }}
h1 {{ font-size: 1.2rem }}
noscript svg {{ max-width: 100%; height: auto }}
</style>
<body>
<h1>{title}</h1>
<noscript>{svg}</noscript>
<main id=\"figures\"></main>
<script type=\"application/json\" id=\"data\">{figures}</script>
<script>{library}</script>
<script>
for (const [index, figure] of JSON.parse(document.getElementById('data').textContent).entries()) {{
  const place = document.getElementById('figures').appendChild(document.createElement('section'));
  place.setAttribute('aria-label', figure.name);
  place.id = `figure-${{index}}`;
  Plotly.newPlot(place, figure.data, figure.layout, {{responsive: true, displaylogo: false}});
}}
</script>
</body>
</html>
"
    ))
}

/// Points over two logarithmic axes.
fn points(picture: &Picture<'_>) -> Value {
    let mut data: Vec<Value> = picture
        .series
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let members = || {
                picture
                    .points
                    .iter()
                    .filter(move |point| point.series == index)
            };
            let said: Vec<String> = members()
                .map(|point| {
                    let label = point.label.as_deref().unwrap_or_default();
                    let at = format!(
                        "{}, {}",
                        (picture.x_text)(point.x),
                        (picture.y_text)(point.y)
                    );
                    let range = point.x_range.map_or_else(String::new, |(low, high)| {
                        format!(" ({} to {})", (picture.x_text)(low), (picture.x_text)(high))
                    });
                    plain(&format!(
                        "{}{at}{range}",
                        if label.is_empty() {
                            String::new()
                        } else {
                            format!("{label}: ")
                        }
                    ))
                })
                .collect();
            let ranged = members().any(|point| point.x_range.is_some());
            let beyond = |end: fn(f64, (f64, f64)) -> f64| -> Vec<f64> {
                members()
                    .map(|point| point.x_range.map_or(0.0, |range| end(point.x, range)))
                    .collect()
            };
            let mut trace = json!({
                "type": "scatter",
                "mode": if picture.joined && members().count() > 1 { "lines" } else { "markers" },
                "name": plain(name),
                "x": members().map(|point| point.x).collect::<Vec<_>>(),
                "y": members().map(|point| point.y).collect::<Vec<_>>(),
                "text": said,
                "hoverinfo": "text+name",
                "marker": {"color": colour(index), "size": 9, "opacity": 0.8},
                "line": {"color": colour(index)},
            });
            if ranged {
                trace["error_x"] = json!({
                    "type": "data",
                    "symmetric": false,
                    "array": beyond(|x, (_, high)| high - x),
                    "arrayminus": beyond(|x, (low, _)| x - low),
                    "thickness": 1,
                    "width": 0,
                });
            }
            trace
        })
        .collect();
    if picture.diagonal {
        let all = || picture.points.iter().flat_map(|point| [point.x, point.y]);
        let ends = [
            all().fold(f64::INFINITY, f64::min),
            all().fold(0.0, f64::max),
        ];
        data.push(json!({
            "type": "scatter", "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip", "showlegend": false,
            "line": {"color": "#888", "width": 1},
        }));
    }
    let axis = |name: &str, values: Vec<f64>, marks: Option<&[f64]>, text: fn(f64) -> String| {
        let (least, most) = super::limits(values.into_iter());
        let marks: Vec<f64> = marks.map_or_else(
            || super::marks(least, most),
            |marks| {
                marks
                    .iter()
                    .copied()
                    .filter(|mark| (least..=most).contains(mark))
                    .collect()
            },
        );
        json!({
            "type": "log",
            "title": {"text": plain(name)},
            "range": [least.log10(), most.log10()],
            "tickvals": marks,
            "ticktext": marks.iter().map(|mark| text(*mark)).collect::<Vec<_>>(),
        })
    };
    let labels: Vec<Value> = picture
        .points
        .iter()
        .filter_map(|point| {
            Some(json!({
                "x": point.x.log10(), "y": point.y.log10(), "text": plain(point.label.as_deref()?),
                "showarrow": false, "xanchor": "left", "xshift": 8, "yshift": 10,
            }))
        })
        .collect();
    let xs = picture.points.iter().flat_map(|point| {
        let (low, high) = point.x_range.unwrap_or((point.x, point.x));
        [point.x, low, high]
    });
    json!({
        "name": picture.title,
        "data": data,
        "layout": {
            "margin": {"t": 40},
            "height": 600,
            "xaxis": axis(picture.x_name, xs.collect(), picture.x_marks, picture.x_text),
            "yaxis": axis(picture.y_name, picture.points.iter().map(|point| point.y).collect(), None, picture.y_text),
            "annotations": labels,
            "hovermode": "closest",
            "legend": {"orientation": "h", "y": -0.15},
        },
    })
}

/// Bars over one linear axis.
fn bars(panel: &Panel) -> Value {
    let names: Vec<String> = panel.bars.iter().map(|bar| plain(&bar.name)).collect();
    let mut shapes = Vec::new();
    if let Some(limit) = panel.limit {
        shapes.push(json!({
            "type": "line", "x0": limit, "x1": limit, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"color": colour(1), "width": 2},
        }));
    }
    json!({
        "name": panel.title,
        "data": [{
            "type": "bar",
            "orientation": "h",
            "y": names,
            "base": panel.bars.iter().map(|bar| bar.from.min(bar.to)).collect::<Vec<_>>(),
            "x": panel.bars.iter().map(|bar| (bar.to - bar.from).abs()).collect::<Vec<_>>(),
            "text": panel.bars.iter().map(|bar| plain(&bar.text)).collect::<Vec<_>>(),
            "textposition": "outside",
            "cliponaxis": false,
            "hoverinfo": "y+text",
            "marker": {"color": colour(0), "opacity": 0.8},
        }],
        "layout": {
            "title": {"text": plain(&panel.title)},
            "height": 130 + 34 * panel.bars.len(),
            "xaxis": {"rangemode": "tozero", "showticklabels": false, "zeroline": true},
            "yaxis": {"autorange": "reversed", "automargin": true, "type": "category"},
            "margin": {"r": 110},
            "shapes": shapes,
        },
    })
}
