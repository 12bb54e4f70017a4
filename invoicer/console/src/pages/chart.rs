//! Bars by day, as SVG, with the same numbers as a table for who reads rather than looks.

use maud::{Markup, html};
use pricing::number::{Quantity, grouped};

/// What was used on a day.
pub(crate) struct Day {
    /// Its date.
    pub(crate) date: String,
    /// How much.
    pub(crate) quantity: Quantity,
}

/// The height that the largest bar has, in the picture's own units.
const HEIGHT: i128 = 100;
/// The width of a day, and of its bar.
const DAY: usize = 10;
const BAR: usize = 8;

/// A chart with its name and its sum.
pub(crate) fn bars(name: &str, days: &[Day]) -> Markup {
    let sum = Quantity::sum(days.iter().map(|day| day.quantity)).map(|sum| grouped(&sum.to_string()));
    let largest = days.iter().map(|day| day.quantity.raw()).max().unwrap_or(0).max(1);
    let width = days.len().saturating_mul(DAY).max(DAY);
    let (first, last) = (days.first(), days.last());
    html! {
        figure {
            figcaption { (name) span { (sum.unwrap_or_default()) } }
            svg.bars viewBox={ "0 0 " (width) " " (HEIGHT + 1) } preserveAspectRatio="none" role="img" aria-label={ (name) " by day; the table below has the numbers" } {
                line x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
                @for (at, day) in days.iter().enumerate() {
                    @let height = day.quantity.raw().max(0).saturating_mul(HEIGHT) / largest;
                    @if height > 0 || day.quantity.is_positive() {
                        rect x=(at * DAY + 1) y=(HEIGHT - height.max(1)) width=(BAR) height=(height.max(1)) {
                            title { (day.date) ": " (grouped(&day.quantity.to_string())) }
                        }
                    }
                }
            }
            div.axis aria-hidden="true" {
                span { (first.map(|day| day.date.as_str()).unwrap_or_default()) }
                span { (last.map(|day| day.date.as_str()).unwrap_or_default()) }
            }
            details {
                summary { "As a table" }
                table {
                    caption.unseen { (name) " by day" }
                    thead { tr { th scope="col" { "Day" } th.n scope="col" { "Quantity" } } }
                    tbody {
                        @for day in days.iter().filter(|day| !day.quantity.is_zero()) {
                            tr { th scope="row" { (day.date) } td.n { (grouped(&day.quantity.to_string())) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Day, bars};

    #[test]
    fn names_are_text_in_pictures_too() {
        let name = "<script>alert(1)</script>\"onload=x";
        let days = [Day { date: name.to_owned(), quantity: "3".parse().unwrap() }];
        let shown = bars(name, &days).into_string();
        assert!(!shown.contains("<script") && !shown.contains("\"onload"), "{shown}");
        assert!(shown.contains("&lt;script&gt;") && shown.contains("height=\"100\""), "{shown}");
    }
}
