//! Bar charts over time, plotted as SVG between a scale of values and one of times. Pure.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::http::dashboard::layout::{render_clock, render_day_and_clock};
use crate::model::timestamp::format_timestamp;

const HEIGHT: u64 = 60;
/// Width of a bar together with the gap behind it.
const STEP: usize = 5;
const BAR: usize = 4;
/// Draws a bar for the count from each moment on, the last until `end`; `label` says what they are
/// together.
pub fn draw_bars(label: &str, bars: &[(Timestamp, u64)], end: Timestamp) -> Markup {
    let top = choose_top(find_most(bars).map_or(0, |(_, most)| most));
    let width = bars.len().max(1) * STEP;
    let middle = bars.len() / 2 * STEP;
    html! {
        div.plot {
            div.scale aria-hidden="true" {
                @for value in [top, top / 2, 0] { span { (format_value(value)) } }
            }
            svg.chart role="img" aria-label=(describe(label, bars, end)) viewBox={ "0 0 " (width) " " (HEIGHT + 1) } preserveAspectRatio="none" {
                @for y in [0, HEIGHT / 2] { line x1="0" x2=(width) y1=(y) y2=(y) {} }
                line x1=(middle) x2=(middle) y1="0" y2=(HEIGHT) {}
                @for (index, (begins, count)) in bars.iter().enumerate() {
                    @let height = scale(*count, top);
                    rect x=(index * STEP) y=(HEIGHT - height) width=(BAR) height=(height + 1) {
                        title { (format_timestamp(*begins)) ": " (count) }
                    }
                }
            }
            @if let (Some((first, _)), Some((halfway, _))) = (bars.first(), bars.get(bars.len() / 2)) {
                div.times aria-hidden="true" {
                    (render_day_and_clock(*first)) (render_clock(*halfway)) (render_day_and_clock(end))
                }
            }
        }
    }
}

/// Returns the first of the highest bars; `None` if nothing was counted.
pub fn find_most(bars: &[(Timestamp, u64)]) -> Option<(Timestamp, u64)> {
    let counted = bars.iter().rev().filter(|(_, count)| *count > 0);
    counted.max_by_key(|(_, count)| *count).copied()
}

/// Returns the words that stand for a chart: its label, its ends, and each count that is not zero.
fn describe(label: &str, bars: &[(Timestamp, u64)], end: Timestamp) -> String {
    let format = |moment: Timestamp| moment.strftime("%Y-%m-%d %H:%M").to_string();
    let mut words = label.to_owned();
    if let Some((first, _)) = bars.first() {
        words += &format!(". {} – {} UTC", format(*first), format(end));
    }
    let counted = bars.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<_> = counted
        .map(|(begins, count)| format!("{} {count}", begins.strftime("%H:%M")))
        .collect();
    if !counts.is_empty() {
        words += &format!(": {}", counts.join(", "));
    }
    words
}

/// Returns the value at the top of the scale: a round one, whose half is whole.
fn choose_top(most: u64) -> u64 {
    let mut unit = 1_u64;
    while most > unit.saturating_mul(10) {
        unit = unit.saturating_mul(10);
    }
    let steps = [2, 4, 6, 8, 10].map(|step| unit.saturating_mul(step));
    let enough = steps.into_iter().find(|top| *top >= most);
    enough.unwrap_or(u64::MAX)
}

/// Formats a value of the scale in few signs; exact, since such values are round.
fn format_value(value: u64) -> String {
    match value {
        1_000_000.. if value.is_multiple_of(1_000_000) => format!("{}M", value / 1_000_000),
        10_000.. if value.is_multiple_of(1_000) => format!("{}k", value / 1_000),
        _ => value.to_string(),
    }
}

/// Returns the height of a bar: something that happened is always seen.
fn scale(count: u64, top: u64) -> u64 {
    match count {
        0 => 0,
        count => (count.saturating_mul(HEIGHT) / top.max(1)).clamp(1, HEIGHT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_the_scale_is_round_and_no_bar_is_above_it() {
        for (most, top) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (9, 10),
            (10, 10),
            (11, 20),
            (41, 60),
            (1_000, 1_000),
            (1_001, 2_000),
            (87_654, 100_000),
        ] {
            assert_eq!(choose_top(most), top, "{most}");
        }
        assert_eq!(choose_top(u64::MAX), u64::MAX);
        assert_eq!(
            [0, 1, 500, 1_000].map(|it| scale(it, 1_000)),
            [0, 1, 30, 60]
        );
        assert_eq!(scale(u64::MAX, u64::MAX), 1);
    }

    #[test]
    fn values_are_short() {
        assert_eq!(
            [2, 5_000, 10_000, 500_000, 1_000_000, 12_345].map(format_value),
            ["2", "5000", "10k", "500k", "1M", "12345"]
        );
    }

    #[test]
    fn a_chart_has_a_bar_for_each_count_and_scales_beside_and_below() {
        let at = |slot: i64| Timestamp::from_second(slot * 900).unwrap();
        let bars: Vec<_> = (0..96)
            .map(|slot| (at(slot), slot.unsigned_abs()))
            .collect();
        let drawn = draw_bars("In & out", &bars, at(96)).into_string();
        assert_eq!(drawn.matches("<rect").count(), 96);
        for value in ["100", "50", "0"] {
            assert!(drawn.contains(&format!("<span>{value}</span>")), "{value}");
        }
        let times: Vec<_> = drawn
            .match_indices("<time")
            .map(|(at, _)| drawn[at..].split(['>', '<']).nth(2).unwrap())
            .collect();
        assert_eq!(times, ["Thu 00:00 UTC", "12:00 UTC", "Fri 00:00 UTC"]);
        assert!(
            draw_bars("nothing", &[], at(0))
                .into_string()
                .contains("<svg")
        );
    }

    #[test]
    fn whoever_does_not_see_a_chart_hears_its_counts() {
        let at = |slot: i64| Timestamp::from_second(slot * 900).unwrap();
        let counts = [0, 3, 0, 12, 12].into_iter().enumerate();
        let bars: Vec<_> = counts
            .map(|(slot, count)| (at(slot as i64), count))
            .collect();
        assert_eq!(find_most(&bars), Some((at(3), 12)), "the first of them");
        assert_eq!(find_most(&bars[..1]), None);
        let drawn = draw_bars("In & out: 27", &bars, at(5)).into_string();
        let words = "aria-label=\"In &amp; out: 27. 1970-01-01 00:00 – 1970-01-01 01:15 UTC: \
             00:15 3, 00:45 12, 01:00 12\"";
        assert!(drawn.contains(words), "{drawn}");
        let quiet = draw_bars("In: 0", &bars[..1], at(1)).into_string();
        assert!(quiet.contains("00:00 – 1970-01-01 00:15 UTC\""), "{quiet}");
    }
}
