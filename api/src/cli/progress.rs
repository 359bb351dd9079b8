//! Progress bars: one for what runs through, one per build that is under way.

use super::operations::Operations;
use circolo::routes::operator::{ProjectionBuild, ProjectionView};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{collections::BTreeMap, time::Duration};

/// How often builds are looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// States in which a build moves.
const MOVING: [&str; 3] = ["building", "returning", "checking"];

/// A bar for work of which it is known how much there is; the template says how it looks.
pub(super) fn counted(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// Bars on standard error, made as builds appear. Nothing is drawn where no one looks.
pub(super) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<(String, i64), ProgressBar>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), bars: BTreeMap::new() }
    }

    /// Draws the builds that are under way; true if there are any.
    pub(super) fn draw(&mut self, builds: &[ProjectionView]) -> bool {
        let moving = |build: &ProjectionView| MOVING.contains(&build.state.as_str());
        for build in builds.iter().filter(|build| moving(build)) {
            let bar = self.bars.entry((build.name.clone(), build.build)).or_insert_with(|| self.all.add(bar(&build.name)));
            bar.set_length(build.head.unsigned_abs());
            bar.set_position(build.position.unsigned_abs());
            let eta = build.eta_seconds.map(|seconds| format!(", {seconds:.0} s left")).unwrap_or_default();
            bar.set_message(format!("{}, {:.0} events/s{eta}", build.state, build.rate));
        }
        for ((name, number), bar) in &self.bars {
            if !builds.iter().any(|build| build.name == *name && build.build == *number && moving(build)) {
                bar.finish();
            }
        }
        builds.iter().any(moving)
    }

    /// Draws until `work` ends; what it came to.
    pub(super) async fn during<T>(mut self, look: &Operations, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(PAUSE) => {
                    // Not being able to look does not end the work.
                    if let Ok(builds) = look.list().await {
                        self.draw(&builds);
                    }
                }
            }
        }
    }

    /// Draws until `begun` have ended, one way or another; how they stand then.
    pub(super) async fn until_done(mut self, look: &Operations, begun: &[ProjectionBuild]) -> anyhow::Result<Vec<ProjectionView>> {
        loop {
            let mut builds = look.list().await?;
            self.draw(&builds);
            builds.retain(|build| begun.iter().any(|begun| begun.name == build.name && begun.build == build.build));
            if !builds.iter().any(|build| MOVING.contains(&build.state.as_str())) {
                return Ok(builds);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:16} {wide_bar} {pos}/{len} {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(name.to_owned())
}
