//! Plots as SVG files.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    prelude::{
        BLACK, ChartBuilder, IntoDrawingArea as _, IntoLogRange as _, LineSeries, Palette,
        Palette99, PathElement, SVGBackend, SeriesLabelPosition, WHITE,
    },
    style::Color as _,
};

/// What a plot's size is.
const SIZE: (u32, u32) = (720, 400);

/// A line of a plot, with its name.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its points, from the left.
    pub points: Vec<(f64, f64)>,
}

/// A plot with its title and what its axes show.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// The title.
    pub title: &'a str,
    /// What is at the bottom.
    pub x: &'a str,
    /// What is at the left.
    pub y: &'a str,
    /// Whether the axes are logarithmic: at the bottom, and at the left.
    pub is_log: (bool, bool),
}

fn range(lines: &[Line], of: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| line.points.iter()).map(of);
    values
        .filter(|value| value.is_finite())
        .fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        })
}

/// Draws it. A macro and not a function, because each kind of axis is another type.
macro_rules! draw {
    ($area:expr, $plot:expr, $lines:expr, $x:expr, $y:expr) => {{
        let (area, plot) = ($area, $plot);
        let failed = |error: &dyn std::fmt::Display| anyhow!("drawing {:?}: {error}", plot.title);
        let mut chart = ChartBuilder::on(area)
            .caption(plot.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d($x, $y)
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .x_desc(plot.x)
            .y_desc(plot.y)
            .draw()
            .map_err(|error| failed(&error))?;
        for (number, line) in $lines.iter().enumerate() {
            let colour = Palette99::pick(number).to_rgba();
            let points = line.points.iter().copied().filter(|(_, y)| y.is_finite());
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))
                .map_err(|error| failed(&error))?
                .label(line.name.as_str())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()
            .map_err(|error| failed(&error))?;
    }};
}

/// Writes a plot of these lines.
pub fn write(file: &Path, plot: Plot<'_>, lines: &[Line]) -> Result<()> {
    let backend = SVGBackend::new(file, SIZE);
    let area = backend.into_drawing_area();
    area.fill(&WHITE)
        .map_err(|error| anyhow!("writing {}: {error}", file.display()))?;
    let ((left, right), (low, high)) =
        (range(lines, |point| point.0), range(lines, |point| point.1));
    match plot.is_log {
        (true, true) => draw!(
            &area,
            plot,
            lines,
            (left..right).log_scale(),
            (low * 0.8..high * 1.3).log_scale()
        ),
        (true, false) => draw!(
            &area,
            plot,
            lines,
            (left..right).log_scale(),
            0.0..high * 1.15
        ),
        (false, _) => draw!(
            &area,
            plot,
            lines,
            left..right,
            0.0..(high * 1.15).max(0.01)
        ),
    }
    area.present()
        .map_err(|error| anyhow!("writing {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_with_their_names() {
        let file = std::env::temp_dir().join(format!("moim-plot-{}.svg", std::process::id()));
        for is_log in [(false, false), (true, false), (true, true)] {
            let plot = Plot {
                title: "Members",
                x: "members",
                y: "bytes",
                is_log,
            };
            let points = vec![(10.0, 3.0), (100.0, 40.0), (1_000.0, f64::INFINITY)];
            write(
                &file,
                plot,
                &[Line {
                    name: "a line".to_owned(),
                    points,
                }],
            )
            .unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("<svg") && text.contains("a line") && text.contains("Members")
            );
        }
        std::fs::remove_file(&file).unwrap();
    }
}
