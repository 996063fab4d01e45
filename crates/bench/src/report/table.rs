//! The table that people read. Pure.

use super::row::Row;

/// The rows, their numbers below each other. The columns of another gateway are there when one took turns.
pub fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), shown);
    let ratio = |value: Option<f64>| value.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let is_compared = rows.iter().any(|row| row.against.is_some());
    let mut lines = vec![line(
        [
            "", "gateway", "floor", "ratio", "other", "to it", "goal", "",
        ]
        .map(str::to_owned),
        is_compared,
    )];
    for row in rows {
        let goal = row.goal.map_or(String::new(), |goal| {
            format!("≤ {}", (goal.at_most * 100.0).round() / 100.0)
        });
        let verdict = row.goal.map_or("", |goal| {
            if goal.is <= goal.at_most {
                "reached"
            } else {
                "missed"
            }
        });
        let cells = [
            row.what.clone(),
            number(row.gateway),
            number(row.floor),
            ratio(row.ratio),
            number(row.against),
            ratio(row.to_against),
            goal,
            verdict.to_owned(),
        ];
        lines.push(line(cells, is_compared));
    }
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let padded = |cells: &Vec<String>| {
        let first = format!("{:<width$}", cells[0], width = widths[0]);
        let rest = cells.iter().zip(&widths).skip(1);
        let rest = rest.map(|(cell, &width)| format!("  {cell:>width$}"));
        (first + &rest.collect::<String>()).trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n") + "\n"
}

/// The cells of a line, without those of another gateway if there is none.
fn line(cells: [String; 8], is_compared: bool) -> Vec<String> {
    let cells = cells.into_iter().enumerate();
    let wanted = cells.filter(|(column, _)| is_compared || !matches!(column, 4 | 5));
    wanted.map(|(_, cell)| cell).collect()
}

/// Three digits or so.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_gateway_has_columns_of_its_own_when_it_took_turns() {
        let alone = Row::new("resident: MiB", Some(20.0));
        let expected = "               gateway  floor  ratio  goal\nresident: MiB     20.0\n";
        assert_eq!(table(std::slice::from_ref(&alone)), expected);
        let compared = Row {
            against: Some(40.0),
            to_against: Some(0.5),
            ..alone
        };
        let expected = "               gateway  floor  ratio  other  to it  goal
resident: MiB     20.0                 40.0   0.50\n";
        assert_eq!(table(&[compared]), expected);
    }
}
