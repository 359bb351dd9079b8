//! Figures: how they are drawn together, printed as a table and kept as JSON.

use crate::{Result, machine::Facts};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// The median; of an even number the lower of the two in the middle, of none 0.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// What one stretch of work came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Operations per second.
    pub rate: f64,
    /// Half of them took at most so many milliseconds.
    pub p50: f64,
    /// Of a hundred of them, 99 took at most so many milliseconds.
    pub p99: f64,
}

impl Sample {
    /// Of the times that single operations took, in seconds, and the time they took together.
    pub fn new(mut times: Vec<f32>, elapsed: Duration) -> Self {
        times.sort_by(f32::total_cmp);
        let percentile = |hundredth: usize| times.get(times.len() * hundredth / 100).map_or(0.0, |time| f64::from(*time) * 1e3);
        #[expect(clippy::cast_precision_loss, reason = "counts of operations are far below 2^52")]
        let rate = times.len() as f64 / elapsed.as_secs_f64();
        Self { rate, p50: percentile(50), p99: percentile(99) }
    }

    /// Of the times that tasks tell which began at `began`, when the last has ended.
    pub async fn of(mut running: JoinSet<Result<Vec<f32>>>, began: Instant) -> Result<Self> {
        let mut times = Vec::new();
        while let Some(done) = running.join_next().await {
            times.extend(done??);
        }
        Ok(Self::new(times, began.elapsed()))
    }

    /// Median by median.
    pub fn median(samples: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(samples.iter().map(figure).collect());
        Self { rate: of(|sample| sample.rate), p50: of(|sample| sample.p50), p99: of(|sample| sample.p99) }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({ "per_second": self.rate.round(), "p50_ms": round(self.p50), "p99_ms": round(self.p99) })
    }
}

/// Three digits behind the point.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A ratio as text; with the aim beside it, and a mark if it is missed.
pub fn aimed(ratio: f64, aim: Option<f64>) -> String {
    match aim {
        None => format!("{ratio:.2}x"),
        Some(aim) if ratio >= aim => format!("{ratio:.2}x (aim {aim}x)"),
        Some(aim) => format!("{ratio:.2}x MISSED (aim {aim}x)"),
    }
}

/// A benchmark's figures.
pub struct Report {
    name: &'static str,
    facts: Facts,
    head: Vec<&'static str>,
    lines: Vec<Vec<String>>,
    figures: Vec<Value>,
}

impl Report {
    /// An empty table with these columns.
    pub fn new(name: &'static str, head: Vec<&'static str>) -> Self {
        Self { name, facts: Facts::new(), head, lines: Vec::new(), figures: Vec::new() }
    }

    /// Something that must be known to read the figures.
    pub fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push((name.to_owned(), value.into()));
    }

    /// A line of the table, and the same for a program.
    pub fn line(&mut self, cells: Vec<String>, figures: Value) {
        eprintln!("{}: {}", self.name, cells.join("  "));
        self.lines.push(cells);
        self.figures.push(figures);
    }

    /// Prints everything and keeps it in `target/benchmarks/`.
    pub fn finish(mut self, machine: &Facts, quick: bool) -> Result<()> {
        if quick {
            self.fact("note", "a smoke run, its figures mean nothing");
        }
        let facts: Facts = machine.iter().chain(&self.facts).cloned().collect();
        println!("\n## {}\n", self.name);
        for (name, value) in &facts {
            println!("- {name}: {value}");
        }
        println!();
        print!("{}", self.table());
        let missed = self.lines.iter().flatten().filter(|cell| cell.contains("MISSED")).count();
        println!("\n{}", if missed == 0 { "No aim was missed.".to_owned() } else { format!("Aims missed: {missed}.") });

        let facts: Map<String, Value> = facts.into_iter().map(|(name, value)| (name, value.into())).collect();
        let json = json!({ "benchmark": self.name, "quick": quick, "facts": facts, "figures": self.figures, "aims_missed": missed });
        let file = folder()?.join(format!("{}.json", self.name));
        fs::write(&file, serde_json::to_string_pretty(&json)?)?;
        println!("Kept in {}", file.display());
        Ok(())
    }

    /// The table in Markdown, every column as wide as it must be.
    fn table(&self) -> String {
        let cells = |column: usize| self.lines.iter().filter_map(move |line| line.get(column));
        let width = |column: usize, head: &str| cells(column).map(String::len).max().unwrap_or(0).max(head.len());
        let widths: Vec<usize> = self.head.iter().enumerate().map(|(column, head)| width(column, head)).collect();
        let row = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let head: Vec<String> = self.head.iter().map(|&head| head.to_owned()).collect();
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        [head, rule].iter().chain(&self.lines).map(|cells| row(cells)).collect()
    }
}

/// `target/benchmarks/`, beside what cargo builds.
fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    // target/release/deps/circolo-1234: three folders up.
    let target = program.ancestors().nth(3).ok_or("the benchmark is in no target folder")?;
    let folder = target.join("benchmarks");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
