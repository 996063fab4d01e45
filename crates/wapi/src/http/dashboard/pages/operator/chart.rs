//! Bar charts, plotted as SVG. Pure.

use maud::{Markup, html};

const HEIGHT: u64 = 60;
/// Width of a bar together with the gap behind it.
const STEP: usize = 5;
const BAR: usize = 4;

/// Draws bars with the text of each; `label` says what they are together.
pub fn draw_bars(label: &str, bars: &[(String, u64)]) -> Markup {
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let width = bars.len().max(1) * STEP;
    html! {
        svg.chart role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (HEIGHT + 1) } preserveAspectRatio="none" {
            @for (index, (text, count)) in bars.iter().enumerate() {
                @let height = scale(*count, most);
                rect x=(index * STEP) y=(HEIGHT - height) width=(BAR) height=(height + 1) { title { (text) } }
            }
        }
    }
}

/// Returns the height of a bar: something that happened is always seen.
fn scale(count: u64, most: u64) -> u64 {
    match count {
        0 => 0,
        count => (count.saturating_mul(HEIGHT) / most.max(1)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_the_chart_and_the_lowest_is_seen() {
        assert_eq!(
            [0, 1, 500, 1_000].map(|it| scale(it, 1_000)),
            [0, 1, 30, 60]
        );
        assert_eq!(scale(0, 0), 0);
        let bars = [("00:00: 1".to_owned(), 1), ("<b>".to_owned(), 2)];
        let drawn = draw_bars("In & out", &bars).into_string();
        assert!(drawn.contains("aria-label=\"In &amp; out\"") && drawn.contains("&lt;b&gt;"));
        assert_eq!(drawn.matches("<rect").count(), 2);
    }
}
