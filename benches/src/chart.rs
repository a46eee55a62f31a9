//! Draws what was measured: how long a login of each kind takes, and how many there are in a
//! second.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::cost::Medians;
use crate::logins::{Kind, Spread};
use crate::rates::{CLIENTS, Rates};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn Error>>;

/// The size of the picture.
const SIZE: (u32, u32) = (960, 640);

/// Draws two columns, of so many linked roles each: above the times, below the rates.
pub(crate) fn draw(path: &Path, major: u32, columns: [(usize, &Medians, &Rates); 2]) -> Outcome {
    let picture = SVGBackend::new(path, SIZE).into_drawing_area();
    picture.fill(&WHITE)?;
    let picture = picture.titled(
        &format!("Logins to PostgreSQL {major} by TLS: medians, with the middle half of all; and per second"),
        ("sans-serif", 18),
    )?;
    let slowest = columns.iter().flat_map(|(_, medians, _)| &medians.0).map(|(_, spread)| spread.high);
    let slowest = slowest.fold(0.0, f64::max) * 1.1;
    let fastest = columns.iter().flat_map(|(_, _, rates)| *rates).flat_map(|(_, rates)| rates);
    let fastest = fastest.copied().fold(0.0, f64::max) * 1.1;
    let areas = picture.split_evenly((2, 2));
    let (above, below) = areas.split_at(2);
    for ((area, below), (roles, medians, rates)) in above.iter().zip(below).zip(columns) {
        draw_times(area, &format!("{roles} linked roles"), &medians.0, slowest)?;
        draw_rates(below, rates, fastest)?;
    }
    picture.present()?;
    Ok(())
}

/// Draws a bar for each kind, up to the median, and a line over the middle half.
fn draw_times(area: &Area<'_>, title: &str, times: &[(Kind, Spread)], highest: f64) -> Outcome {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(48)
        .build_cartesian_2d((0..times.len()).into_segmented(), 0.0..highest)?;
    let name = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(number) => {
            times.get(*number).map(|(kind, _)| plain(*kind)).unwrap_or_default()
        }
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(times.len())
        .x_label_formatter(&name)
        .y_desc("ms")
        .draw()?;
    for (number, (_, spread)) in times.iter().enumerate() {
        let (from, to) = (SegmentValue::Exact(number), SegmentValue::Exact(number + 1));
        let mut bar = Rectangle::new([(from, 0.0), (to, spread.median)], Palette99::pick(number).filled());
        bar.set_margin(0, 0, 14, 14);
        chart.draw_series([bar])?;
        let place = SegmentValue::CenterOf(number);
        chart.draw_series([ErrorBar::new_vertical(
            place,
            spread.low,
            spread.median,
            spread.high,
            BLACK.filled(),
            8,
        )])?;
    }
    Ok(())
}

/// Draws a line for each kind, over the number of clients.
fn draw_rates(area: &Area<'_>, rates: &Rates, highest: f64) -> Outcome {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d((0..CLIENTS.len()).into_segmented(), 0.0..highest)?;
    let clients = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(number) => CLIENTS.get(*number).map(usize::to_string).unwrap_or_default(),
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(CLIENTS.len())
        .x_label_formatter(&clients)
        .x_desc("clients at a time")
        .y_desc("logins per second")
        .draw()?;
    for (number, (kind, rates)) in rates.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let points = rates.iter().enumerate().map(|(place, rate)| (SegmentValue::CenterOf(place), *rate));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(plain(*kind))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// Returns the name of a kind without the marks of Markdown.
fn plain(kind: Kind) -> String {
    kind.name().replace('`', "")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use testbed::door::Door;

    use super::*;

    #[test]
    fn the_chart_has_every_kind_and_both_columns() {
        let kinds = [Kind::Trust, Kind::Scram, Kind::Token(Door::Password), Kind::Token(Door::Pam)];
        let spread = |median: f64| Spread { low: median * 0.9, median, high: median * 1.2 };
        let medians = Medians(kinds.into_iter().zip([5.76, 7.1, 6.26, 9.15].map(spread)).collect());
        let rates: Rates = kinds.into_iter().zip([[150.0, 290.0, 280.0]; 4].map(Vec::from)).collect();
        let path = std::env::temp_dir().join(format!("azure_ad_auth-chart-{}.svg", std::process::id()));
        draw(&path, 18, [(10, &medians, &rates), (100_000, &medians, &rates)]).expect("a chart");
        let picture = fs::read_to_string(&path).expect("a file");
        fs::remove_file(&path).expect("the file");
        for text in ["PostgreSQL 18", "10 linked roles", "100000 linked roles", "SCRAM-SHA-256", "token, pam"]
        {
            assert!(picture.contains(text), "{text}");
        }
    }
}
