//! Pictures: points over two logarithmic axes with panels of bars below, as SVG, PNG or a page.

mod page;

use std::path::Path;

use plotters::prelude::*;

use crate::failure::{Failure, write_whole};

/// One point, with what it is.
pub struct Point {
    /// Across.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// From p10 to p90 across, where it is a prediction.
    pub x_range: Option<(f64, f64)>,
    /// Which series it belongs to, an index into the names.
    pub series: usize,
    /// Text beside it.
    pub label: Option<String>,
}

/// A picture of points.
pub struct Picture<'a> {
    /// Title.
    pub title: &'a str,
    /// What is across, with its unit.
    pub x_name: &'a str,
    /// What is upwards, with its unit.
    pub y_name: &'a str,
    /// Names of the series.
    pub series: &'a [String],
    /// The points; all coordinates are more than zero.
    pub points: &'a [Point],
    /// Whether each series is drawn as a line through its points, in their order.
    pub joined: bool,
    /// Whether to draw the line where both are equal.
    pub diagonal: bool,
    /// Marks across, where those of a logarithmic axis are of no use: years, as their exponentials.
    pub x_marks: Option<&'a [f64]>,
    /// How to write a number across, and upwards.
    pub x_text: fn(f64) -> String,
    /// See `x_text`.
    pub y_text: fn(f64) -> String,
    /// Drawn below, one after another.
    pub panels: &'a [Panel],
}

/// Bars, one below the other, over one linear axis that begins at zero.
pub struct Panel {
    /// What they show.
    pub title: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// A line across all bars: a capacity, or the cost of the plan as it is.
    pub limit: Option<f64>,
}

/// One bar.
pub struct Bar {
    /// What it is.
    pub name: String,
    /// Where it begins; a waterfall's bars hang in the air.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Its value, as text.
    pub text: String,
}

/// Width of a picture, in pixels.
const WIDTH: u32 = 880;
/// Height of the points' part.
const POINTS_HEIGHT: u32 = 600;
/// Height of a bar with the gap below it.
const BAR_HEIGHT: i32 = 24;
/// Where bars begin: names stand to the left.
const BAR_LEFT: i32 = 330;
/// Where bars end at most: values stand to the right.
const BAR_RIGHT: i32 = 770;

impl Panel {
    fn height(&self) -> u32 {
        64 + BAR_HEIGHT as u32 * self.bars.len() as u32
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        B::ErrorType: 'static,
    {
        let most = self
            .bars
            .iter()
            .flat_map(|bar| [bar.from, bar.to])
            .chain(self.limit)
            .fold(0.0f64, f64::max);
        if most <= 0.0 {
            return Ok(());
        }
        let across =
            |value: f64| BAR_LEFT + (value / most * f64::from(BAR_RIGHT - BAR_LEFT)).round() as i32;
        area.draw_text(
            &self.title,
            &("sans-serif", 17).into_text_style(area),
            (24, 12),
        )?;
        let text = ("sans-serif", 13).into_text_style(area);
        for (index, bar) in self.bars.iter().enumerate() {
            let top = 44 + BAR_HEIGHT * index as i32;
            let (low, high) = (bar.from.min(bar.to), bar.from.max(bar.to));
            // Long names are cut: 50 letters of 13 pixels fit.
            let name: String = if bar.name.chars().count() > 50 {
                bar.name.chars().take(49).chain(['…']).collect()
            } else {
                bar.name.clone()
            };
            area.draw_text(&name, &text, (24, top + 2))?;
            area.draw(&Rectangle::new(
                [(across(low), top), (across(high), top + BAR_HEIGHT - 7)],
                COLOURS[0].mix(0.7).filled(),
            ))?;
            area.draw_text(
                &bar.text,
                &text,
                (across(high.max(self.limit.unwrap_or(0.0))) + 8, top + 2),
            )?;
        }
        if let Some(limit) = self.limit {
            let bottom = 40 + BAR_HEIGHT * self.bars.len() as i32;
            area.draw(&PathElement::new(
                vec![(across(limit), 38), (across(limit), bottom)],
                COLOURS[1].stroke_width(2),
            ))?;
        }
        Ok(())
    }
}

/// Colours that stay apart for colour-blind readers (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Least and most of some values, with a little room around.
fn limits(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, 0.0f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    (least / 1.25, most * 1.25)
}

/// Renders an SVG at twice its size, with the fonts of the machine.
fn png(svg: &str) -> Result<Vec<u8>, Failure> {
    const SCALE: f32 = 2.0;
    let failed = |why: String| Failure::outside(format!("--plot: {why}"));
    let mut options = resvg::usvg::Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_system_fonts();
    // What `sans-serif` means is not always said by the machine.
    let family = [
        "DejaVu Sans",
        "Liberation Sans",
        "Noto Sans",
        "Helvetica",
        "Arial",
    ]
    .into_iter()
    .find(|family| {
        fonts
            .faces()
            .any(|face| face.families.iter().any(|(name, _)| name == family))
    })
    .map(str::to_owned)
    .or_else(|| Some(fonts.faces().next()?.families.first()?.0.clone()));
    let Some(family) = family else {
        return Err(failed("this machine has no font to write with".to_owned())
            .hint("write an .svg or .html file, or install a font such as DejaVu Sans"));
    };
    fonts.set_sans_serif_family(family);
    let tree =
        resvg::usvg::Tree::from_str(svg, &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size();
    let mut pixels = resvg::tiny_skia::Pixmap::new(
        (size.width() * SCALE).ceil() as u32,
        (size.height() * SCALE).ceil() as u32,
    )
    .ok_or_else(|| failed("the picture is too large".to_owned()))?;
    resvg::render(
        &tree,
        resvg::tiny_skia::Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|error| failed(error.to_string()))
}

/// Marks of a logarithmic axis: powers of ten, with 2 and 5 between them where there are few, or round steps where the axis
/// is shorter than that.
fn marks(least: f64, most: f64) -> Vec<f64> {
    let powers = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let of = |digits: &[f64]| -> Vec<f64> {
        powers
            .clone()
            .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
            .filter(|mark| (least..=most).contains(mark))
            .collect()
    };
    let sparse = of(&[1.0]);
    if sparse.len() >= 4 {
        return sparse;
    }
    let dense = of(&[1.0, 2.0, 5.0]);
    if dense.len() >= 3 {
        return dense;
    }
    let rough = (most - least) / 5.0;
    let power = 10f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let first = (least / step).ceil() as i64;
    let last = (most / step).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

impl Picture<'_> {
    /// Writes the picture to a file; its name says the format.
    ///
    /// # Errors
    /// Another ending than `.svg`, `.png` or `.html`, no font on the machine for a `.png`, nothing to draw, or a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !matches!(ending, Some("svg" | "png" | "html")) {
            return Err(Failure::input(format!(
                "--plot `{}`: allowed: names that end in .svg, .png or .html",
                path.display()
            )));
        }
        if self.points.is_empty() {
            return Err(Failure::input("--plot: there is nothing to draw"));
        }
        let svg = self
            .draw()
            .map_err(|error| Failure::outside(format!("--plot: {error}")))?;
        if ending == Some("png") {
            return write_whole(path, png(&svg)?);
        }
        let text = if ending == Some("html") {
            page::page(self, &svg)?
        } else {
            svg
        };
        write_whole(path, text)
    }

    fn draw(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut svg = String::new();
        {
            let panels_height: u32 = self.panels.iter().map(Panel::height).sum();
            let whole = SVGBackend::with_string(&mut svg, (WIDTH, POINTS_HEIGHT + panels_height))
                .into_drawing_area();
            whole.fill(&WHITE)?;
            let (area, mut below) = whole.split_vertically(POINTS_HEIGHT);
            for panel in self.panels {
                let (here, rest) = below.split_vertically(panel.height());
                panel.draw(&here)?;
                below = rest;
            }
            let xs = self.points.iter().flat_map(|point| {
                let (low, high) = point.x_range.unwrap_or((point.x, point.x));
                [point.x, low, high]
            });
            let (mut x_least, mut x_most) = limits(xs);
            let (mut y_least, mut y_most) = limits(self.points.iter().map(|point| point.y));
            if self.points.iter().any(|point| point.label.is_some()) {
                // Room for the text beside the last point.
                x_most *= 1.3;
            }
            if self.x_marks.is_some() && self.series.len() > 1 {
                // Room above for the names: what is drawn against time reaches every corner.
                let names = 0.06 * self.series.len() as f64;
                y_most *= (y_most / y_least).powf(names / (1.0 - names));
            }
            if self.diagonal {
                x_least = x_least.min(y_least);
                y_least = x_least;
                x_most = x_most.max(y_most);
                y_most = x_most;
            }
            let mut chart = ChartBuilder::on(&area)
                .caption(self.title, ("sans-serif", 20))
                .margin(16)
                .x_label_area_size(48)
                .y_label_area_size(84)
                .build_cartesian_2d(
                    (x_least..x_most)
                        .log_scale()
                        .with_key_points(self.x_marks.map_or_else(
                            || marks(x_least, x_most),
                            |marks| {
                                let inside = |mark: &f64| (x_least..=x_most).contains(mark);
                                marks.iter().copied().filter(inside).collect()
                            },
                        )),
                    (y_least..y_most)
                        .log_scale()
                        .with_key_points(marks(y_least, y_most)),
                )?;
            chart
                .configure_mesh()
                .x_labels(self.x_marks.map_or(5, <[f64]>::len))
                .y_labels(8)
                .x_desc(self.x_name)
                .y_desc(self.y_name)
                .x_label_formatter(&|value| (self.x_text)(*value))
                .y_label_formatter(&|value| (self.y_text)(*value))
                .label_style(("sans-serif", 14))
                .axis_desc_style(("sans-serif", 15))
                .bold_line_style(BLACK.mix(0.12))
                .light_line_style(TRANSPARENT)
                .draw()?;
            if self.diagonal {
                chart.draw_series(std::iter::once(PathElement::new(
                    vec![(x_least, x_least), (x_most, x_most)],
                    BLACK.mix(0.5),
                )))?;
            }
            for (index, name) in self.series.iter().enumerate() {
                let colour = COLOURS[index % COLOURS.len()];
                let members = || {
                    self.points
                        .iter()
                        .filter(move |point| point.series == index)
                };
                chart.draw_series(members().filter_map(|point| {
                    let (low, high) = point.x_range?;
                    Some(PathElement::new(
                        vec![(low, point.y), (high, point.y)],
                        colour.mix(0.45).stroke_width(2),
                    ))
                }))?;
                if self.joined {
                    chart.draw_series(std::iter::once(PathElement::new(
                        members()
                            .map(|point| (point.x, point.y))
                            .collect::<Vec<_>>(),
                        colour.stroke_width(2),
                    )))?;
                }
                let alone = members().count() < 2;
                let size = if self.joined && !alone { 0 } else { 4 };
                chart
                    .draw_series(members().map(|point| {
                        Circle::new((point.x, point.y), size, colour.mix(0.7).filled())
                    }))?
                    .label(name.as_str())
                    .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
            }
            chart.draw_series(self.points.iter().filter_map(|point| {
                let label = point.label.clone()?;
                Some(
                    EmptyElement::at((point.x, point.y))
                        + Text::new(label, (8, -14), ("sans-serif", 13)),
                )
            }))?;
            if self.series.len() > 1 {
                chart
                    .configure_series_labels()
                    .position(if self.diagonal || self.joined {
                        SeriesLabelPosition::UpperLeft
                    } else {
                        SeriesLabelPosition::UpperRight
                    })
                    .background_style(WHITE.mix(0.85))
                    .border_style(BLACK.mix(0.2))
                    .label_font(("sans-serif", 14))
                    .draw()?;
            }
            whole.present()?;
        }
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_has_marks() {
        assert_eq!(marks(0.5, 3e4), [1.0, 10.0, 100.0, 1e3, 1e4]);
        assert_eq!(marks(30.0, 700.0), [50.0, 100.0, 200.0, 500.0]);
        assert_eq!(marks(18.0, 30.0), [20.0, 25.0, 30.0]);
        for least in [1e-3, 0.7, 22.0, 9.9e5] {
            for ratio in [1.5, 3.0, 40.0, 1e5] {
                let marks = marks(least, least * ratio);
                assert!((2..10).contains(&marks.len()), "{least} {ratio} {marks:?}");
            }
        }
    }

    #[test]
    fn an_svg_becomes_a_png_of_twice_its_size() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><text y='15' font-family='sans-serif'>x</text></svg>";
        let image = match png(svg) {
            Ok(image) => image,
            Err(failure) => {
                // Skipped on a machine without fonts, which says so.
                failure.report();
                return;
            }
        };
        assert!(image.starts_with(b"\x89PNG\r\n\x1a\n"));
        // Width and height stand in the first chunk.
        let number = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), (80, 40));
        // The letter is there: an empty picture packs into less.
        let blank = png(&svg.replace(">x<", "><")).unwrap();
        assert!(image.len() > blank.len());
    }

    #[test]
    fn points_stand_where_they_belong() {
        let point = |x: f64, y: f64| Point {
            x,
            y,
            x_range: Some((x / 2.0, x * 2.0)),
            series: 0,
            label: Some(format!("at {x}")),
        };
        let points = [point(1.0, 1.0), point(100.0, 10.0)];
        let picture = Picture {
            title: "Two points",
            x_name: "x",
            y_name: "y",
            series: &["one".to_owned()],
            points: &points,
            joined: false,
            diagonal: false,
            x_marks: None,
            x_text: |value| value.to_string(),
            y_text: |value| value.to_string(),
            panels: &[Panel {
                title: "Bars".to_owned(),
                bars: [(0.0, 4.0), (2.0, 4.0)]
                    .map(|(from, to)| Bar {
                        name: "a bar".to_owned(),
                        from,
                        to,
                        text: to.to_string(),
                    })
                    .into(),
                limit: Some(8.0),
            }],
        };
        let svg = picture.draw().unwrap();
        let circles: Vec<(f64, f64)> = svg
            .lines()
            .filter(|line| line.contains("<circle"))
            .map(|line| {
                let number = |name: &str| {
                    let start = line.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
                    line[start..].split('"').next().unwrap().parse().unwrap()
                };
                (number("cx"), number("cy"))
            })
            .collect();
        assert_eq!(circles.len(), 2, "{svg}");
        // The second is to the right of the first, and above it.
        assert!(circles[1].0 > circles[0].0 && circles[1].1 < circles[0].1);
        assert!(svg.contains("at 100") && svg.contains("Two points"));
        // A bar of half the limit is half as wide as there is room, one of a quarter half of that and further right.
        assert!(svg.contains(r#"x="330" y="644" width="220""#), "{svg}");
        assert!(svg.contains(r#"x="440" y="668" width="110""#), "{svg}");
    }
}
