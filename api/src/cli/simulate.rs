//! `circolo simulate`: writes the history of a made-up community.

use anyhow::Context;
use circolo::{auth, clock, config::Storage};
use circolo_domain::Timestamp;
use circolo_events::{People, people, simulate};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// What `circolo simulate` takes.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// People who register over time: their tokens are `circolo token --sub person-1`, `person-2` ...
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    people: u32,
    /// Groups that are created over time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    groups: u32,
    /// Pages that are created over time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=99_999))]
    pages: u32,
    /// Days that pass
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// About so many events in all [default: one per person and day]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    events: Option<u64>,
    /// The same seed gives the same history
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// When the history begins
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z", value_parser = moment)]
    start: Timestamp,
    /// Write behind what the log holds already; with another seed than before
    #[arg(long)]
    append: bool,
    #[command(flatten)]
    storage: Storage,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "a time such as 2026-01-31T12:00:00Z is expected".to_owned())
}

impl Simulate {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let opened = self.storage.open_alone(&clock::fresh_ids()).await?;
        let store = &*opened.store;
        anyhow::ensure!(
            self.append || people::is_new(store).await?,
            "the log holds events already; --append writes behind them, with another --seed than theirs"
        );
        let options = self.options();
        let bar = bar(options.events);
        let began = tokio::time::Instant::now();
        let person = |people: &People, n: usize| people.id(auth::ISSUER, &format!("person-{}", n + 1), 0);
        let summary = simulate::simulate(store, options, person, |written| bar.set_position(written.min(options.events))).await;
        opened.held.release().await;
        let summary = summary.context("the history could not be written; was this seed simulated here before?")?;
        bar.finish_and_clear();
        print(&summary, began.elapsed());
        Ok(())
    }

    fn options(&self) -> simulate::Options {
        simulate::Options {
            people: self.people as usize,
            groups: self.groups as usize,
            pages: self.pages as usize,
            days: self.days,
            events: self.events.unwrap_or(u64::from(self.people) * u64::from(self.days)),
            seed: self.seed,
            start: self.start,
        }
    }
}

fn bar(events: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} % {human_pos} events, {per_sec}, {eta} left");
    ProgressBar::new(events).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn print(summary: &simulate::Summary, took: Duration) {
    let rate = summary.events as f64 / took.as_secs_f64().max(0.001);
    let simulate::Summary { events, people, groups, pages, until, .. } = summary;
    println!("{events} events of {people} people in {groups} groups and on {pages} pages, until {until}");
    for (event_type, count) in &summary.types {
        println!("{count:>10}  {event_type}");
    }
    println!("in {:.1} s, {rate:.0} events/s", took.as_secs_f64());
}
