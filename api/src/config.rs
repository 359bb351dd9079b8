//! Everything that can be set, on the command line or in the environment. The doc comments are the reference (`--help`).

use crate::{auth::Scope, connections::Limits, jwks::Issuer};
use circolo_domain::media::Family;
use circolo_events::{
    media::{Files, FilesError},
    sealing::Source,
};
use clap::{Args, ValueEnum};
use jsonwebtoken::Algorithm;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

/// What `circolo serve` takes.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where data are kept.
    #[command(flatten)]
    pub storage: Storage,
    /// Where uploaded files are kept.
    #[command(flatten)]
    pub media: MediaStorage,
    /// How the API behaves.
    #[command(flatten)]
    pub http: Http,
    /// Whose tokens are accepted.
    #[command(flatten)]
    pub foreign: ForeignIssuer,
    /// What is told about the work.
    #[command(flatten)]
    pub telemetry: Telemetry,
}

/// The data folder.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub struct DataFolder {
    /// Folder for keys, the lock file and, unless URLs say otherwise, all data
    #[arg(long, env = "CIRCOLO_DATA", value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
}

/// Where log and read models are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub struct Storage {
    /// The data folder.
    #[command(flatten)]
    pub folder: DataFolder,
    /// The log: `sqlite:PATH`, `postgres://...` or `kurrentdb://...` (also `esdb://...`, and `kurrentdb+discover://...` for a
    /// cluster) [default: log.sqlite in the data folder]
    #[arg(long, env = "CIRCOLO_LOG", value_name = "URL", hide_env_values = true)]
    pub log: Option<String>,
    /// The read models: `sqlite:PATH` or `postgres://...` [default: views.sqlite in the data folder]
    #[arg(long, env = "CIRCOLO_VIEWS", value_name = "URL", hide_env_values = true)]
    pub views: Option<String>,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: KeyStorage,
}

/// Where the keys are that texts are sealed under.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyStorage {
    /// The key store: `sqlite:PATH` or `postgres://...`, never with the log or the read models [default: keys.sqlite in the data
    /// folder]
    #[arg(long, env = "CIRCOLO_KEYS", value_name = "URL", hide_env_values = true)]
    pub keys: Option<String>,
    /// The installation key, without which no key opens: `file:PATH`, or `command:CMD` for what a command prints [default:
    /// installation-key.pem in the data folder, made at the first start]
    #[arg(long, env = "CIRCOLO_INSTALLATION_KEY", value_name = "SOURCE", hide_env_values = true)]
    pub installation_key: Option<Source>,
}

/// Where uploaded files are kept.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaStorage {
    /// Where uploaded files are kept: `file:PATH`, or `s3://BUCKET/PREFIX`, for which the variables `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT` say the rest [default: the folder media in the data folder]
    #[arg(long, env = "CIRCOLO_MEDIA", value_name = "URL", hide_env_values = true)]
    pub media: Option<String>,
}

impl MediaStorage {
    /// Opens the store of files.
    pub fn open(&self, folder: &DataFolder) -> Result<Files, FilesError> {
        match &self.media {
            Some(place) => Files::at(place),
            None => Files::in_folder(&folder.data.join("media")),
        }
    }
}

/// What people may upload.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaLimits {
    /// Largest picture that is taken in, in bytes
    #[arg(long, env = "CIRCOLO_IMAGE_LIMIT", value_name = "BYTES", default_value_t = 20 << 20)]
    pub image_limit: u64,
    /// Most pixels of a picture; decoding one takes up to 16 bytes for each
    #[arg(long, env = "CIRCOLO_IMAGE_PIXELS", value_name = "PIXELS", default_value_t = 50_000_000)]
    pub image_pixels: u64,
    /// Largest video that is taken in, in bytes
    #[arg(long, env = "CIRCOLO_VIDEO_LIMIT", value_name = "BYTES", default_value_t = 200 << 20)]
    pub video_limit: u64,
    /// Largest audio file that is taken in, in bytes
    #[arg(long, env = "CIRCOLO_AUDIO_LIMIT", value_name = "BYTES", default_value_t = 50 << 20)]
    pub audio_limit: u64,
    /// Largest document or archive that is taken in, in bytes
    #[arg(long, env = "CIRCOLO_FILE_LIMIT", value_name = "BYTES", default_value_t = 50 << 20)]
    pub file_limit: u64,
    /// How many bytes of files a person may upload in 24 hours; each file counts for 64 KiB at least
    #[arg(long, env = "CIRCOLO_MEDIA_PER_DAY", value_name = "BYTES", default_value_t = 1 << 30)]
    pub media_per_day: u64,
    /// How many bytes of a person's files may be stored at a time
    #[arg(long, env = "CIRCOLO_MEDIA_IN_ALL", value_name = "BYTES", default_value_t = 10 << 30)]
    pub media_in_all: u64,
    /// How many files may be uploaded at a time; one person has an eighth of these places
    #[arg(long, env = "CIRCOLO_UPLOADS", value_name = "COUNT", default_value = "32")]
    pub uploads: NonZeroUsize,
}

impl MediaLimits {
    /// The largest file of this family.
    pub const fn limit(&self, family: Family) -> u64 {
        match family {
            Family::Image => self.image_limit,
            Family::Video => self.video_limit,
            Family::Audio => self.audio_limit,
            Family::File => self.file_limit,
        }
    }

    /// The largest file of all.
    pub fn largest(&self) -> u64 {
        self.image_limit.max(self.video_limit).max(self.audio_limit).max(self.file_limit)
    }
}

/// How the API behaves.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct Http {
    /// Address to listen on
    #[arg(long, env = "CIRCOLO_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where other nodes reach this one, if several share their data [default: the address it listens on]
    #[arg(long, env = "CIRCOLO_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// Whether callers without a token may read what is public
    #[arg(long, env = "CIRCOLO_ANONYMOUS_READS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub anonymous_reads: bool,
    /// Largest request body, in bytes
    #[arg(long, env = "CIRCOLO_BODY_LIMIT", value_name = "BYTES", default_value_t = 256 * 1024)]
    pub body_limit: usize,
    /// Longest time for one request, in seconds
    #[arg(long, env = "CIRCOLO_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub request_timeout: u64,
    /// Longest time a request for changes waits for the next one, in seconds
    #[arg(long, env = "CIRCOLO_LONGEST_WAIT", value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub longest_wait: u64,
    /// Requests per minute and person, or address without a token; 0 for no limit
    #[arg(long, env = "CIRCOLO_RATE_LIMIT", value_name = "PER_MINUTE", default_value_t = 3_000)]
    pub rate_limit: u32,
    /// Searches per minute of callers without a token, by address; 0 for no limit
    #[arg(long, env = "CIRCOLO_ANONYMOUS_SEARCHES", value_name = "PER_MINUTE", default_value_t = 60)]
    pub anonymous_searches: u32,
    /// Searches per minute of all callers without a token together; 0 for no limit
    #[arg(long, env = "CIRCOLO_ANONYMOUS_SEARCHES_IN_ALL", value_name = "PER_MINUTE", default_value_t = 1_200)]
    pub anonymous_searches_in_all: u32,
    /// Trust the last address in `X-Forwarded-For`: only behind a proxy that sets it
    #[arg(long, env = "CIRCOLO_BEHIND_PROXY")]
    pub behind_proxy: bool,
    /// Origins whose pages may call the API, separated by commas; `*` for all
    #[arg(long, env = "CIRCOLO_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// Longest time a request waits for the read models, in milliseconds
    #[arg(long, env = "CIRCOLO_CATCH_UP", value_name = "MILLISECONDS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub catch_up: u64,
    /// Not ready when the read models are further behind the log than this many positions
    #[arg(long, env = "CIRCOLO_READY_LAG", value_name = "POSITIONS", default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(0..))]
    pub ready_lag: i64,
    /// Events that one request with `as_of` may fold
    #[arg(long, env = "CIRCOLO_AS_OF_EVENTS", value_name = "EVENTS", default_value_t = 50_000)]
    pub as_of_events: usize,
    /// Memory for what commands are decided on (folded aggregates), in MiB
    #[arg(long, env = "CIRCOLO_AGGREGATE_CACHE", value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub aggregate_cache: u64,
    /// Longest time for running requests when the server stops, in seconds
    #[arg(long, env = "CIRCOLO_DRAIN", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub drain: u64,
    /// Connections at a time; fewer where the system allows fewer open files (`ulimit -n`). When all are taken, whoever comes gets the
    /// place of whoever has said nothing for longest; a few more are kept for `/health`
    #[arg(long, env = "CIRCOLO_MAX_CONNECTIONS", value_name = "COUNT", default_value = "4096")]
    pub max_connections: NonZeroUsize,
    /// Connections at a time from one address, or one /64 of IPv6; 0 for no such bound. Behind a proxy, from where all come, it does
    /// not apply: let the proxy bound its callers
    #[arg(long, env = "CIRCOLO_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT", default_value_t = 256)]
    pub max_connections_per_address: usize,
    /// Longest time from the first byte of a request to the end of its head, in seconds
    #[arg(long, env = "CIRCOLO_HEADER_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub header_timeout: u64,
    /// Longest time that a connection stays without a request, or takes nothing of an answer, in seconds
    #[arg(long, env = "CIRCOLO_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..))]
    pub idle_timeout: u64,
    /// How many may wait for changes at a time. At most half of the places are for callers without a token, a tenth for one address,
    /// a fiftieth for one person
    #[arg(long, env = "CIRCOLO_LISTENERS", value_name = "COUNT", default_value = "1000")]
    pub listeners: NonZeroUsize,
    /// Address on which nothing but `/metrics` and `/health` is served, for who may know them: keep it from the world
    #[arg(long, env = "CIRCOLO_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
    /// A token for `/metrics`, which is then told to whoever has it; without one, to callers on this machine alone
    #[arg(long, env = "CIRCOLO_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub metrics_token: Option<String>,
    /// What people may upload.
    #[command(flatten)]
    pub media: MediaLimits,
}

impl Http {
    /// Longest time for one request.
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout)
    }

    /// Longest time a request for changes waits; it ends well before the request does.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs(self.longest_wait).min(self.request_timeout() * 2 / 3)
    }

    /// Longest time a request waits for the read models.
    pub const fn catch_up(&self) -> Duration {
        Duration::from_millis(self.catch_up)
    }

    /// What connections are held to.
    pub(crate) fn limits(&self) -> Limits {
        let per_address = (!self.behind_proxy && self.max_connections_per_address > 0).then_some(self.max_connections_per_address);
        let (head, idle) = (Duration::from_secs(self.header_timeout), Duration::from_secs(self.idle_timeout));
        Limits { all: self.max_connections.get(), per_address, head, idle }
    }

    /// Longest time for running requests when the server stops.
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain)
    }
}

/// A foreign issuer of tokens, beside the built-in one.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens of another issuer")]
pub struct ForeignIssuer {
    /// Its name: the `iss` claim of its tokens
    #[arg(long, env = "CIRCOLO_ISSUER", value_name = "NAME", requires = "issuer_jwks")]
    pub issuer: Option<String>,
    /// Where its public keys are
    #[arg(long, env = "CIRCOLO_ISSUER_JWKS", value_name = "URL", requires = "issuer")]
    pub issuer_jwks: Option<String>,
    /// The `aud` claim that its tokens must have; unset, any
    #[arg(long, env = "CIRCOLO_ISSUER_AUDIENCE", value_name = "NAME", requires = "issuer")]
    pub issuer_audience: Option<String>,
    /// Scopes that its tokens may grant, separated by commas
    #[arg(long, env = "CIRCOLO_ISSUER_SCOPES", value_name = "SCOPES", value_delimiter = ',')]
    pub issuer_scopes: Vec<Scope>,
    /// Algorithms that its tokens may use, separated by commas; only such with public keys
    #[arg(long, env = "CIRCOLO_ISSUER_ALGORITHMS", value_name = "NAMES", value_delimiter = ',', default_value = "RS256,ES256,EdDSA")]
    pub issuer_algorithms: Vec<Algorithm>,
}

impl ForeignIssuer {
    /// The issuer, if one is configured.
    pub fn issuer(&self) -> Option<Issuer> {
        Some(Issuer {
            name: self.issuer.clone()?,
            jwks: self.issuer_jwks.clone()?,
            audience: self.issuer_audience.clone(),
            scopes: self.issuer_scopes.clone(),
            algorithms: self.issuer_algorithms.clone(),
        })
    }
}

/// What is told about the work. What to log is set by `RUST_LOG`, such as `info,circolo=debug`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct Telemetry {
    /// How log lines look
    #[arg(long, env = "CIRCOLO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Where traces go: an OTLP/HTTP endpoint such as `http://localhost:4318`; unset, nowhere
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// `url` without its password, for logs and messages.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // Parameters may hold secrets too; and a password may hold what should have been encoded.
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let place = rest.split('?').next().unwrap_or_default();
    match user {
        Some(user) => format!("{scheme}://{}@{place}", user.split([':', '?']).next().unwrap_or_default()),
        None => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        assert_eq!(redacted("postgres://circolo:s3cret@db:5432/log?password=s3cret"), "postgres://circolo@db:5432/log");
        assert_eq!(redacted("postgres://u:a/b@c@db/log"), "postgres://u@db/log");
        assert_eq!(redacted("postgres://u:a?b@db/log?x=1"), "postgres://u@db/log");
        assert_eq!(redacted("kurrentdb+discover://admin:s3cret@a:2113,b:2113?tls=false"), "kurrentdb+discover://admin@a:2113,b:2113");
        assert_eq!(redacted("sqlite:data/log.sqlite"), "sqlite:data/log.sqlite");
    }
}
