//! `circolo events schema`: what the facts of each type of event look like.

use anyhow::Context;
use circolo_domain::schema;
use clap::Args;
use std::{fs, io::Write, path::PathBuf};

/// What `circolo events schema` takes.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// A folder for one file per type, such as `question.posted.v1.json` [default: print all as one object]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let schemas = schema::schemas();
        let Some(folder) = self.out else {
            return Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&schemas)?)?);
        };
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        for (name, schema) in &schemas {
            let path = folder.join(format!("{name}.json"));
            fs::write(&path, format!("{schema:#}\n")).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        println!("{} schemas in {}", schemas.len(), folder.display());
        Ok(())
    }
}
