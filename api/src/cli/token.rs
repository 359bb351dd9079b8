//! `circolo token`: signs a token with this installation's own keys. Takes no lock, so that it works beside a server.

use anyhow::Context;
use circolo::{
    auth::{CallerKind, Claims, Scope},
    clock,
    config::DataFolder,
    keys::Keys,
};
use clap::Args;

/// What `circolo token` takes.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// Who the token is for: any name; the same name is the same person
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// What else it allows, separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// How long it holds: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    ttl: i64,
    /// The caller is a program
    #[arg(long)]
    bot: bool,
    #[command(flatten)]
    folder: DataFolder,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (1..=255).contains(&self.sub.len()) && !self.sub.contains(char::is_control),
            "--sub takes 1 to 255 printable bytes"
        );
        let keys = Keys::open(&self.folder.data)?;
        let now = clock::system()().micros() / 1_000_000;
        let claims = Claims {
            sub: self.sub,
            exp: now + self.ttl,
            scope: self.scope.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
            kind: if self.bot { CallerKind::Bot } else { CallerKind::Human },
            ..Claims::default()
        };
        println!("{}", keys.sign(&claims).context("the token cannot be signed")?);
        Ok(())
    }
}

/// `90s`, `15m`, `24h`, `7d` in seconds; at most ten years.
fn seconds(text: &str) -> Result<i64, String> {
    const MOST: i64 = 10 * 366 * 24 * 3_600;
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err("a number and s, m, h or d is expected, such as 24h".to_owned()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| "a number and s, m, h or d is expected, such as 24h".to_owned())?;
    match number.checked_mul(unit) {
        Some(seconds @ 1..=MOST) => Ok(seconds),
        _ => Err("between a second and ten years is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("90s"), Ok(90));
        for bad in ["", "24", "h", "-1h", "0s", "9999999d", "1w", "24ä"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
