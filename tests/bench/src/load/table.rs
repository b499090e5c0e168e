//! Turns to a table: medians over the rounds, ratios taken within each round, with the smallest and the largest.

use std::fmt::Write as _;

/// What somebody's turn in one round gave.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Requests a second, as many as go.
    pub rate: f64,
    /// Microseconds on the processor for each.
    pub cpu: f64,
    /// Latency at the fixed rate that half of the answers did not exceed, in microseconds.
    pub p50: f64,
    /// The same for 99 in a hundred.
    pub p99: f64,
}

/// Somebody's turns in all rounds.
#[derive(Debug, Clone)]
pub struct Row {
    /// Who.
    pub name: String,
    /// With which rows it is compared.
    pub beside: Vec<usize>,
    /// Turns, by round.
    pub turns: Vec<Measured>,
}

/// The table as Markdown.
#[must_use]
pub fn print(rows: &[Row]) -> String {
    let mut text = String::from(
        "| who | requests/s | CPU us | p50 us | p99 us | beside | rate | CPU saved | p99 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let of = |value: fn(&Measured) -> f64| median(row.turns.iter().map(value).collect());
        let own = format!(
            "| {} | {:.0} | {:.1} | {:.0} | {:.0}",
            row.name,
            of(|turn| turn.rate),
            of(|turn| turn.cpu),
            of(|turn| turn.p50),
            of(|turn| turn.p99)
        );
        let mut others = row.beside.iter().filter_map(|index| rows.get(*index)).peekable();
        if others.peek().is_none() {
            let _ = writeln!(text, "{own} | | | | |");
        }
        for (index, other) in others.enumerate() {
            let start = if index == 0 { own.as_str() } else { "| | | | | " };
            let rate = ratios(row, other, |own, base| own.rate / base.rate);
            let cpu = ratios(row, other, |own, base| base.cpu / own.cpu);
            let p99 = ratios(row, other, |own, base| own.p99 / base.p99);
            let _ = writeln!(text, "{start} | {} | {rate} | {cpu} | {p99} |", other.name);
        }
    }
    text
}

/// The median of the rounds' ratios, and their spread.
fn ratios(own: &Row, base: &Row, ratio: fn(&Measured, &Measured) -> f64) -> String {
    let mut all: Vec<f64> = own.turns.iter().zip(&base.turns).map(|(own, base)| ratio(own, base)).collect();
    all.sort_by(f64::total_cmp);
    let (least, most) = (all.first().copied().unwrap_or(0.0), all.last().copied().unwrap_or(0.0));
    format!("{:.2} ({least:.2}-{most:.2})", median(all))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower = values.get(middle.saturating_sub(1)).copied().unwrap_or(0.0);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cpu: f64) -> Measured {
        Measured { rate: 1_000.0 / cpu, cpu, p50: 100.0, p99: 200.0 }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let base = Row { name: "base".to_owned(), beside: vec![], turns: vec![turn(10.0), turn(20.0)] };
        let half = Row { name: "half".to_owned(), beside: vec![0], turns: vec![turn(20.0), turn(40.0)] };
        let text = print(&[base, half]);
        assert!(text.contains("| base | 0.50 (0.50-0.50) | 0.50 (0.50-0.50) | 1.00 (1.00-1.00) |"), "{text}");
    }

    #[test]
    fn a_median_of_two_is_between_them() {
        assert!((median(vec![3.0, 1.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    }
}
